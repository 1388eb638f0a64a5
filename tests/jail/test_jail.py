"""The jail as the judge uses it: loading, lanes, actions, failures, the end."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gco_agent.core.errors import JailError
from gco_agent.core.observation import Still
from gco_agent.core.records import Outcome
from gco_agent.jail import (
    Jail,
    JailLevel,
    JailLimits,
    Layer,
    ObjectRows,
    PolicyFailure,
    probe_level,
    process,
    wire,
)
from gco_agent.jail.limits import JailReport
from tests.jail.policies import BALL, COUNTING, ROWS, STILL, answer, policy


def test_policy_sees_the_objects_and_the_lives():
    source = policy(
        "ball = obs['Ball'][0]\n"
        "assert (ball.x, ball.y, ball.w, ball.h, ball.dx, ball.dy) == (70, 80, 2, 4, 1, -1)\n"
        "assert ball.cx == 71 and ball.rgb == (236, 236, 236) and ball.value is None\n"
        "assert obs['PlayerScore'][0].value == 3\n"
        "assert obs['PlayerScore'][0].orientation == 'left'\n"
        "assert obs['Enemy'] == () and set(obs) == {'Ball', 'Player', 'PlayerScore'}\n"
        "return obs.lives"
    )
    assert answer(source, lives=5) == 5


def test_module_level_act_is_a_policy():
    assert answer("def act(obs):\n    return obs['Ball'][0].dx\n") == 1


def test_byte_order_mark_is_no_obstacle():
    assert answer("\ufeffdef act(obs):\n    return 1\n") == 1


def test_policy_may_replace_its_own_act():
    source = """
class Policy:
    def act(self, obs):
        self.act = self.later
        return 1

    def later(self, obs):
        return 2
