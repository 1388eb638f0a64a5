"""A kit that checks whether an optimizer keeps to `gco_agent.optimizers.base.Optimizer`.

    def test_mine() -> None:
        check_optimizer(make)  # the factory that the entry point names

Every optimizer of this package passes. A broken rule raises `AssertionError` with a sentence that
names it, so pytest shows it, and no other library is needed.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeAlias

from gco_agent.core.errors import BudgetSpent, ContractViolation, ProposalError
from gco_agent.core.records import Usage
from gco_agent.core.seeds import Stream
from gco_agent.envs.environment import initial_policy, make_protocol, spec_of
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.llm.asking import Spending
from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Tools,
    Unusable,
)
from gco_agent.optimizers.feedback import collect_feedback
from gco_agent.policy.contract import check_policy
from gco_agent.policy.edit import is_same_code
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig

Factory: TypeAlias = Callable[[Tools], Optimizer]
Answer: TypeAlias = Proposal | ProposalError | BudgetSpent
_PATIENCE_S = 60.0
"""Most seconds that an optimizer may take once its deadline is over."""
_LONGEST_SUMMARY = 200


def check_optimizer(
    make: Factory,
    tools: Tools | None = None,
    config: RunConfig | None = None,
    policy: str | None = None,
) -> None:
    """Check that what ``make`` returns keeps to the protocol; plays a little, asks a few times.

    Every request goes to a fresh instance, as if the process before had been killed. Where the
    answers come from a model, ``make`` must connect each instance to one that answers alike.

    Args:
        make: The factory of the optimizer.
        tools: What the factory is given; by default no model, no folder, and no other process.
        config: Of the run; by default short episodes of Pong, and little search.
        policy: Text of the parent; by default the policy that the game starts from.
    """
    with WorkerPool(0) as pool:
        tools = tools or Tools(pool)
        request = example_request(tools.pool, config or example_config(), policy)
        check_name(make(tools))
        first = check_answer(make, tools, request)
        check_repeats(first, check_answer(make, tools, request))
        check_answer(make, tools, _following(request, first))
        begun = time.perf_counter()
        check_answer(make, tools, replace(request, deadline=begun))
        seconds = time.perf_counter() - begun
        assert seconds < _PATIENCE_S, f"it ran on for {seconds:.0f} s after the deadline"
        if make(tools).capabilities.repairs:
            repair = replace(request, repair="It broke.", tried="def act(obs): ...")
            check_answer(make, tools, repair)


def check_answer(make: Factory, tools: Tools, request: Request) -> Answer:
    """Ask a fresh instance, and check its answer and its side effects."""
    request = replace(request, attempts=list(request.attempts), budget=Spending())
    before = copy.deepcopy((request.attempts, request.evaluation, request.config))
    answer: Answer
    with _without_side_effects():
        try:
            answer = make(tools).propose(request)
        except (ProposalError, BudgetSpent) as error:
            answer = error
    after = (request.attempts, request.evaluation, request.config)
    assert after == before, "it changed the request; copy what you want to change"
    if isinstance(answer, Proposal):
        _check_proposal(answer, request)
        return answer
    assert isinstance(answer, BudgetSpent | ProposalError), (
        f"propose returned {answer!r}; it should return a Proposal"
    )
    name = type(answer).__name__
    assert str(answer).strip(), f"{name} says nothing; say why there is no proposal"
    if isinstance(answer, Unusable):
        assert answer.kind.strip(), "an Unusable needs a kind, in a word or two"
        _check_files(answer.files)
    return answer


def check_repeats(first: Answer, again: Answer) -> None:
    """Check that two answers to the same request are the same."""
    one, other = (a if isinstance(a, Proposal) else (type(a), str(a)) for a in (first, again))
    assert one == other, (
        "a second instance answers the same request differently: an optimizer may depend on the "
        "request and on the replies of models alone, with chance from config.seed"
    )


def check_name(optimizer: Optimizer) -> None:
    """Check that the name is one that an option and a commit can carry."""
    name = optimizer.name
    assert isinstance(name, str), f"name is {name!r}; it should be a text"
    assert name, "name is empty; commits say by it which optimizer proposed a policy"
    assert name == " ".join(name.split()), f"name {name!r} should have no white space but ' '"
    capabilities = optimizer.capabilities
    assert isinstance(capabilities, Capabilities), f"capabilities is {capabilities!r}"


def _check_proposal(proposal: Proposal, request: Request) -> None:
    source, summary = proposal.source, proposal.summary
    assert isinstance(source, PolicySource), "source should be a PolicySource"
    try:
        check_policy(source)
    except ContractViolation as error:
        raise AssertionError(f"the proposed policy breaks the contract: {error}") from error
    assert not is_same_code(source, request.parent), (
        "the proposed policy is the parent: raise ProposalError if there is nothing to propose"
    )
    assert source.text == format_policy(source.text), (
        "the proposed policy is not formatted: PolicySource(format_policy(text))"
    )
    assert summary.strip(), "summary is empty; it becomes the subject of a commit"
    assert "\n" not in summary, "summary has several lines; the reason is for more words"
    assert len(summary) <= _LONGEST_SUMMARY, f"summary has {len(summary)} characters"
    assert proposal.reason.strip(), "reason is empty; it becomes the body of a commit"
    _check_files(proposal.files)
    assert proposal.n_steps >= 0, f"n_steps is {proposal.n_steps}"
    assert isinstance(proposal.usage, Usage | None), f"usage is {proposal.usage!r}"


def _check_files(files: object) -> None:
    assert hasattr(files, "items"), f"files is {files!r}"
    for name, text in files.items():
        assert isinstance(name, str), f"the name of a file is {name!r}"
        assert isinstance(text, str), f"the file {name} holds {type(text).__name__}, not text"
        path = PurePosixPath(name)
        assert str(path) == name, f"the file name {name!r} should be written {str(path)!r}"
        assert not path.is_absolute(), f"the file name {name!r} should be relative"
        assert not {"..", ".git"} & set(path.parts), f"the file name {name!r} leads elsewhere"


@contextlib.contextmanager
def _without_side_effects() -> Iterator[None]:
    """Check that nothing is printed, no thread is left, and the working directory is the same."""
    folder, threads = os.getcwd(), set(threading.enumerate())  # noqa: PTH109 - to compare
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        yield
    assert not printed.getvalue(), (
        f"it printed {printed.getvalue()[:80]!r}: standard output is for results; use "
        "Request.progress or logging"
    )
    assert os.getcwd() == folder, "it changed the working directory"  # noqa: PTH109
    left = [t.name for t in set(threading.enumerate()) - threads if t.is_alive() and not t.daemon]
    assert not left, f"it left threads running: {', '.join(left)}"


def example_config(game: str = "pong", max_steps: int = 150) -> RunConfig:
    """Return a run of short episodes, with little search in an iteration."""
    rules = make_protocol("default", game, max_steps)
    return RunConfig(spec_of(rules).name, rules, slice_steps=2_000)


def example_request(pool: WorkerPool, config: RunConfig, policy: str | None = None) -> Request:
    """Return the request of the first iteration of a run; its parent is played."""
    judge = Judge(pool, config.selection_protocol)
    parent = PolicySource(format_policy(policy or initial_policy(config.protocol)))
    attempts = [PastIteration(0, "initial", "Start", None, source=parent.text)]
    return Request(
        parent=parent,
        evaluation=judge.evaluate(parent, Stream.FEEDBACK.seeds(0, 2)),
        iteration=1,
        config=config,
        attempts=attempts,
        recall=lambda _name: None,
        deadline=time.perf_counter() + 10 * _PATIENCE_S,
        feedback=lambda: collect_feedback(judge, parent, attempts, config),
        budget=Spending(),
    )


def _following(request: Request, answer: Answer) -> Request:
    """Return the request of the iteration after ``request``, whose candidate was rejected."""
    n, files = request.iteration, dict[str, str]()
    lost = PastIteration(n, "rejected", str(answer), -1.0, "other", "It lost.")
    if isinstance(answer, Proposal):
        files = dict(answer.files)
        lost = replace(lost, summary=answer.summary, source=answer.source.text)
    attempts = [*request.attempts, lost]
    return replace(request, iteration=n + 1, attempts=attempts, recall=files.get)
