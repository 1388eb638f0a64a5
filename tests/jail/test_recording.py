"""Recorded steps: what honest policies did, and nothing that others can harm the judge with."""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.observation import ObjectBox, build_observation
from gco_agent.core.records import ComponentCall, Outcome, Plain, Shown
from gco_agent.jail import Jail, JailLimits, ObjectRows, PolicyFailure, recorder, wire
from gco_agent.jail.recorder import Recorder, describe
from gco_agent.jail.reports import Recording, parse_calls
from tests.jail.corpus import OWN, Attack, attacks_of
from tests.jail.policies import ROWS, policy

POLICY = """
class Plan:
    def __init__(self, x):
        self.x = x


class Policy:
    def __init__(self):
        self.n_steps = 0

    def aim(self, obs, offset=0.5, *more, **named):
        if offset:
            return obs["Ball"][0].x + offset
        return None

    def plan(self, x):
        return Plan(double(x))

    def look(self, obs):
        return [ball for ball in obs["Ball"] if ball.x > 0]

    def stumble(self, obs):
        try:
            return obs.nothing
        finally:
            self.n_steps += 1

    def act(self, obs):
        plan = self.plan(self.aim(obs))
        self.look(obs)
        try:
            self.stumble(obs)
        except AttributeError:
            pass
        return self.n_steps


def double(x):
    return 2 * x
"""


def record(source: str, n: int = 1, **limits: Any) -> tuple[int | PolicyFailure, Recording]:
    """What the ``n``-th step of a policy came to, all of them recorded."""
    with Jail(source, n_actions=6, limits=JailLimits(**limits)) as jail:
        jail.reset(0, 0)
        for _ in range(n):
            answer, recording = jail.act_recorded(0, ObjectRows(ROWS, 3))
        return answer, recording


def in_report(value: object) -> str:
    """A report with one call that was given ``value``."""
    row = ["f", 1, [["x", value]], None, [1], None]
    return json.dumps({"calls": [row], "left_out": 0})


def test_calls_are_recorded_with_inputs_outputs_lines_and_depth():
    answer, recording = record(POLICY)
    assert answer == 1
    told = {call.name: call for call in recording.calls}
    assert list(told) == ["act", "aim", "plan", "double", "look", "stumble"]
    memory: dict[str, Plain] = {"self": {"n_steps": 0}, "obs": Shown("obs")}
    assert told["act"] == ComponentCall("act", memory, 1, tuple(range(29, 36)), 0)
    inputs: dict[str, Plain] = {"obs": Shown("obs"), "offset": 0.5, "more": (), "named": {}}
    assert told["aim"] == ComponentCall("aim", inputs, 70.5, (12, 13), 1)
    assert told["plan"].output == {"type": Shown("Plan"), "x": 141.0}
    assert told["double"] == ComponentCall("double", {"x": 70.5}, 141.0, (39,), 2)
    box = {"x": 70, "y": 80, "w": 2, "h": 4, "dx": 1, "dy": -1}
    assert told["look"].output == (box,)
    missing = "'Observation' object has no attribute 'nothing'"
    assert told["stumble"].error == f"AttributeError: {missing}"
    assert told["stumble"].lines == (23, 24, 26)
    assert isinstance(told["act"].inputs["obs"], Shown)
    assert recording.n_left_out == 0


def test_an_error_that_leaves_act_is_recorded_up_to_where_it_was_raised():
    source = policy("self.n = 1\nself.look(obs)\nreturn 0") + (
        "\n    def look(self, obs):\n        return self.find({}, 'ball')\n\n"
        "    def find(self, things, key):\n        return things[key]\n"
    )
    answer, recording = record(source)
    assert isinstance(answer, PolicyFailure)
    assert answer.outcome is Outcome.POLICY_RAISED
    assert "line 13, in find" in answer.detail
    assert [(call.name, call.error) for call in recording.calls] == [
        ("act", "KeyError: ball"), ("look", "KeyError: ball"), ("find", "KeyError: ball")
    ]  # fmt: skip


