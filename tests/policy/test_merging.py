"""Parts of a policy, put into the whole."""

from __future__ import annotations

import pytest

from gco_agent.core.errors import ContractViolation, EditRejected
from gco_agent.policy.contract import check_policy
from gco_agent.policy.edit import complete_policy, is_python, is_same_code
from gco_agent.policy.source import PolicySource, format_policy

PARENT = PolicySource(
    '''"""A policy."""

import random

UP = 2
DOWN = 3


def clamp(x):
    # not too far
    return min(x, UP)


class Policy:
    """Plays."""

    margin = 1

    def choose(self, obs, y):
        """Up or down."""
        return random.choice((UP, DOWN))

    def act(self, obs):
        """Return the action."""
        return self.choose(obs, 3)
'''
)
CLASS = "class Policy:\n    def act(self, obs):\n"
FUNCTIONS = PolicySource(
    "UP = 2\n\n\ndef choose(y):\n    return UP\n\n\ndef act(obs):\n    return choose(1)\n"
)


def merged(text: str, parent: PolicySource = PARENT) -> str:
    result = PolicySource(format_policy(complete_policy(parent, text).text))
    check_policy(result)
    return result.text


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("UP = 5\n", "UP = 2\n", "UP = 5\n"),
        (
            "def clamp(x):\n    return x\n",
            "def clamp(x):\n    # not too far\n    return min(x, UP)\n",
            "def clamp(x):\n    return x\n",
        ),
        ("class Policy:\n    margin = 9\n", "margin = 1\n", "margin = 9\n"),
        ("import random\nUP = 5\n", "UP = 2\n", "UP = 5\n"),
        (
            "import math\n\nUP = 5\n",
            "import random\n\nUP = 2\n",
            "import random\nimport math\n\nUP = 5\n",
        ),
        ("UP = 5\nFAR = 1\n", "UP = 2\nDOWN = 3\n", "UP = 5\nDOWN = 3\nFAR = 1\n"),
        (
            "class Policy:\n    near = 2\n    margin = 1\n",
            '    """Plays."""\n\n',
            '    """Plays."""\n\n    near = 2\n\n',
        ),
    ],
)
def test_a_part_takes_the_place_of_its_namesake_and_nothing_else(
    text: str, old: str, new: str
) -> None:
    assert PARENT.text.count(old) == 1
    assert merged(text) == format_policy(PARENT.text.replace(old, new))


def test_new_methods_and_helpers_come_along_with_what_uses_them() -> None:
    text = (
        "def far(x):\n    return x > 2\n\n\n"
        "class Side:\n    left = 1\n\n\n"
        "def choose(self, obs, y):\n    return self.other() if far(y) else Side.left\n\n\n"
        "def other(self):\n    return DOWN\n"
    )
    result = merged(text)
    assert result.index("def far") < result.index("class Policy")
    assert result.index("class Side") < result.index("class Policy")
    assert result.index("    def other(self)") > result.index("    def act(self")
    assert "far(y) else Side.left" in result


@pytest.mark.parametrize(
    ("text", "has", "lacks"),
    [
        (f"{CLASS}        return clamp(UP)\n", "return min(x, UP)", "import random"),
        (f"{CLASS}        return random.choice([2])\n", "import random", "UP"),
        (f"{CLASS}        return self.choose(obs, 1)\n", "def choose", "nothing"),
        ("def act(obs):\n    return DOWN\n", "DOWN = 3", "class Policy"),
        ("    def act(self, obs):\n        return UP\n", "def choose", "nothing"),
    ],
)
def test_what_is_used_and_not_repeated_is_kept(text: str, has: str, lacks: str) -> None:
    result = merged(text)
    assert has in result
    assert lacks not in result


