"""Freeway: take every lane for safe, and walk on.

Environment: gco/Freeway-v5
"""

NOOP, UP = 0, 1


class Policy:
    """One instance plays one episode."""

    def analyze_traffic(self, obs):
        """Whether the next lane may be entered."""
        return True

    def select_action(self, obs, is_safe):
        """Go up when that is safe, else wait."""
        return UP if is_safe else NOOP

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.analyze_traffic(obs))