def test_a_caught_error_is_not_the_catchers_own():
    source = (
        "def careful():\n    try:\n        return {}[1]\n"
        "    except KeyError:\n        return None\n\n\n"
        "def act(obs):\n    careful()\n    return 0\n"
    )
    _, recording = record(source)
    assert [(call.name, call.error, call.output) for call in recording.calls] == [
        ("act", None, 0), ("careful", None, None)
    ]  # fmt: skip


def test_generators_and_lambdas_count_to_their_caller():
    source = (
        "def numbers():\n    for n in (1, 2):\n        yield n\n\n\n"
        "def act(obs):\n    add = lambda n: n + 1\n    return sum(add(n) for n in numbers())\n"
    )
    answer, recording = record(source)
    assert answer == 5
    [call] = recording.calls
    assert call.lines == (2, 3, 7, 8)


def test_many_calls_are_counted_and_the_first_are_kept():
    source = (
        "def one(i):\n    return i\n\n\ndef act(obs):\n    for i in range(200):\n        one(i)\n"
        "    return 2\n"
    )
    answer, recording = record(source)
    assert answer == 2
    assert [call.name for call in recording.calls] == ["act"] + ["one"] * recorder.MAX_CALLS_OF_ONE
    assert recording.n_left_out == 200 - recorder.MAX_CALLS_OF_ONE


def test_a_long_step_is_played_to_its_end_without_being_recorded():
    source = (
        "def act(obs):\n    n = 0\n    for i in range(60_000):\n        n += 1\n    return n % 5\n"
    )
    answer, recording = record(source)
    assert answer == 0
    assert recording.calls[0].output == Shown("not recorded")
    assert recording.n_left_out == 1


