"""Runs hostile policies and says what each of them got.

An attack tries one trick and prints PWNED if it works. ``@CANARY@`` in it stands for the folder
that `Canary` makes: everything in it must be untouched afterwards, and the listeners must have
heard nothing. A corpus is a folder of Python files, one attack each, which begin with ``# expect:
KINDS``; or of text files with sections ``=== name: KINDS``, whose text is a policy, or the body of
its ``act`` with the names of `PRELUDE`.

Run as a program (``python -m tests.jail.corpus LAYERS FOLDER...``) it writes one JSON object, so
that a test can do the same as another user; ``table FOLDER...`` prints how many attacks each set of
layers contains.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from gco_agent.core.records import Outcome
from gco_agent.core.text import INVISIBLE
from gco_agent.jail import Jail, JailLevel, JailLimits, Layer, PolicyFailure
from tests.jail.policies import policy

OWN = Path(__file__).parent / "hostile"
PORT = 48765
FAKE_KEY = "sk-ant-fake-0123456789"
N_ACTIONS = 18
N_STEPS = 5
MOST_SECONDS = 15.0
LEAVES_TRACES = ("leftovers", "signals_others", "processes_fork", "memory_own", "_fork_", "_mem_")
"""Not for the unsealed control: these would outlive it, or take the machine's memory."""
ONLY_ANNOYS = (
    "loops",
    "_cpu_",
    "_src_",
    "_ret_",
    "_out_",
    "_rec_",
    "recursion",
    "output",
    "replies",
)
"""Nothing to escape with: only the deadline and the protocol matter, which one test shows."""
TABLE = {
    "kernel layers (no audit hook)": Layer.KERNEL,
    "seccomp and limits": Layer.SECCOMP | Layer.RLIMITS,
    "all of the kernel's but seccomp": Layer.PRIVILEGES | Layer.LANDLOCK | Layer.RLIMITS,
    "Landlock alone": Layer.LANDLOCK,
    "limits alone": Layer.RLIMITS,
    "audit hook alone": Layer.AUDIT,
    "a process of its own, unsealed": Layer.CHANCE,
}
"""Rows of the table of layers; those without the filter are not tried on what leaves traces."""
_SHARED_MEMORY = Path("/dev/shm/canary_drop")
_KINDS = {
    Outcome.POLICY_RAISED: "error",
    Outcome.BAD_ACTION: "error",
    Outcome.TIMED_OUT: "timeout",
    Outcome.DIED: "died",
}


PRELUDE = '''
import ctypes, os, struct, sys

try:
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.syscall
    call.restype = ctypes.c_long
except PermissionError:  # of the audit hook, where attacks without ctypes go on
    libc = call = None


def attempt(act):
    try:
        print('PWNED', act())
    except Exception as error:
        print('refused', type(error).__name__)


def attempt_call(act):
    try:
        print('PWNED' if act() >= 0 else 'refused')
    except Exception as error:
        print('refused', type(error).__name__)


def number():
    """Of the command under way: it stands in the frames of the worker."""
    frame = sys._getframe(1)
    while 'number' not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals['number']
'''


@dataclasses.dataclass(frozen=True)
class Attack:
    """One hostile (or benign) policy.

    Attributes:
        kinds: What it may come to: ok, error, died, timeout.
    """

    name: str
    kinds: frozenset[str]
    text: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one attack came to.

    Attributes:
        kind: ok, error, died or timeout.
        harm: What it got or damaged; empty if it was contained.
    """

    name: str
    kind: str
    harm: tuple[str, ...]
    detail: str


class Canary:
    """The canary folder and the listeners."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._abstract = socket.socket(socket.AF_UNIX)
        self._name = f"canary-{os.getpid()}"
        self._abstract.bind(f"\0{self._name}")
        self._abstract.listen()
        for listener in (self._tcp, self._udp, self._abstract):
            listener.setblocking(False)

    def __enter__(self) -> Canary:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in (self._tcp, self._udp, self._abstract):
            listener.close()

    def fill(self) -> None:
        """Make the folder as the corpus expects it."""
        self._empty(self.folder)
        (self.folder / "home/.ssh").mkdir(parents=True)
        (self.folder / "drop").mkdir()
        for name, content in {
            "secret.txt": "the secret",
            "home/.ssh/id_fake": "private key",
            "victim.txt": "victim",
            "env.py": "SCORE = 0\n",
            "evil.py": "print('PWNED evil')\n",
        }.items():
            path = self.folder / name
            path.write_text(content)
            path.chmod(0o644)
            os.utime(path, (1_000_000_000, 1_000_000_000))
        for path in (self.folder, self.folder / "drop"):
            path.chmod(0o777)

    def prepare(self, text: str) -> str:
        """The policy's text, pointed at this folder and these listeners."""
        text = text.replace("@CANARY@", str(self.folder))
        text = text.replace(f"'127.0.0.1', {PORT}", f"'127.0.0.1', {self._udp.getsockname()[1]}")
        text = text.replace("@TCP@", str(self._tcp.getsockname()[1]))
        return text.replace("canary-canary", self._name)

    def snapshot(self) -> tuple[object, ...]:
        """All that may not change."""
        files = sorted(self.folder.rglob("*"))
        return tuple(
            (
                str(path),
                path.stat().st_mode,
                path.read_bytes() if path.is_file() else b"",
                path.stat().st_mtime if path.is_file() else 0,
            )
            for path in files
        )

    def heard(self) -> list[str]:
        """Listeners that were reached since the last call."""
        found = [
            name for name, it in (("tcp", self._tcp), ("abstract", self._abstract)) if _drain(it)
        ]
        with contextlib.suppress(BlockingIOError):
            while self._udp.recv(100):
                found.append("udp")
        return found

    def _empty(self, folder: Path) -> None:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                self._empty(path)
                path.rmdir()
            else:
                path.unlink()


