"""The same actions on another day, in another process, beside other lanes."""

from __future__ import annotations

import pytest

from gco_agent.jail import Jail, JailLimits, Layer, ObjectRows, host
from tests.jail.policies import ROWS, policy

N_ACTIONS = 1000
N_STEPS = 6
SEEN = ObjectRows(ROWS, 3)
CHANCE = (
    *("random", "from random", "at import", "unseeded", "seed()", "system", "urandom", "secrets"),
    *("uuid", "uuid1", "gauss", "samples", "numpy", "from numpy", "randn", "default_rng"),
    *("RandomState", "bit generator"),
)
"""Sources that follow from the episode's seed."""
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
    "gauss": ("abs(random.gauss(0, 1)) * 99", "import random"),
    "randn": ("abs(np.random.randn()) * 99", "import numpy as np"),
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
    "global": ("COUNT.append(0) or len(COUNT)", "COUNT = []"),
    "class attribute": (
        "self.__class__.__dict__.get('n', 0) + bump(self)",
        "def bump(p):\n    p.__class__.n = p.__class__.__dict__.get('n', 0) + 1\n    return 0\n",
    ),
}


def play(source: str, n_lanes: int, *, order: int = 1, seed: int = 0) -> list[list[int]]:
    """The actions of every lane, all played side by side."""
    lanes = list(range(n_lanes))[::order]
    with Jail(source, n_actions=N_ACTIONS, n_lanes=n_lanes) as jail:
        for lane in lanes:
            jail.reset(lane, seed)
        steps = [jail.act([(lane, SEEN) for lane in lanes]) for _ in range(N_STEPS)]
    return [list(actions) for actions in zip(*steps, strict=True)]


@pytest.mark.parametrize("name", SOURCES)
def test_actions_do_not_depend_on_the_lanes_or_the_process(name: str):
    expression, imports = SOURCES[name]
    source = policy(f"return int({expression})", imports)
    [alone] = play(source, 1)
    assert all(type(action) is int for action in alone)
    assert play(source, 8, order=-1) == [alone] * 8


@pytest.mark.parametrize("name", CHANCE)
def test_another_episode_has_another_chance(name: str):
    """And the same episode the same, whichever lane it is played in."""
    expression, imports = SOURCES[name]
    source = policy(f"return int({expression})", imports)
    [one], [other] = play(source, 1, seed=1), play(source, 1, seed=2)
    assert one != other
    with Jail(source, n_actions=N_ACTIONS, n_lanes=3) as jail:
        for lane, seed in ((2, 2), (0, 1), (1, 2)):
            jail.reset(lane, seed)
        steps = [jail.act([(lane, SEEN) for lane in range(3)]) for _ in range(N_STEPS)]
    assert [list(actions) for actions in zip(*steps, strict=True)] == [one, other, other]


def test_coin_of_many_episodes_is_fair():
    """Thirty episodes with a constant chance would be one episode, thirty times."""
    source = policy("return random.randrange(2)", "import random")
    heads = [sum(play(source, 1, seed=seed)[0]) for seed in range(30)]
    assert len(set(heads)) > 3
    assert 60 < sum(heads) < 120


def test_the_seed_of_the_episode_is_not_told():
    assert host._chance_seed(1_200_000_007) != (1_200_000_007).to_bytes(8, "little")
    assert len({host._chance_seed(seed) for seed in range(1000)}) == 1000


def test_lanes_may_stop_and_begin_again_at_any_time():
    source = policy("return random.randrange(1000)", "import random")
    [alone] = play(source, 1)
    with Jail(source, n_actions=N_ACTIONS, n_lanes=2) as jail:
        jail.reset(0, 0)
        jail.reset(1, 0)
        assert [jail.act([(0, ObjectRows({}, 0))])[0] for _ in range(3)] == alone[:3]
        assert [jail.act([(1, ObjectRows({}, 0))])[0] for _ in range(2)] == alone[:2]
        jail.reset(0, 0)
        assert [jail.act([(1, ObjectRows({}, 0)), (0, ObjectRows({}, 0))]) for _ in range(2)] == [
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


def test_unseeded_control_differs():
    source = policy("return random.SystemRandom().randrange(1000)", "import random")
    played = []
    for _ in range(2):
        limits = JailLimits(layers=Layer.KERNEL)
        with Jail(source, n_actions=N_ACTIONS, limits=limits) as jail:
            jail.reset(0, 0)
            played.append([jail.act([(0, ObjectRows({}, 0))]) for _ in range(N_STEPS)])
    assert played[0] != played[1]
