"""Runs of any length, written by git's own importer: nothing is played, all is as it would be."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from gco_agent.core.records import PlayProtocol, Verdict
from gco_agent.store.config import FILE, RunConfig, format_config
from gco_agent.store.entries import Facts, RunRef, format_message, headline

REF = RunRef("pong", "sample")
RULES = PlayProtocol("default", "gco/Pong-v5", max_steps=4500, versions=(("ale-py", "0.11.2"),))
HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">&{{7*7}}'
_BEGUN = 1_769_000_000
_POLICY = '''"""Pong: keep the paddle level with the ball.

Environment: gco/Pong-v5
"""


class Policy:
    """One instance plays one episode."""

    def act(self, obs):
        if not obs["Ball"] or not obs["Player"]:
            return 0
        ball, me = obs["Ball"][0], obs["Player"][0]
        gap = ball.cy - me.cy - {offset}
        if abs(gap) < {width}:
            return 0
        return 3 if gap > 0 else 2
'''


@dataclass
class Writer:
    """A stream for ``git fast-import``."""

    chunks: list[bytes] = field(default_factory=list)
    marks: int = 0

    def commit(
        self, message: str, parents: list[int], files: dict[str, str], *, when: int, ref: str
    ) -> int:
        self.marks += 1
        text = message.encode()
        lines = [f"commit {ref}", f"mark :{self.marks}"]
        lines += [f"{who} Test <test@example.org> {when} +0000" for who in ("author", "committer")]
        self.chunks.append("\n".join(lines).encode() + f"\ndata {len(text)}\n".encode() + text)
        for word, parent in zip(("from", *["merge"] * 9), parents, strict=False):
            self.chunks.append(f"{word} :{parent}\n".encode())
        for path, content in files.items():
            data = content.encode()
            self.chunks.append(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data)
            self.chunks.append(b"\n")
        return self.marks

    def write(self, root: Path) -> None:
        subprocess.run(
            ["git", "fast-import", "--quiet", "--force"],
            input=b"".join(self.chunks), cwd=root, check=True,
        )  # fmt: skip


def policy(n: int) -> str:
    return _POLICY.format(offset=n % 17 - 4, width=2 + n % 5)


def evaluation(mine: list[float], theirs: list[float], detail: str = "") -> str:
    def episodes(returns: list[float], detail: str) -> list[dict[str, object]]:
        return [
            {"seed": 1_100_000_000 + i, "return": r, "steps": 900 + i, "digest": f"{i:016x}",
             "outcome": "policy-raised" if detail else "game-over",
             **({"detail": detail} if detail else {})}
            for i, r in enumerate(returns)
        ]  # fmt: skip

    policies = {"a" * 64: episodes(mine, detail)}
    if theirs:
        policies["b" * 64] = episodes(theirs, "")
    return json.dumps({"schema": 1, "protocol": RULES.stamp, "policies": policies}, indent=1)


def make_run(root: Path, n: int, ref: RunRef = REF, *, seed: int = 0, usd: bool = True) -> None:
    """Write a run of ``n`` iterations: about one in five accepted, one in ten failed."""
    chance = random.Random(seed)
    out, mean, frames = Writer(), -20.5, 0
    facts = Facts(
        ref.branch, 0, Verdict.INITIAL, return_mean=mean, return_se=0.25, episodes=8, loc=9,
        cyclomatic=5, nested_if=1, frames=4000, seconds=3.0, seeds="selection 0:8",
        protocol=RULES.stamp, steps=1000,
    )  # fmt: skip
    config = format_config(RunConfig("pong", replace(RULES, max_steps=27_000), seed=seed))
    files = {f"policies/{ref.game}.py": policy(0), FILE: config}
    files["iterations/0000/evaluation.json"] = evaluation([mean] * 8, [])
    tip = out.commit(
        format_message(headline(facts), "The policy that this run starts from.", facts),
        [], files, when=_BEGUN, ref=str(ref),
    )  # fmt: skip
    for i in range(1, n + 1):
        frames += 300_000
        luck = chance.random()
        verdict = Verdict.ACCEPTED if luck < 0.2 else Verdict.REJECTED
        verdict = Verdict.FAILED if luck > 0.9 else verdict
        child = mean + (abs(chance.gauss(0, 40.0 / (n + 20))) if luck < 0.2 else -chance.random())
        facts = Facts(
            ref.branch, i, verdict, gain=child - mean, gain_se=0.4, pairs=8,
            optimizer="tune" if i % 6 == 5 else "search",
            return_mean=child, return_se=0.5, episodes=8, frames=frames, seconds=30.5,
            loc=9 + i % 40, cyclomatic=5 + i % 9, nested_if=1 + i % 3, seeds="selection 0:8",
            protocol=RULES.stamp, tokens_in=2000 if usd else None, usd=0.02 if usd else None,
        )  # fmt: skip
        detail = ""
        if verdict is Verdict.FAILED:
            detail = f"AttributeError: {HOSTILE}"
            facts = replace(facts, return_mean=None, return_se=None, gain=None, gain_se=None)
        what = f"try {HOSTILE if i % 7 == 3 else 'an offset'} {i}"
        mine = [round(child + chance.gauss(0, 1), 1) for _ in range(8)]
        path, folder = f"policies/{ref.game}.py", f"iterations/{i:04d}/"
        text = policy(i) + (f"# {HOSTILE}\n" if i % 7 == 3 else "")
        files = {path: text, folder + "evaluation.json": evaluation(mine, [mean] * 8, detail)}
        if i == 4:
            files[folder + "feedback.md"] = f"You lost the ball {HOSTILE} \x1b[31m\n"
        when = _BEGUN + 31 * i
        body = f"Because {what}.\n\nOn 8 seeds.\n\n    {detail}"
        if verdict is Verdict.ACCEPTED:
            mean = child
            message = format_message(headline(facts, what), body, facts)
            tip = out.commit(message, [tip], files, when=when, ref=str(ref))
            continue
        message = format_message(headline(facts, what, side=True), body, facts)
        side = out.commit(message, [tip], files, when=when, ref=str(ref))
        message = format_message(headline(facts, what), body, facts)
        # no file: a merge has the tree of its first parent, the line
        tip = out.commit(message, [tip, side], {}, when=when, ref=str(ref))
    out.write(root)