IMPORTS = """
import numpy
from collections import deque, namedtuple
from enum import IntEnum

Move = IntEnum("Move", {"UP": 2})
Point = namedtuple("Point", "x y")


class Odd:
    pass


class Slotted:
    __slots__ = ()


class Named:
    def __init__(self):
        self.n = 1
"""
VALUES = [
    ("None", None),
    ("True", True),
    ("-3", -3),
    ("2**64", Shown("<int of 65 bits>")),
    ("2.5", 2.5),
    ("float('-inf')", -math.inf),
    ("'text'", "text"),
    ("'x' * 1000", "x" * 60 + "..."),
    ("'a\\x1b[2J\\n\\u202eb\\udc80'", "a\\x1b[2J\\n\\u202eb\\udc80"),
    ("(1, [2, 3])", (1, (2, 3))),
    ("list(range(100))", (*range(12), Shown("... 88 more"))),
    ("[[[[1]]]]", (((Shown("<list>"),),),)),
    ("{'a': 1, (1, 2): 2, 3: 3, Odd: 4}", {"a": 1, "(1, 2)": 2, "3": 3, "<type>": 4}),
    ("{i: i for i in range(30)}", {**{str(i): i for i in range(10)}, "...": Shown("20 more")}),
    ("{1, 2}", Shown("<set>")),
    ("deque([1, 2], 5)", (1, 2)),
    ("obs['Ball'][0]", {"x": 70, "y": 80, "w": 2, "h": 4, "dx": 1, "dy": -1}),
    ("obs['Ball'][0]._replace(x=0.5)[:2]", (0.5, 80)),
    ("Move.UP", 2),
    ("Point(1, 2)", (1, 2)),
    ("lambda: 0", Shown("<function>")),
    ("Slotted()", Shown("<Slotted>")),
    ("numpy.float32(0.5)", 0.5),
    ("numpy.float64(0.5)", 0.5),
    ("numpy.int8(5)", 5),
    ("numpy.bool_(True)", True),
    ("numpy.arange(3)", (0, 1, 2)),
    ("numpy.zeros((9, 9))", (*([0.0] * 12), Shown("... 69 more"))),
    ("[type('y' * 500, (), {})()]", (Shown("<" + "y" * 60 + ">"),)),
    ("numpy.float16(0.5)", 0.5),
    ("Named()", {"type": Shown("Named"), "n": 1}),
    ("Named().__dict__", {"n": 1}),
    ("{(1, 'a'): 1, None: 2}", {"<tuple>": 1, "None": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "recorded"), VALUES)
def test_values(expression: str, recorded: Plain):
    """Described in this process; in the jail it is the same code."""
    names: dict[str, Any] = {"__name__": "policy"}
    obs = build_observation(ROWS, 3)
    exec(IMPORTS, names)
    value = eval(expression, {**names, "obs": obs})
    [call] = parse_calls(in_report(describe(value, obs)), 1).calls
    assert call.inputs["x"] == recorded
    assert type(call.inputs["x"]) is type(recorded)


def test_values_in_the_jail():
    source = policy(
        "\n".join(f"self.give_{i}(obs)" for i in range(len(VALUES))) + "\nreturn 1", IMPORTS
    )
    for i, (expression, _) in enumerate(VALUES):
        source += f"\n    def give_{i}(self, obs):\n        return {expression}\n"
    answer, recording = record(source)
    assert answer == 1
    outputs = {call.name: call.output for call in recording.calls}
    assert len(outputs) > 30
    for i, (_, recorded) in enumerate(VALUES):
        assert outputs[f"give_{i}"] == recorded


EVIL = """
touched = []


class Meta(type):
    def __eq__(cls, other): touched.append("meta eq"); return True
    def __hash__(cls): touched.append("meta hash"); return 1
    def __instancecheck__(cls, other): touched.append("meta instance"); return True
    @property
    def __name__(cls): touched.append("meta name"); return "x" * 10**6
    @property
    def __mro__(cls): touched.append("meta mro"); return ()


class Evil(metaclass=Meta):
    def __init__(self): self.inner = [self]
    def __repr__(self): touched.append("repr"); raise SystemExit
    __str__ = __format__ = __repr__
    def __getattribute__(self, name): touched.append(name); raise MemoryError
    def __eq__(self, other): touched.append("eq"); raise ValueError
    def __hash__(self): touched.append("hash"); raise ValueError
    def __iter__(self): touched.append("iter"); return iter(int, 1)
    def __len__(self): touched.append("len"); return -1
    def __bool__(self): touched.append("bool"); raise ValueError
    def __index__(self): touched.append("index"); return 10**9
    def __float__(self): touched.append("float"); raise ValueError


class Faker(metaclass=Meta):
    @property
    def __dict__(self): touched.append("dict"); return {"a": 1}
    @property
    def __class__(self): touched.append("class"); return int


class Words(str):
    def __getitem__(self, key): touched.append("words"); return "forged"
    def __len__(self): touched.append("words len"); return 1


class Listed(list):
    def __iter__(self): touched.append("listed"); return iter(int, 1)
    def __len__(self): touched.append("listed len"); return 10**9


class Mapped(dict):
    def items(self): touched.append("mapped"); return [("a", 1)] * 10**9


class Number(int):
    def __index__(self): touched.append("number"); return 99
    def bit_length(self): touched.append("bits"); return 1


class Failing(Exception):
    def __str__(self): touched.append("message"); return "x" * 10**6
    @property
    def args(self): touched.append("args"); return ("forged",)


class Policy:
    def give(self, kind, value):
        return value

    def fail(self):
        raise Failing("plain")

    def act(self, obs):
        evil = Evil()
        touched.clear()
        for value in (evil, Faker(), Words("real"), Listed([1]), Mapped(b=2), Number(4)):
            self.give(0, value)
        try:
            self.fail()
        except Failing:
            pass
        return len(touched)
"""


def test_no_line_of_the_policys_runs_to_describe_a_value():
    answer, recording = record(EVIL)
    assert answer == 0
    outputs = [call.output for call in recording.calls if call.name == "give"]
    assert outputs[1:6] == [Shown("<Faker>"), "real", (1,), {"b": 2}, 4]
    inner = {"type": Shown("Evil"), "inner": Shown("<list>")}
    assert outputs[0] == {"type": Shown("Evil"), "inner": (inner,)}
    assert recording.calls[-1].error == "Failing: plain"


@pytest.mark.parametrize("source", [POLICY, EVIL, policy("return 5 if obs else 0")])
def test_recording_changes_no_action(source: str):
    def play(*, is_recorded: bool) -> Iterator[object]:
        with Jail(source, n_actions=60) as jail:
            jail.reset(0, 0)
            for step in range(12):
                if is_recorded and step % 3:
                    yield jail.act_recorded(0, ObjectRows(ROWS, 3))[0]
                else:
                    yield jail.act([(0, ObjectRows(ROWS, 3))])[0]

    assert list(play(is_recorded=True)) == list(play(is_recorded=False))


def test_chance_and_clocks_are_the_same_when_recorded():
    source = (
        policy(
            "n = random.randrange(1000) + int(time.time() * 1e6) % 1000\n"
            "self.draw()\nreturn n % 997",
            "import random, time",
        )
        + "\n    def draw(self):\n        return random.random()\n"
    )
    played = []
    for is_recorded in (False, True):
        with Jail(source, n_actions=1000) as jail:
            jail.reset(0, 0)
            played.append(
                [
                    jail.act_recorded(0, ObjectRows(ROWS, 3))[0]
                    if is_recorded
                    else jail.act([(0, ObjectRows(ROWS, 3))])[0]
                    for _ in range(10)
                ]
            )
    assert played[0] == played[1]


def test_a_recording_jail_plays_plain_observations_too():
    source = policy("self.seen = obs\nreturn self.first(obs)") + (
        "\n    def first(self, obs):\n        return int(obs[0])\n"
    )
    limits = JailLimits()
    with Jail(source, n_actions=9, n_lanes=2, limits=limits) as jail:
        jail.reset(0, 0)
        jail.reset(1, 0)
        assert jail.act([(0, (5,)), (1, (6,))]) == [5, 6]
        with pytest.raises(ValueError, match="lane 5 acts before its reset"):
            jail.act_recorded(5, ObjectRows(ROWS, 0))


RECORDER = "import os, struct, sys\nrecorder = sys.modules['gco_agent.jail.recorder']\n"
EARLY = (
    "for n in range(1, 9):\n"
    "    os.write(4, struct.pack('<BBHIi', 13, 1, 1, n, 3) + struct.pack('<BxHI', 24, 0, {size}))\n"
)
FORGERS = {
    "a reply of its own": EARLY.format(size=0),
    "more text than it may": EARLY.format(size=1 << 31),
    "two reports": (
        "recorder.Watched.act = lambda self, obs: self._notes.extend([(24, 0, '{}')] * 2) or 0\n"
    ),
    "a report that is no JSON": "recorder._dumps = lambda *a, **k: '[' * 30_000\n",
    "a report of the wrong form": "recorder._dumps = lambda *a, **k: '[[1]]'\n",
    "lines that are not there": (
        "recorder.Call.row = lambda self: ['act', 0, [], 0, [10**9], None]\n"
    ),
    "a report without an end": (
        "sys.modules['gco_agent.jail.wire'].MAX_CALLS_BYTES = 1 << 40\n"
        "recorder._dumps = lambda *a, **k: '9' * (1 << 20)\n"
    ),
}


@pytest.mark.parametrize("what", FORGERS)
def test_forged_reports_end_the_process_or_say_nothing(what: str):
    with Jail(policy(RECORDER + FORGERS[what] + "return 0"), n_actions=6) as jail:
        jail.reset(0, 0)
        with pytest.raises(PolicyFailure) as caught:
            [jail.act_recorded(0, ObjectRows(ROWS, 3)) for _ in range(3)]
        assert caught.value.outcome is Outcome.DIED
        assert jail.pid is None


def test_a_recorder_that_was_broken_reports_nothing():
    source = policy("import sys\nsys.modules['gco_agent.jail.recorder']._dumps = None\nreturn 4")
    assert record(source, 2) == (4, Recording((), 1))


@pytest.mark.parametrize("body", ["sys.settrace(None)\nreturn 1", "sys.settrace(len)\nreturn 1"])
def test_a_policy_that_stops_the_trace_is_played_on(body: str):
    answer, recording = record(policy(body, "import sys"), 3)
    assert answer == 1
    assert [call.name for call in recording.calls] == ["act"]


def test_loops_end_and_their_place_is_told():
    with pytest.raises(PolicyFailure) as caught:
        record(policy("while True:\n    pass"), step_seconds=0.01)
    assert caught.value.outcome is Outcome.TIMED_OUT
    assert "in act" in caught.value.detail


def test_recursion_is_the_policys_own_failure():
    answer, recording = record(policy("return self.act(obs)"))
    assert isinstance(answer, PolicyFailure)
    assert "RecursionError" in answer.detail
    assert len(recording.calls) == recorder.MAX_CALLS_OF_ONE


@pytest.mark.parametrize(
    "attack",
    [
        a
        for a in attacks_of(OWN)
        if a.name.startswith(("replies", "text", "recursion", "recording"))
    ],
    ids=lambda attack: attack.name,
)
def test_hostile_policies_when_recorded(attack: Attack):
    """Whatever they do, it is an answer or a failure, and nothing in it acts on a terminal."""
    told = []
    jail = Jail(attack.text, n_actions=6, limits=JailLimits(step_seconds=0.05))
    try:
        jail.start()
        jail.reset(0, 0)
        for _ in range(3):
            answer, recording = jail.act_recorded(0, ObjectRows(ROWS, 3))
            told.append(repr(recording))
            if isinstance(answer, PolicyFailure):
                raise answer
    except PolicyFailure as failure:
        told.append(failure.detail)
    finally:
        jail.close()
    assert all(c.isprintable() or c == "\n" for text in told for c in text)
    assert "PWNED" not in jail.output


def test_a_report_is_never_longer_than_it_may_be():
    recording = Recorder(None)
    recording._calls = [
        recorder.Call("f", 0, [["x", ["y" * 60] * 12]] * 30) for _ in range(recorder.MAX_CALLS)
    ]
    text = recording.report()
    assert len(text) <= wire.MAX_CALLS_BYTES
    parsed = parse_calls(text, 10)
    assert len(parsed.calls) + parsed.n_left_out == recorder.MAX_CALLS


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=60)
    | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=12).map(tuple)
        | st.dictionaries(st.text("abc", max_size=5), inner, max_size=10)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(plain_values)