def _drain(listener: socket.socket) -> bool:
    reached = False
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            reached = True
    return reached


def attacks_of(folder: Path) -> list[Attack]:
    """Return the attacks of a corpus, in order."""
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        first = text.split("\n", 1)[0].removeprefix("# expect:")
        found.append(Attack(path.stem, _kinds(first), text))
    for path in sorted(folder.glob("*.txt")):
        for section in path.read_text("utf-8").split("=== ")[1:]:
            head, _, text = section.partition("\n")
            name, _, kinds = head.partition(":")
            if "def act(" not in text:
                text = policy(text.strip("\n") + "\nreturn 0", PRELUDE)
            elif "number()" in text:
                text = PRELUDE + text
            found.append(Attack(name, _kinds(kinds), text))
    return found


def without(attacks: list[Attack], words: tuple[str, ...]) -> list[Attack]:
    """Return the attacks with none of ``words`` in their names."""
    return [attack for attack in attacks if not any(word in attack.name for word in words)]


def _kinds(text: str) -> frozenset[str]:
    """Parse outcomes; "reject" is for checks made before a jail."""
    return frozenset(text.replace("protocol", "died").strip().split("|"))


def run_attack(attack: Attack, place: Canary, layers: Layer) -> Verdict:
    """Play one policy for a few steps."""
    place.fill()
    before = place.snapshot()
    place.heard()
    source = place.prepare(attack.text)
    limits = JailLimits(step_seconds=0.05, start_seconds=0.15, layers=layers)
    began = time.monotonic()
    jail = Jail(source, n_actions=N_ACTIONS, limits=limits)
    kind, detail = "ok", ""
    harm: list[str] = []
    try:
        jail.start()
        if layers & Layer.KERNEL == Layer.KERNEL and jail.level is not JailLevel.STRONG:
            harm.append(f"level {jail.level.word}")
        jail.reset(0, 0)
        _play(jail, harm)
    except PolicyFailure as failure:
        kind, detail = _KINDS[failure.outcome], failure.detail
    finally:
        jail.close()
    if time.monotonic() - began > MOST_SECONDS:
        harm.append("took too long")
    shown = detail + jail.output
    if "PWNED" in jail.output:
        harm.append("says PWNED: " + jail.output[jail.output.index("PWNED") :][:80])
    if FAKE_KEY in shown or "the secret" in shown or "private key" in shown:
        harm.append("read a secret")
    if any(ord(c) < 32 and c != "\n" for c in shown):
        harm.append("wrote control characters")
    if INVISIBLE.search(shown):
        harm.append("wrote what nobody sees")
    if place.snapshot() != before:
        harm.append("changed the canary folder")
    if _SHARED_MEMORY.exists():
        _SHARED_MEMORY.unlink()
        harm.append("wrote shared memory")
    harm += [f"reached the {name} listener" for name in place.heard()]
    return Verdict(attack.name, kind, tuple(harm), detail)


def run_all(attacks: list[Attack], layers: Layer) -> list[Verdict]:
    """Play every attack."""
    os.environ["ANTHROPIC_API_KEY"] = FAKE_KEY
    with tempfile.TemporaryDirectory() as name, Canary(Path(name)) as place:
        Path(name).chmod(0o777)
        return [run_attack(attack, place, layers) for attack in attacks]


def _play(jail: Jail, harm: list[str]) -> None:
    """Five steps; the observation that the judge holds must stay what it is."""
    for step in range(N_STEPS):
        observation = {
            "x": (step * 7) % 18,
            "t": step,
            "ram": [(step + i) % 256 for i in range(128)],
        }
        kept = json.dumps(observation)
        answer = jail.act([(0, observation)])[0]
        if json.dumps(observation) != kept:
            harm.append("changed the judge's observation")
        if isinstance(answer, PolicyFailure):
            raise answer
        if type(answer) is not int or not 0 <= answer < N_ACTIONS:
            harm.append(f"got the action {answer!r} through")


def print_table(folders: list[Path]) -> None:
    """How many of the hostile files each set of layers contains, and what got through."""
    os.environ["ANTHROPIC_API_KEY"] = FAKE_KEY
    attacks = [attack for folder in folders or [OWN] for attack in attacks_of(folder)]
    with tempfile.TemporaryDirectory() as name, Canary(Path(name)) as place:
        Path(name).chmod(0o777)
        for what, layers in TABLE.items():
            chosen = attacks
            if Layer.SECCOMP not in layers:
                chosen = without(attacks, LEAVES_TRACES)
            escaped = [v.name for v in (run_attack(a, place, layers) for a in chosen) if v.harm]
            n_contained = f"{len(chosen) - len(escaped):>4} of {len(chosen)}"
            sys.stdout.write(f"{what:<34}{n_contained}  {', '.join(escaped[:4])}\n")
            sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Verdicts of the folders, as JSON on standard output; or with "table", the table of layers."""
    layers, *folders = arguments
    if layers == "table":
        print_table([Path(folder) for folder in folders])
        return
    attacks = [attack for folder in folders for attack in attacks_of(Path(folder))]
    verdicts = run_all(attacks, Layer(int(layers)))
    json.dump(
        {"uid": os.getuid(), "verdicts": [dataclasses.asdict(v) for v in verdicts]}, sys.stdout
    )


if __name__ == "__main__":
    main(sys.argv[1:])
