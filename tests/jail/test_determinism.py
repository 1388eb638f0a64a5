"""The same actions on another day, in another process, beside other lanes."""

from __future__ import annotations

import pytest

from gco_agent.jail.host import Jail, JailLimits, Layer
from tests.jail.policies import ROWS, policy

N_ACTIONS = 1000
N_STEPS = 6
SOURCES = {
    "random": ("random.randrange(1000)", "import random"),
    "from random": ("randrange(1000)", "from random import randrange"),
    "at import": ("START + random.randrange(100)", "import random\nSTART = random.randrange(900)"),
    "seeded": ("random.Random(7).randrange(1000)", "import random"),
    "unseeded": ("random.Random().randrange(1000)", "import random"),
    "seed()": ("random.seed() or random.randrange(1000)", "import random"),
    "system": ("random.SystemRandom().randrange(1000)", "import random"),
    "urandom": ("int.from_bytes(os.urandom(4), 'big') % 1000", "import os"),
    "secrets": ("secrets.randbelow(1000)", "import secrets"),
    "uuid": ("uuid.uuid4().int % 1000", "import uuid"),
    "uuid1": ("uuid.uuid1().int % 1000", "import uuid"),
    "samples": ("int(abs(NormalDist().samples(1)[0]) * 99)", "from statistics import NormalDist"),
    "numpy": ("np.random.randint(1000)", "import numpy as np"),
    "from numpy": ("int(rand() * 999)", "from numpy.random import rand"),
    "default_rng": ("np.random.default_rng().integers(1000)", "import numpy as np"),
    "RandomState": ("np.random.RandomState().randint(1000)", "import numpy as np"),
    "bit generator": ("np.random.Philox().random_raw() % 1000", "import numpy as np"),
    "time": ("int(time.time() * 1e6) % 1000", "import time"),
    "clocks": (
        "(time.perf_counter_ns() + time.monotonic_ns() + time.clock_gettime_ns(0)) // 1000 % 1000",
        "import time",
    ),
    "dates": (
        "(datetime.now().microsecond + date.today().day + time.localtime().tm_sec) % 1000",
        "import time\nfrom datetime import date, datetime",
    ),
    "strftime": ("int(time.strftime('%S')) + int(time.asctime()[17:19])", "import time"),
    "utc": (
        "datetime.utcnow().microsecond % 1000 + datetime.today().year % 7",
        "from datetime import datetime",
    ),
    "set of text": ("hash(''.join({str(i) for i in range(50)})) % 1000", ""),
    "set of objects": (
        "int(''.join(str(t.n) for t in {Thing(n) for n in range(9)})) % 1000",
        "class Thing:\n    def __init__(self, n):\n        self.n = n\n",
    ),
    "global": ("COUNT.append(0) or len(COUNT)", "COUNT = []"),
    "class attribute": (
        "self.__class__.__dict__.get('n', 0) + bump(self)",
        "def bump(p):\n    p.__class__.n = p.__class__.__dict__.get('n', 0) + 1\n    return 0\n",
    ),
}


def play(source: str, n_lanes: int, *, order: int = 1) -> list[list[object]]:
    """The actions of every lane, all played side by side."""
    lanes = list(range(n_lanes))[::order]
    with Jail(source, n_actions=N_ACTIONS, n_lanes=n_lanes) as jail:
        for lane in lanes:
            jail.reset(lane)
        steps = [jail.act([(lane, 3, ROWS) for lane in lanes]) for _ in range(N_STEPS)]
    return [list(actions) for actions in zip(*steps, strict=True)]


@pytest.mark.parametrize("name", SOURCES)
def test_actions_do_not_depend_on_the_lanes_or_the_process(name: str):
    expression, imports = SOURCES[name]
    source = policy(f"return int({expression})", imports)
    [alone] = play(source, 1)
    assert all(type(action) is int for action in alone)
    if name == "set of objects":
        [again] = play(source, 1)
        assert again == alone
        return
    assert play(source, 8, order=-1) == [alone] * 8


def test_addresses_do_not_depend_on_what_the_zygote_did_before():
    """One by one, several at a time and after failures: the same objects in the same places."""
    source = (
        "class Thing:\n    def __init__(self, n):\n        self.n = n\n\n\n"
        "class Policy:\n    def __init__(self):\n"
        "        self.things = {Thing(n) for n in range(40)}\n\n"
        "    def act(self, obs):\n        self.things.add(Thing(id(obs) // 16))\n"
        "        return (next(iter(self.things)).n + id(obs) // 16) % 1000\n"
    )

    def acts() -> list[object]:
        with Jail(source, n_actions=N_ACTIONS, n_lanes=2) as jail:
            jail.reset(0)
            jail.reset(1)
            return [jail.act([(0, 3, ROWS), (1, 2, ROWS)]) for _ in range(40)]

    first = acts()
    for number in range(40):
        with Jail(policy("return 1 // 0"), n_actions=2) as beside:
            if number % 3 == 0:
                beside.reset(0)
                beside.act([(0, 3, ROWS)])
            if number % 2:
                assert acts() == first
        assert acts() == first


def test_lanes_may_stop_and_begin_again_at_any_time():
    source = policy("return random.randrange(1000)", "import random")
    [alone] = play(source, 1)
    with Jail(source, n_actions=N_ACTIONS, n_lanes=2) as jail:
        jail.reset(0)
        jail.reset(1)
        assert [jail.act([(0, 0, {})])[0] for _ in range(3)] == alone[:3]
        assert [jail.act([(1, 0, {})])[0] for _ in range(2)] == alone[:2]
        jail.reset(0)
        assert [jail.act([(1, 0, {}), (0, 0, {})]) for _ in range(2)] == [
            [alone[2], alone[0]],
            [alone[3], alone[1]],
        ]


def test_chance_is_still_chance():
    [actions] = play(policy("return random.randrange(1000)", "import random"), 1)
    assert len(set(actions)) > N_STEPS // 2
    [actions] = play(policy("return int(time.time() * 1e6) % 1000", "import time"), 1)
    assert len(set(actions)) == N_STEPS


def test_negative_sleep_is_refused_as_ever():
    source = policy(
        "try:\n    time.sleep(-1)\nexcept ValueError:\n    return 1\nreturn 0", "import time"
    )
    assert play(source, 1) == [[1] * N_STEPS]


def test_unpinned_control_differs():
    source = policy("return random.SystemRandom().randrange(1000)", "import random")
    played = []
    for _ in range(2):
        limits = JailLimits(layers=Layer.KERNEL)
        with Jail(source, n_actions=N_ACTIONS, limits=limits) as jail:
            jail.reset(0)
            played.append([jail.act([(0, 0, {})]) for _ in range(N_STEPS)])
    assert played[0] != played[1]