def test_what_is_described_is_parsed_back(value: Plain):
    [call] = parse_calls(in_report(describe(value, None, 5)), 1).calls
    assert call.inputs["x"] == value or _depth(value) > 5


def _depth(value: Plain) -> int:
    parts = value.values() if isinstance(value, dict) else value if type(value) is tuple else ()
    return 1 + max(map(_depth, parts), default=0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from("tbmnx"), inner, max_size=3)
    ),
)


@settings(deadline=None)
@given(json_values)
def test_any_other_json_is_refused_or_harmless(value: object):
    for data in (
        value,
        {"calls": value, "left_out": 0},
        {"calls": [["f", 0, [], value, [], None]], "left_out": 0},
    ):
        text = json.dumps(data)
        try:
            recording = parse_calls(text, 5)
        except ValueError:
            continue
        assert all(c.isprintable() for c in repr(recording))


@pytest.mark.parametrize(
    "report",
    [
        "x", "[" * 30_000, "9" * 5000, '{"calls": [], "left_out": NaN}', '{"calls": []}',
        '{"calls": [], "left_out": -1}', '{"calls": [], "left_out": true}',
        '{"calls": {}, "left_out": 0}', '{"calls": [[]], "left_out": 0}',
        '{"calls": [["f", 0, [], {"t": "x", "y": 1}, [], null]], "left_out": 0}',
        '{"calls": [["f", 0, [], {"b": [1, 2, 3, 4, 5, 1e9]}, [], null]], "left_out": 0}',
        '{"calls": [["f", 0, [], {"n": "1e5"}, [], null]], "left_out": 0}',
        in_report(2**70), in_report([0] * 17), in_report([[[[[[[[[0]]]]]]]]]),
        '{"calls": [["f", 0, [], 1, [6], null]], "left_out": 0}',
        '{"calls": [["f", 0, [], 1, [], 7]], "left_out": 0}',
        json.dumps({"calls": [["f", 0, [], 1, [], None]] * 49, "left_out": 0}),
    ],
)  # fmt: skip
def test_reports_that_are_refused(report: str):
    with pytest.raises(ValueError, match=r"^(not|a|an|no|too) ?[a-z]"):
        parse_calls(report, 5)


