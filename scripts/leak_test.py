"""Play many short episodes in one process, and compare what it holds at the end and early on.

Counted: memory of this process and of the jail's zygote, open descriptors of both, and processes
that either has started. A quarter of the policies raises, exits or answers nonsense, because what
breaks is what leaks. Ends with code 1 if something grew.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.jail import process

N_SEEDS = 50
N_STEPS = 3
WARM_UP = 60
MOST_GROWTH_KB = 2_000
"""Memory that may be added over the whole: the allocator's, not an episode's."""

GOOD = "def act(obs):\n    return 2\n"
POLICIES = (
    *(GOOD, "import numpy\n\n\ndef act(obs):\n    return int(numpy.argmax([0, 1]))\n", GOOD, GOOD),
    "def act(obs):\n    raise ValueError('lost')\n",
    "import os\n\n\ndef act(obs):\n    os._exit(3)\n",
    "def act(obs):\n    return 'up'\n",
    "keep = [bytearray(1 << 20) for _ in range(20)]\n\n\n" + GOOD,
    *(GOOD, GOOD, GOOD, GOOD),
)


@dataclass
class Holdings:
    """What this process and the zygotes hold."""

    memory_kb: int
    zygote_memory_kb: int
    descriptors: int
    zygote_descriptors: int
    processes: int


def take_stock() -> Holdings:
    """Count everything now."""
    gc.collect()
    zygotes = [process.zygote().pid]
    everybody = [os.getpid(), *zygotes]
    children = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in everybody]
    return Holdings(
        memory(os.getpid()),
        sum(memory(pid) for pid in zygotes),
        descriptors(os.getpid()),
        sum(descriptors(pid) for pid in zygotes),
        sum(map(len, children)),
    )


def memory(pid: int) -> int:
    """Resident kilobytes that are its own."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") // 1024


def descriptors(pid: int) -> int:
    """Open descriptors; the one that lists them is among them."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main(n_episodes: int) -> int:
    """Play; print what was held early on and at the end as JSON; 1 if something grew."""
    protocol = default_protocol("pong", max_steps=N_STEPS)
    begun = time.perf_counter()
    early = None
    for number in range(max(n_episodes, 2 * WARM_UP)):
        policy = POLICIES[number % len(POLICIES)]
        seeds = (number % N_SEEDS,) if number % 3 else (number % N_SEEDS, (number + 1) % N_SEEDS)
        play_episodes(Rollout(policy, seeds, protocol))
        if number == WARM_UP:
            early = take_stock()
        if number % 1000 == 0:
            print(f"{number} of {n_episodes}: {take_stock()}", file=sys.stderr)
    assert early is not None
    late = take_stock()
    grew = {name: value - vars(early)[name] for name, value in vars(late).items()}
    memory_grew = max(grew["memory_kb"], grew["zygote_memory_kb"])
    leaks = memory_grew > MOST_GROWTH_KB or any(
        grew[name] > 0 for name in ("descriptors", "zygote_descriptors", "processes")
    )
    seconds = round(time.perf_counter() - begun, 1)
    told = {"episodes": n_episodes, "early": vars(early), "late": vars(late), "seconds": seconds}
    print(json.dumps({**told, "leaks": leaks}, indent=1))
    return int(leaks)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