"""
    with Jail(source, n_actions=3) as jail:
        jail.reset(0, 0)
        assert [jail.act([(0, ObjectRows({}, 0))]) for _ in range(3)] == [[1], [2], [2]]


def test_lanes_answer_in_the_order_they_were_asked():
    with Jail(COUNTING, n_actions=100, n_lanes=4) as jail:
        for lane in range(4):
            jail.reset(lane, 0)
        assert jail.act([(2, ObjectRows(ROWS, 0))]) == [1]
        assert jail.act(
            [(3, ObjectRows(ROWS, 0)), (2, ObjectRows(ROWS, 0)), (0, ObjectRows(ROWS, 0))]
        ) == [1, 2, 1]
        assert jail.act([]) == []


def test_reset_begins_anew_module_globals_included():
    source = "CALLS = []\n\ndef act(obs):\n    CALLS.append(1)\n    return len(CALLS)\n"
    with Jail(source, n_actions=9, n_lanes=2) as jail:
        jail.reset(0, 0)
        jail.reset(1, 0)
        jail.act([(0, ObjectRows({}, 0))])
        assert jail.act([(0, ObjectRows({}, 0)), (1, ObjectRows({}, 0))]) == [2, 1]
        jail.reset(0, 0)
        assert jail.act([(0, ObjectRows({}, 0)), (1, ObjectRows({}, 0))]) == [1, 2]


def test_observation_is_new_at_every_step():
    source = policy(
        "kept = self.__dict__.setdefault('kept', [])\n"
        "fresh = all(obs is not old and obs['Ball'] is not old.ball for old in kept)\n"
        "obs.ball = None\n"
        "return 0"
    )
    failure = answer(source)
    assert isinstance(failure, PolicyFailure)
    assert "has no attribute 'ball'" in failure.detail
    source = policy(
        "ok = len(obs['Ball']) == 1 and 'junk' not in obs\n"
        "obs['Ball'].append(7)\nobs['junk'] = 1\nself.kept = obs\nreturn int(ok)"
    )
    with Jail(source, n_actions=2) as jail:
        jail.reset(0, 0)
        assert [jail.act([(0, ObjectRows({"Ball": [BALL]}, 0))])[0] for _ in range(3)] == [1, 1, 1]


def test_rows_that_stand_still_are_seen_like_any_others():
    source = policy(
        "blocks = obs['Block']\n"
        "old = self.__dict__.setdefault('old', [])\n"
        "assert type(blocks) is list and [tuple(block) for block in blocks] == ROWS\n"
        "assert blocks is not old\n"
        "assert list(obs) == ['Block', 'Ball'] and blocks[1].rgb == (1, 2, 3)\n"
        "self.old, answer = blocks, len(blocks)\n"
        "blocks.clear()\n"
        "return answer",
        "ROWS = [(8, y, 8, 6, 0, 0, None, (1, 2, 3), None) for y in (57, 63)]",
    )
    blocks = Still((8, y, 8, 6, 0, 0, None, (1, 2, 3), None) for y in (57, 63))
    with Jail(source, n_actions=3, n_lanes=2) as jail:
        for lane in range(2):
            jail.reset(lane, 0)
        rows = {"Block": blocks, "Ball": [BALL]}
        assert jail.act([(0, ObjectRows(rows, 0)), (1, ObjectRows(rows, 0))]) == [2, 2]
        packed = blocks.packed
        assert jail.act([(0, ObjectRows(rows, 0))]) == [2]
        assert blocks.packed is packed, "made once"
        assert jail.act([(0, ObjectRows({"Block": [*blocks], "Ball": [BALL]}, 0))]) == [2]
        assert jail.act_recorded(0, ObjectRows(rows, 0))[0] == 2
    assert rows == {"Block": blocks, "Ball": [BALL]}, "not changed by being sent"


def test_a_worker_does_not_remember_all_that_ever_stood_still():
    unpacker = wire.Unpacker()
    for x in range(500):
        still = Still([(x, 0, 8, 6, 0, 0, None, None, None)])
        wire.pack_observations([(0, ObjectRows({"Block": still}, 3))])
        rows: dict[str, Any] = {"Block": still.packed}
        unpacker.unpack(rows)
        assert rows == {"Block": [*still]}
        assert len(unpacker._known) <= 64


@pytest.mark.parametrize(
    ("expression", "action"),
    [
        ("5", 5),
        ("int('3')", 3),
        ("enum.IntEnum('Move', {'UP': 2}).UP", 2),
        ("type('Number', (int,), {'__index__': lambda self: 99})(4)", 4),
        ("numpy.int64(3)", 3),
        ("numpy.uint8(3)", 3),
        ("numpy.argmax([0, 1])", 1),
        ("numpy.float32(2) > 1", 1),
        ("numpy.array([0.5])[0] > 1", 0),
        ("numpy.where(True, 2, 0)", 2),
        ("numpy.array([3])", 3),
        ("numpy.array([[True]])", 1),
    ],
)
def test_integers_are_actions(expression: str, action: int):
    assert answer(policy(f"return {expression}", "import enum, numpy")) == action


def test_true_and_false_are_actions_where_there_are_two():
    """``return obs[0] < 17`` works in a plain Gymnasium loop."""
    assert answer(policy("return obs.lives < 17"), n_actions=2) == 1
    failure = answer(policy("return obs.lives < 17"), n_actions=3)
    assert isinstance(failure, PolicyFailure)
    assert failure.outcome is Outcome.BAD_ACTION


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("None", "act returned None (NoneType); expected an integer from 0 to 5"),
        ("'UP'", "act returned 'UP' (str); expected an integer from 0 to 5"),
        ("'x' * 1000", "act returned a str of length 1000; expected"),
        ("True", "act returned True (bool); expected"),
        ("2.0", "act returned 2.0 (float); expected"),
        ("float('nan')", "act returned nan (float); expected"),
        ("6", "act returned 6; expected"),
        ("-1", "act returned -1; expected"),
        ("10**5000", "act returned an integer of 16610 bits; expected"),
        ("[0]", "act returned an object of type list; expected"),
        ("numpy.float32(1)", "act returned an object of type float32; expected"),
        ("numpy.array(1.0)", "act returned an object of type ndarray; expected"),
        ("numpy.array([1, 2])", "act returned an object of type ndarray; expected"),
        ("numpy.array([7])", "act returned 7; expected"),
        ("numpy.int64(-3)", "act returned -3; expected"),
    ],
)
def test_all_else_is_a_bad_action(expression: str, shown: str):
    failure = answer(policy(f"return {expression}", "import numpy"))
    assert isinstance(failure, PolicyFailure)
    assert failure.outcome is Outcome.BAD_ACTION
    assert failure.detail.startswith(shown)
    assert failure.lane == 0


def test_failure_of_one_lane_leaves_the_others():
    source = policy("if obs.lives == 1:\n    raise KeyError('ball')\nreturn obs.lives")
    with Jail(source, n_actions=6, n_lanes=3) as jail:
        for lane in range(3):
            jail.reset(lane, 0)
        first, second, third = jail.act(
            [(0, ObjectRows({}, 2)), (1, ObjectRows({}, 1)), (2, ObjectRows({}, 9))]
        )
        assert first == 2
        assert isinstance(second, PolicyFailure)
        assert (second.outcome, second.lane) == (Outcome.POLICY_RAISED, 1)
        assert isinstance(third, PolicyFailure)
        assert (third.outcome, third.lane) == (Outcome.BAD_ACTION, 2)
        assert jail.act([(0, ObjectRows({}, 4)), (2, ObjectRows({}, 5))]) == [4, 5]


def test_traceback_shows_the_lines_of_the_policy():
    source = (
        "import json\n\ndef find(obs):\n    return json.loads('{')\n\n"
        "def act(obs):\n    return find(obs)\n"
    )
    failure = answer(source)
    assert isinstance(failure, PolicyFailure)
    assert failure.detail == (
        "Traceback (most recent call last):\n"
        '  File "policy.py", line 7, in act\n'
        "    return find(obs)\n"
        '  File "policy.py", line 4, in find\n'
        "    return json.loads('{')\n"
        "JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)"
    )


@pytest.mark.parametrize(
    "error", ["KeyboardInterrupt", "SystemExit(3)", "GeneratorExit", "MemoryError"]
)
def test_whatever_a_policy_raises_is_a_failure(error: str):
    failure = answer(policy(f"raise {error}"))
    assert isinstance(failure, PolicyFailure)
    assert failure.outcome is Outcome.POLICY_RAISED
    assert error.partition("(")[0] in failure.detail


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def act(obs:\n", "SyntaxError: '(' was never closed"),
        ("import nonsense\n", "ModuleNotFoundError: no module 'nonsense' in the jail"),
        ("import gymnasium\n", "no module 'gymnasium' in the jail"),
        ("x = 1\n", "neither a class Policy nor a function act"),
        ("class Policy:\n    pass\n", "class Policy has no method act(self, obs)"),
        ("class Policy:\n    def __init__(self, size):\n        pass\n", "required positional"),
        ("def act(obs):\n    return 0\n\0", "null bytes"),
        ("x = '\udc80'\n", "the policy is not UTF-8 text"),
        ("#" * 300_000, "at most 262,144 are loaded"),
    ],
)
def test_policies_that_do_not_load(source: str, said: str):
    jail = Jail(source, n_actions=2)
    with pytest.raises(PolicyFailure, match="policy-raised") as caught:
        jail.start()
    assert said in caught.value.detail
    assert jail.pid is None


def test_constructor_that_raises_fails_the_reset_alone():
    source = """