def test_functions_without_a_class_are_put_together_too() -> None:
    assert "return 7" in merged("def choose(y):\n    return 7\n", FUNCTIONS)
    assert merged("def act(obs):\n    return choose(2)\n", FUNCTIONS).count("def ") == 2
    assert "def other" in merged("def other(y):\n    return 1\n\n\nUP = 4\n", FUNCTIONS)
    with pytest.raises(EditRejected, match="class Policy in the text, and none in the policy"):
        complete_policy(FUNCTIONS, "UP = 3\nclass Policy:\n    def far(self, y): return 1\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def pick(self, obs):\n    return 2\n", "defines pick, .* components are: choose, act"),
        ("import math\n", "defines math, and the policy has nothing of that name"),
        ("", "defines nothing"),
        ("'words'\n", "defines nothing"),
        ("for x in ():\n    pass\n", "line 1: 'for x in"),
        ("def choose(self, obs):\n    return 2\n", "must keep its parameters"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(EditRejected, match=message):
        complete_policy(PARENT, text)


def test_main_blocks_and_docstrings_are_passed_over() -> None:
    text = '"""Words."""\nUP = 5\n\nif __name__ == "__main__":\n    print(Policy())\n'
    assert merged(text) == format_policy(PARENT.text.replace("UP = 2", "UP = 5"))


def test_a_missing_self_is_given_back() -> None:
    assert "def choose(self, obs, y)" in merged("def choose(obs, y):\n    return 2\n")


def test_a_definition_with_decorator_and_comments_moves_whole() -> None:
    head = "import functools\n\n# counts\n@functools.cache\n"
    text = f"{head}def clamp(x):\n    # to the end\n    return x\n"
    result = merged(text)
    assert "# counts\n@functools.cache\ndef clamp(x):\n    # to the end\n" in result
    assert "not too far" not in result


def test_text_that_is_not_python_is_refused() -> None:
    with pytest.raises(ContractViolation):
        complete_policy(PARENT, "def choose(:\n")
    assert not is_python("def choose(:\n")
    assert is_python("   x = 1\n")


def test_same_code() -> None:
    assert is_same_code(
        PARENT, PolicySource(PARENT.text.replace('"""A policy."""', '"""Other."""'))
    )
    assert is_same_code(PARENT, PolicySource(PARENT.text.replace("UP = 2\n", "UP = 2  # up\n")))
    assert not is_same_code(PARENT, PolicySource(PARENT.text.replace("UP = 2\n", "UP = 3\n")))


@pytest.mark.parametrize(
    "text",
    [
        "def choose(self, obs, y):\n    ...  # unchanged\n",
        (
            'class Policy:\n    def choose(self, obs, y):\n        """Up."""\n        ...\n\n'
            "    def act(self, obs):\n        return self.choose(obs, 1)\n"
        ),
        "def choose(self, obs, y):\n    # ... existing code ...\n    return 2\n",
        "def choose(self, obs, y):\n    y += 1\n    # … rest as before\n",
    ],
)
def test_bodies_that_were_left_out_are_refused(text: str) -> None:
    with pytest.raises(EditRejected, match="body of choose is left out"):
        complete_policy(PARENT, text)


def test_a_comment_for_what_was_left_out_of_a_class_keeps_the_rest() -> None:
    result = merged(
        "class Policy:\n    # ... existing code ...\n\n    def act(self, obs):\n        return 2\n"
    )
    assert "def choose" in result
    assert "import random" in result
    assert "return 2" in result


def test_a_whole_policy_whose_class_has_another_name_is_refused() -> None:
    text = PARENT.text.replace("class Policy:", "class PongPolicy:")
    with pytest.raises(EditRejected, match=r"class PongPolicy .* called Policy"):
        complete_policy(PARENT, text)


def test_a_function_that_never_had_a_body_may_stay_so() -> None:
    parent = PolicySource(
        PARENT.text.replace("return self.choose(obs, 3)", "return 1").replace(
            '"""Up or down."""\n        return random.choice((UP, DOWN))', "..."
        )
    )
    assert "..." in merged("def choose(self, obs, y):\n    ...\n\n\nUP = 4\n", parent)


def test_a_helper_class_may_have_an_act_of_its_own() -> None:
    helper = "class Chaser:\n    def act(self, obs):\n        return 2\n\n\n"
    result = merged(f"{helper}def act(self, obs):\n    return Chaser().act(obs)\n")
    assert result.index("class Chaser") < result.index("class Policy")
