"""What a policy file scores, in one call: the judge, for people who write Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Evaluation
from gco_agent.core.seeds import Stream
from gco_agent.envs.environment import make_protocol, named_environment
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.policy import PolicySource, check_policy

DEFAULT_EPISODES = 30


def evaluate(
    policy: PolicySource | str | Path,
    game: str | None = None,
    *,
    seeds: Sequence[int] = Stream.REPORT.seeds(0, DEFAULT_EPISODES),
    max_steps: int | None = None,
    workers: int = 0,
    require: JailLevel = JailLevel.NONE,
) -> Evaluation:
    """Play a policy in the jail, an episode on every seed, and say what it scores.

    The same policy, seeds and versions give the same evaluation. What the policy does wrong while
    it plays is in the evaluation's episodes, as their outcomes.

    Args:
        policy: Path of a policy file, or its text as a `PolicySource`.
        game: "pong", "gco/Pong-v5", any Gymnasium id, or code of your own: ``module:id``, a file
            with a ``SPEC``. None for what its docstring names, which may be no code.
        seeds: For ``env.reset``; the first 30 report seeds if not given.
        max_steps: Steps after which an episode is cut; None for the protocol's own.
        workers: Processes to share the work; 0 plays in this one. With more, the call belongs below
            ``if __name__ == "__main__":``, as with all of `multiprocessing`.
        require: The jail must be at least this good.

    Raises:
        ContractViolation: The text breaks the contract of a policy file; nothing was played.
        PolicyError: The file cannot be read.
        UsageError: There is no such game, or none is named; or a seed is given twice.
        JailError: The jail cannot be built, or not as good as required.
    """
    source = policy if isinstance(policy, PolicySource) else PolicySource.from_file(policy)
    check_policy(source)
    if len(set(seeds)) < len(seeds):
        raise UsageError("a seed is given twice: its episode is the same, and counts once")
    wanted = game or named_environment(source)
    if wanted is None:
        raise UsageError("name the game: the policy's docstring has no line `Environment: <id>`")
    with WorkerPool(workers) as pool:
        return Judge(pool, make_protocol("default", wanted, max_steps), require).evaluate(
            source, seeds
        )