import random

class Policy:
    made = []

    def __init__(self):
        if open_for_business is False:
            raise RuntimeError("closed")

    def act(self, obs):
        return 1

open_for_business = True
"""
    with Jail(source, n_actions=2) as jail:
        jail.reset(0, 0)
        assert jail.act([(0, ObjectRows({}, 0))]) == [1]
    counted = (
        "import sys\nsys.loads = getattr(sys, 'loads', 0) + 1\nassert sys.loads != 2\n" + STILL
    )
    with Jail(counted, n_actions=2, n_lanes=2) as jail:
        jail.reset(0, 0)
        with pytest.raises(PolicyFailure) as caught:
            jail.reset(1, 0)
        assert caught.value.lane == 1
        assert jail.act([(0, ObjectRows({}, 0))]) == [0]


def test_prints_are_kept_and_cut():
    source = policy("print('lives', obs.lives, '\\x1b[31m')\nreturn 0")
    with Jail(source, n_actions=2, limits=JailLimits(output_bytes=100)) as jail:
        jail.reset(0, 0)
        for _ in range(50):
            assert jail.act([(0, ObjectRows({}, 3))]) == [0]
        assert jail.output.startswith("lives 3 \\x1b[31m\nlives 3")
        assert len(jail.output) <= 100
    assert jail.output.startswith("lives 3")


PARTS = """
def check(obs):
    pos, speed, name, kinds = obs["pos"], obs["speed"], obs["name"], obs["kinds"]
    assert type(obs) is dict and type(kinds) is tuple and type(kinds[1]) is list
    assert type(pos) is np.ndarray and pos.dtype == np.float32 and pos.shape == (2, 1)
    assert type(speed) is np.float64 and type(kinds[0]) is np.int64 and kinds[1] == [1, True]
    assert kinds[2]["deep"].shape == (0, 3) and kinds[3].shape == () and kinds[3] == 4
    assert name == "x" and obs[7] is None and kinds[4].dtype == np.dtype(">u2")
    pos += 1
    return int((obs["pos"] * 2)[0, 0])
