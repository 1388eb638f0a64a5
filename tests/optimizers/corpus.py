"""Replies that OptoPrime of trace-opt 0.1.3.8 drops in silence, applies broken, or raises on.

Each was put to it; what it made of them is the third part of a case.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from gco_agent.policy.source import PolicySource

PARENT = PolicySource(
    '''"""Pong: go where the ball is.

Environment: gco/Pong-v5
"""

import random


class Policy:
    """One instance plays one episode."""

    def predict_ball_trajectory(self, obs):
        """Where the ball will be, in pixels from the top."""
        return obs["Ball"][0].y if obs["Ball"] else None

    def select_action(self, predicted_ball_y, obs):
        """The action that brings the paddle there."""
        return random.choice((2, 3)) if predicted_ball_y is not None else 0

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(self.predict_ball_trajectory(obs), obs)
'''
)


class Case(NamedTuple):
    """A reply, what we make of it, and what trace-opt did.

    Attributes:
        reply: The text; None where a server sent no content.
        made: "usable", or the kind of `Unusable`.
        theirs: What trace-opt 0.1.3.8 did with it.
    """

    reply: str | None
    made: str
    theirs: str


def suggest(code: object, name: str = "__code2", reasoning: str = "Go down.") -> str:
    answer = {"reasoning": reasoning, "answer": "", "suggestion": {name: code}}
    return json.dumps(answer)


HEAD = "def select_action(self, predicted_ball_y, obs):\n"
GOOD = HEAD + "    return 2\n"
RAW = '{"reasoning": "r", "answer": "", "suggestion": {"__code2": "' + GOOD + '"}}'
BRACES = RAW.replace("return 2", "return {0: 2}[0]")
QUOTED = str({"reasoning": "r", "answer": "", "suggestion": {"__code2": GOOD}})
ESCAPED = suggest(GOOD.replace("\n", "\\n"))
SILENT, BROKEN, RAISED = "no change, in silence", "applied, broken when it runs", "raised"

CORPUS: dict[str, Case] = {
    "good JSON": Case(suggest(GOOD), "usable", "applied"),
    "fenced JSON": Case(f"```json\n{suggest(GOOD)}\n```", "usable", "applied"),
    "not JSON at all": Case("I would move the paddle to the ball.", "no code", SILENT),
    "empty": Case("", "empty", SILENT),
    "no content": Case(None, "empty", RAISED),
    "JSON cut off": Case(suggest(GOOD)[:-20], "cut off", SILENT),
    "fenced JSON cut off": Case(f"```json\n{suggest(GOOD)[:-20]}", "cut off", SILENT),
    "raw line ends in a string": Case(RAW, "usable", "applied"),
    "braces in code and raw line ends": Case(BRACES, "usable", SILENT),
    "quotes of Python": Case(QUOTED, "usable", SILENT),
    "prose with a brace behind it": Case(f"{suggest(GOOD)}\nThis is it :-}}", "usable", SILENT),
    "prose before it": Case(f"Here it is:\n\n{suggest(GOOD)}", "usable", SILENT),
    "another variable": Case(suggest(GOOD, "__code99"), "usable", SILENT),
    "TERMINATE": Case("TERMINATE", "declined", SILENT),
    "TERMINATE in the reasoning": Case(
        suggest(GOOD, reasoning="I do not TERMINATE here."), "usable", SILENT
    ),
    "null for code": Case(suggest(None), "no code", RAISED),
    "an object for code": Case(suggest({"code": GOOD}), "usable", RAISED),
    "a list of suggestions": Case(json.dumps({"suggestion": [GOOD]}), "usable", SILENT),
    "empty code": Case(suggest(""), "no code", SILENT),
    "escaped twice": Case(ESCAPED, "usable", "a syntax error; 7 of 20 iterations of one run"),
    "syntax error": Case(suggest(HEAD + "    return (2\n"), "not Python", SILENT),
    "syntax error without def": Case(suggest("lambda: (2"), "not Python", BROKEN),
    "renamed function": Case(
        suggest("def choose(self, predicted_ball_y, obs):\n    return 2\n"),
        "does not fit",
        "applied under the wrong name",
    ),
    "changed signature": Case(
        suggest("def select_action(self, obs):\n    return 2\n"), "does not fit", BROKEN
    ),
    "helper first": Case(
        suggest("def clamp(x):\n    return x\n\n\n" + HEAD + "    return clamp(2)\n"),
        "usable",
        BROKEN,
    ),
    "import at the top": Case(
        suggest("import math\n\n\n" + HEAD + "    return int(math.sqrt(4))\n"), "usable", BROKEN
    ),
    "constant at the top": Case(
        suggest("LIMIT = 2\n\n\n" + HEAD + "    return LIMIT\n"), "usable", BROKEN
    ),
    "without self": Case(suggest(GOOD.replace("self, ", "")), "usable", BROKEN),
    "files and processes": Case(
        suggest(HEAD + '    import os\n\n    open("pwned", "w").write("")\n    return 2\n'),
        "contract",
        "ran in the process that holds the key",
    ),
    "mutates the observation": Case(
        suggest(HEAD + '    obs["Ball"] = []\n    return 2\n'), "usable", "spoilt the record"
    ),
}

FAILS_IN_PLAY: dict[str, tuple[str, str, str]] = {
    "KeyError": ('return {}["Nope"]', "KeyError", "a failed step"),
    "assert without words": ("assert False", "AssertionError", "IndexError out of trace-opt"),
    "raise without words": ("raise ValueError()", "ValueError", "IndexError out of trace-opt"),
    "SystemExit": ("raise SystemExit(3)", "SystemExit", "ended the whole program"),
    "recursion": (
        "return self.select_action(predicted_ball_y, obs)",
        "RecursionError",
        "TraceMissingInputsError",
    ),
}
"""Name to the body of a component, what the judge reports, and what trace-opt did with it."""