def test_box_that_holds_other_things_is_a_sequence():
    box = ObjectBox(1, 2, 3, 4, value=7)
    assert describe(box) == {"b": [1, 2, 3, 4, 0, 0]}
    assert describe(box._replace(x=0.5))[:2] == [0.5, 2]  # type: ignore[arg-type]
    assert describe(deque([1])) == [1]


class Frame:
    """As much of a frame as a recorder looks at."""

    def __init__(self, function: Any, line: int = 0, **values: object) -> None:
        self.f_code = function.__code__.replace(co_filename=wire.POLICY_FILE)
        self.f_locals, self.f_lineno, self.f_trace = values, line, None


def aim(obs: object, *more: object, k: int = 1, **named: object) -> None:
    """Its code is what counts."""


def numbers() -> Iterator[int]:
    """Is called again wherever it yielded."""
    yield 1


def entered(made: Recorder, frame: Any) -> Any:
    """The trace function that the recorder has for a frame that begins."""
    return made._enter(frame, "call", None)


def test_events_become_calls():
    """The same as above, without an interpreter that sends them."""
    obs = object()
    made = Recorder(obs)
    outer = Frame(aim, 3, obs=obs, more=(1,), k=2, named={"a": 1})
    trace = entered(made, outer)
    trace(outer, "line", None)
    inner = Frame(aim, 8, obs=7, k=0)
    nested = entered(made, inner)
    error = KeyError("ball")
    nested(inner, "exception", (KeyError, error, None))
    nested(inner, "line", None)
    nested(inner, "return", None)
    trace(outer, "exception", (KeyError, error, None))
    helper: Any = Frame(numbers, 9)
    inside = entered(made, helper)
    assert inside is not None
    inside(helper, "line", None)
    inside(helper, "exception", (StopIteration, StopIteration(), None))
    trace(outer, "return", 5)
    assert made._enter(helper, "line", None) is None
    inputs: dict[str, Plain] = {"obs": Shown("obs"), "k": 2, "more": (1,), "named": {"a": 1}}
    missing: dict[str, Plain] = {"obs": 7, "k": 0, "more": None, "named": None}
    assert parse_calls(made.report(), 10).calls == (
        ComponentCall("aim", inputs, 5, (3, 9), 0),
        ComponentCall("aim", missing, None, (8,), 1, "KeyError: ball"),
    )