"""


def test_observations_keep_their_types():
    """What a policy gets is what it would get in a plain Gymnasium loop."""
    kinds = (np.int64(3), [1, True], {"deep": np.zeros((0, 3))}, np.array(4), np.ones(2, ">u2"))
    pos = np.ones((2, 1), dtype=np.float32)
    seen = OrderedDict({"pos": pos, "speed": np.float64(0.5), "name": "x", "kinds": kinds, 7: None})
    source = PARTS + policy("return check(obs)", "import numpy as np")
    with Jail(source, n_actions=20) as jail:
        jail.reset(0, 0)
        for _ in range(2):
            assert jail.act([(0, seen)]) == [4]
        assert jail.act_recorded(0, seen)[0] == 4
    assert pos.tolist() == [[1], [1]]


def test_arrays_are_copies_and_can_be_changed():
    source = policy("obs += 1\nreturn int(obs.sum()) + (obs.dtype == 'float32') + obs.shape[0]")
    array = np.zeros((2, 2), dtype=np.float32)
    with Jail(source, n_actions=20, limits=JailLimits()) as jail:
        jail.reset(0, 0)
        assert jail.act([(0, array)]) == [7]
        assert jail.act([(0, array)]) == [7]
    assert not array.any()


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (object(), "part of type builtins.object"),
        ({"x": [np.array([None])]}, "dtype object"),
        (np.ma.masked_array([1, 2], [0, 1]), "MaskedArray"),
        (np.zeros(2, dtype=[("a", "i4")]), "dtype"),
        (bytearray(b"x"), "bytearray"),
    ],
)
def test_what_cannot_be_sent_is_an_error_of_the_environment(seen: object, said: str):
    with Jail(STILL, n_actions=2) as jail:
        jail.reset(0, 0)
        with pytest.raises(TypeError, match=said):
            jail.act([(0, seen)])


def test_misuse_is_an_error_of_the_caller():
    with pytest.raises(ValueError, match="n_actions is 0 and n_floats is 0"):
        Jail(STILL, n_actions=0)
    with pytest.raises(ValueError, match="n_lanes is 1000"):
        Jail(STILL, n_actions=2, n_lanes=1000)
    jail = Jail(STILL, n_actions=2, n_lanes=2)
    with pytest.raises(RuntimeError, match="not running"):
        jail.reset(0, 0)
    with jail:
        with pytest.raises(RuntimeError, match="started already"):
            jail.start()
        with pytest.raises(ValueError, match="lane 2"):
            jail.reset(2, 0)
        jail.reset(0, 0)
        with pytest.raises(ValueError, match="lane 1 acts before its reset"):
            jail.act([(0, ObjectRows({}, 0)), (1, ObjectRows({}, 0))])
        with pytest.raises(ValueError, match="twice"):
            jail.act([(0, ObjectRows({}, 0)), (0, ObjectRows({}, 0))])
        with pytest.raises(ValueError, match="before its reset"):
            jail.act([(1, None)])
        assert jail.act([(0, ObjectRows({}, 0))]) == [0]
        with pytest.raises(ValueError, match="lane 1 acts before its reset"):
            jail.act([(1, ObjectRows({}, 0))])
    jail.close()
    assert jail.level is JailLevel.NONE


def test_jail_can_be_started_again_after_its_end():
    jail = Jail(COUNTING, n_actions=9)
    for _ in range(2):
        jail.start()
        jail.reset(0, 0)
        assert jail.act([(0, ObjectRows({}, 0))]) == [1]
        jail.close()


def test_large_messages_cross():
    many = {f"Category{n}": [BALL] * 50 for n in range(100)}
    with Jail(policy("return len(obs) % 7"), n_actions=9, n_lanes=3) as jail:
        for lane in range(3):
            jail.reset(lane, 0)
        assert jail.act([(lane, ObjectRows(many, 0)) for lane in range(3)]) == [2, 2, 2]


def test_many_failures_with_long_texts_cross():
    source = policy("raise ValueError('x' * 100_000)")
    with Jail(source, n_actions=2, n_lanes=100) as jail:
        for lane in range(100):
            jail.reset(lane, 0)
        answers = jail.act([(lane, ObjectRows({}, 0)) for lane in range(100)])
    assert all(isinstance(a, PolicyFailure) and len(a.detail) < 2000 for a in answers)


def test_level_is_strong_here_and_its_line_says_what_it_rests_on():
    report = probe_level()
    assert report.level is JailLevel.STRONG
    assert report.line.startswith("jail: strong; on: ")
    for word in (
        "landlock",
        "seccomp",
        "rlimits",
        "no_new_privs",
        "capabilities",
        "audit",
        "chance",
    ):
        assert word in report.line
    assert {result.partition(" ")[0] for _, result in report.probes} == {"refused"}


def test_other_systems_have_no_jail(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(JailError, match="needs Linux"):
        Jail(STILL, n_actions=2).start()


def test_requirement_that_is_not_met_fails_closed():
    limits = JailLimits(layers=Layer.ALL & ~Layer.SECCOMP)
    jail = Jail(STILL, n_actions=2, limits=limits, require=JailLevel.STRONG)
    with pytest.raises(JailError, match="level strong is required and this machine offers medium"):
        jail.start()
    assert jail.pid is None


@pytest.mark.parametrize(
    ("layers", "level"),
    [
        (Layer.ALL, JailLevel.STRONG),
        (Layer.KERNEL, JailLevel.STRONG),
        (Layer.ALL & ~Layer.LANDLOCK, JailLevel.STRONG),
        (Layer.ALL & ~Layer.SECCOMP, JailLevel.MEDIUM),
        (Layer.AUDIT | Layer.CHANCE, JailLevel.BASIC),
        (Layer.LANDLOCK, JailLevel.BASIC),
        (Layer.CHANCE, JailLevel.NONE),
    ],
)
def test_levels_are_what_the_self_test_finds(layers: Layer, level: JailLevel):
    with Jail(STILL, n_actions=2, limits=JailLimits(layers=layers)) as jail:
        assert jail.level is level
        assert jail.report.level is level


def test_report_line_of_a_weak_jail_says_so():
    report = JailReport(
        JailLevel.BASIC,
        layers=(("audit", "on"), ("landlock", "off: Linux only")),
        probes=(("open", "POSSIBLE"),),
    )
    assert report.line == (
        "jail: basic; on: audit; off: landlock (Linux only); still possible: open; "
        "this stops accidents, not attackers"
    )
    assert "on: nothing" in JailReport(JailLevel.NONE).line


def test_levels_have_words():
    assert [level.word for level in JailLevel] == ["none", "basic", "medium", "strong"]
    assert JailLevel.parse("Strong") is JailLevel.STRONG
    with pytest.raises(ValueError, match="no jail level 'iron'; there are none, basic"):
        JailLevel.parse("iron")


def test_three_hundred_jails_leave_nothing():
    with Jail(STILL, n_actions=2):
        pass
    zygote = process.zygote()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(300):
        with Jail(STILL, n_actions=2) as jail:
            jail.reset(0, 0)
            assert jail.act([(0, ObjectRows({}, 0))]) == [0]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert _children(zygote.pid) == []


def test_forgotten_jail_is_closed_with_a_warning():
    zygote = process.zygote()
    jail = Jail(STILL, n_actions=2)
    jail.start()
    pid = jail.pid
    assert _children(zygote.pid) == [pid]
    with pytest.warns(ResourceWarning, match="a Jail was not closed"):
        del jail
    assert _children(zygote.pid) == []


def test_import_is_light():
    code = (
        "import sys, gco_agent.jail\n"
        "heavy = {'numpy', 'multiprocessing', 'subprocess', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


def _play_in_fork(queue: multiprocessing.SimpleQueue[object]) -> None:
    with Jail(STILL, n_actions=2) as jail:
        jail.reset(0, 0)
        queue.put((jail.act([(0, ObjectRows({}, 0))]), process.zygote().pid))


def test_forked_process_has_a_zygote_of_its_own():
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with Jail(STILL, n_actions=2) as jail:
        jail.reset(0, 0)
        child = context.Process(target=_play_in_fork, args=(queue,))
        child.start()
        actions, pid = queue.get()
        child.join()
        assert child.exitcode == 0
        assert actions == [0]
        assert pid != process.zygote().pid
        assert jail.act([(0, ObjectRows({}, 0))]) == [0]
    queue.close()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
