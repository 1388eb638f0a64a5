"""The games, as data.

* `spec`      what a specification is made of
* `registry`  the games there are, and how to find one
* `describe`  the text of a specification for a language model
"""

from gco_agent.games.describe import HINTS, Hints, describe_interface
from gco_agent.games.registry import (
    GAMES,
    documented,
    every_game,
    find_game,
    generated_games,
    imports_code,
    installed_games,
    likeness,
    measured,
    nearest_game,
    why_not_played,
)
from gco_agent.games.spec import (
    SOLVED,
    Category,
    Control,
    Field,
    GameSpec,
    Presence,
    Reference,
    Score,
    Stage,
    random_policy,
)

__all__ = [
    "GAMES",
    "HINTS",
    "SOLVED",
    "Category",
    "Control",
    "Field",
    "GameSpec",
    "Hints",
    "Presence",
    "Reference",
    "Score",
    "Stage",
    "describe_interface",
    "documented",
    "every_game",
    "find_game",
    "generated_games",
    "imports_code",
    "installed_games",
    "likeness",
    "measured",
    "nearest_game",
    "random_policy",
    "why_not_played",
]
