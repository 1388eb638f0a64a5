"""The games, as data.

* `spec`      what a specification is made of
* `registry`  the games there are, and how to find one
* `describe`  the text of a specification for a language model
"""

from gco_agent.games.spec import Category, Control, Field, GameSpec, Score, Stage

__all__ = ["Category", "Control", "Field", "GameSpec", "Score", "Stage"]