def test_too_many_calls_and_events_are_counted(monkeypatch: pytest.MonkeyPatch):
    made = Recorder(None)
    tracers = [entered(made, Frame(aim, 1)) for _ in range(recorder.MAX_CALLS_OF_ONE + 3)]
    assert len(made._calls) == recorder.MAX_CALLS_OF_ONE
    assert parse_calls(made.report(), 5).n_left_out == 3
    monkeypatch.setattr(recorder, "MAX_EVENTS", 2)
    stopped: list[object] = []
    monkeypatch.setattr(sys, "settrace", stopped.append)
    frame: Any = Frame(aim, 1)
    for _ in range(3):
        tracers[-1](frame, "line", None)
    assert stopped == [None]
    parsed = parse_calls(made.report(), 5)
    assert parsed.n_left_out == 4
    assert {call.output for call in parsed.calls} == {Shown("not recorded")}


def test_errors_are_described_without_their_own_words():
    errors = (ValueError(), ValueError("x" * 99), KeyError(3), KeyError(None), OSError(99, "a"))
    assert [recorder.describe_error(error) for error in errors] == [
        "ValueError", "ValueError: " + "x" * 60 + "...", "KeyError: 3", "KeyError", "OSError: 99"
    ]  # fmt: skip


def test_a_watched_policy_gives_what_the_policy_gives(monkeypatch: pytest.MonkeyPatch):
    class Odd:
        def act(self, obs: int) -> int:
            if obs < 0:
                raise ValueError(obs)
            return obs + 1

    monkeypatch.setattr(sys, "settrace", lambda tracer: None)
    notes: list[tuple[int, int, str]] = []
    watched = recorder.Watched(Odd(), notes)
    assert watched.act(1) == 2
    with pytest.raises(ValueError, match="-1"):
        watched.act(-1)
    assert notes == [(wire.CALLS, 0, '{"calls": [], "left_out": 0}')] * 2
