"""Does an optimizer keep to what `gco_agent.optimizers.base.Optimizer` says? A kit that checks it.

    def test_mine() -> None:
        check_optimizer(make)  # the factory that the entry point names

Every optimizer of this package passes. A rule that is broken raises `AssertionError` with a
sentence that says which, so pytest shows it, and no other library is needed.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TypeAlias

from gco_agent.core.errors import BudgetSpent, ContractViolation, ProposalError
from gco_agent.core.records import Usage
from gco_agent.core.seeds import Stream
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.llm import Spending
from gco_agent.optimizers.base import (
    Capabilities,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Tools,
    Unusable,
)
from gco_agent.policy import PolicySource, check_policy, format_policy
from gco_agent.policy.edit import is_same_code
from gco_agent.store.config import RunConfig

Factory: TypeAlias = Callable[[Tools], Optimizer]
_Came: TypeAlias = Proposal | ProposalError | BudgetSpent
_PATIENCE_S = 60.0
"""Most seconds that an optimizer may take once its deadline is over."""
_LONGEST_SUMMARY = 200


def check_optimizer(
    make: Factory,
    tools: Tools | None = None,
    config: RunConfig | None = None,
    policy: str | None = None,
) -> None:
    """Check that what ``make`` makes keeps to the protocol; plays a little, asks a few times.

    Every question goes to a fresh instance, as if the process before had been killed. Where the
    answers come from a model, ``make`` must connect each instance to one that answers alike.

    Args:
        make: The factory of the optimizer.
        tools: What the factory is given; by default no model, no folder, and no other process.
        config: Of the run; by default short episodes of Pong, and little search.
        policy: Text of the parent; by default the policy that the game starts from.

    Raises:
        AssertionError: A rule is broken; the message says which.
    """
    with WorkerPool(0) as pool:
        tools = tools or Tools(pool)
        config = config or example_config()
        request = example_request(tools.pool, config, policy)
        check_name(make(tools))
        first = _ask(make, tools, request)
        check_proposal(first, request)
        again = _ask(make, tools, request)
        assert _facts(again) == _facts(first), (
            "a second instance answers the same request differently: an optimizer may depend on "
            "the request and on the replies of models alone, with chance from config.seed"
        )
        following = example_following(request, first)
        check_proposal(_ask(make, tools, following), following)
        check_deadline(make, tools, request)
        if make(tools).capabilities.repairs:
            repair = dataclasses.replace(request, repair="It broke.", tried="def act(obs): ...")
            check_proposal(_ask(make, tools, repair), repair)


def check_name(optimizer: Optimizer) -> None:
    """Check that the name is one that an option and a commit can carry."""
    name = optimizer.name
    assert isinstance(name, str), f"name is {name!r}; it should be a text"
    assert name, "name is empty; commits say by it who proposed a policy"
    assert name == " ".join(name.split()), f"name {name!r} should have no white space but ' '"
    capabilities = optimizer.capabilities
    assert isinstance(capabilities, Capabilities), f"capabilities is {capabilities!r}"


def check_proposal(came: _Came, request: Request) -> None:
    """Check an answer: a proposal that can be judged and committed, or an error that says why."""
    if isinstance(came, BudgetSpent | ProposalError):
        assert str(came).strip(), (
            f"{type(came).__name__} says nothing; say why there is no proposal"
        )
        if isinstance(came, Unusable):
            assert came.kind.strip(), "an Unusable needs a kind, in a word or two"
            _check_files(came.files)
        return
    assert isinstance(came, Proposal), f"propose gave {came!r}; it should give a Proposal"
    assert isinstance(came.source, PolicySource), "source should be a PolicySource"
    try:
        check_policy(came.source)
    except ContractViolation as error:
        raise AssertionError(f"the proposed policy breaks the contract: {error}") from error
    assert not is_same_code(came.source, request.parent), (
        "the proposed policy is the parent: raise ProposalError if there is nothing to propose"
    )
    formatted = format_policy(came.source.text)
    assert came.source.text == formatted, (
        "the proposed policy is not formatted: PolicySource(format_policy(text))"
    )
    _check_words(came)
    _check_files(came.files)
    assert came.n_steps >= 0, f"n_steps is {came.n_steps}"
    assert came.usage is None or isinstance(came.usage, Usage), f"usage is {came.usage!r}"


def check_deadline(make: Factory, tools: Tools, request: Request) -> None:
    """Check that a deadline which is over does not let it go on for long."""
    begun = time.perf_counter()
    late = dataclasses.replace(request, deadline=begun)
    check_proposal(_ask(make, tools, late), late)
    seconds = time.perf_counter() - begun
    assert seconds < _PATIENCE_S, f"it went on for {seconds:.0f} s after the deadline"


def example_config(game: str = "pong", max_steps: int = 150) -> RunConfig:
    """A run of short episodes, with little search in an iteration."""
    from gco_agent.envs.environment import make_protocol, spec_of

    rules = make_protocol("default", game, max_steps)
    return RunConfig(spec_of(rules).name, rules, slice_steps=2_000)


def example_request(pool: WorkerPool, config: RunConfig, policy: str | None = None) -> Request:
    """The request of the first iteration of a run, its parent measured by real play."""
    from gco_agent.envs.environment import initial_policy
    from gco_agent.optimizers.feedback import collect_feedback

    judge = Judge(pool, config.selection_protocol)
    text = policy or initial_policy(config.protocol)
    parent = PolicySource(format_policy(text))
    seeds = Stream.FEEDBACK.seeds(0, 2)
    attempts = [PastIteration(0, "initial", "Start", None, None, "", parent.text)]
    return Request(
        parent=parent,
        evaluation=judge.evaluate(parent, seeds),
        iteration=1,
        config=config,
        attempts=attempts,
        recall=lambda _name: None,
        deadline=time.perf_counter() + 10 * _PATIENCE_S,
        feedback=lambda: collect_feedback(judge, parent, attempts, config),
        budget=Spending(),
    )


def example_following(request: Request, came: _Came) -> Request:
    """The request of the iteration after ``request``, whose candidate was turned down."""
    files = dict(came.files) if isinstance(came, Proposal) else {}
    summary = came.summary if isinstance(came, Proposal) else str(came)
    source = came.source.text if isinstance(came, Proposal) else None
    number = request.iteration
    attempt = PastIteration(number, "rejected", summary, -1.0, "somebody", "It lost.", source)
    return dataclasses.replace(
        request,
        iteration=number + 1,
        attempts=[*request.attempts, attempt],
        recall=files.get,
        budget=Spending(),
    )


def _ask(make: Factory, tools: Tools, request: Request) -> _Came:
    """What a fresh instance answers, with a look at what it leaves behind."""
    request = dataclasses.replace(request, attempts=list(request.attempts), budget=Spending())
    before = copy.deepcopy((request.attempts, request.evaluation, request.config))
    with _tidy():
        came: _Came
        try:
            came = make(tools).propose(request)
        except (ProposalError, BudgetSpent) as error:
            came = error
    after = (request.attempts, request.evaluation, request.config)
    assert after == before, "it changed the request; copy what you want to change"
    return came


@contextlib.contextmanager
def _tidy() -> Iterator[None]:
    """Check that nothing is printed, started and left, or moved."""
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


def _facts(came: _Came) -> tuple[object, ...]:
    """What of an answer has to be the same every time."""
    if isinstance(came, Proposal):
        return (came.source, came.summary, came.reason, dict(came.files), came.n_steps, came.usage)
    return (type(came), str(came))


def _check_words(proposal: Proposal) -> None:
    summary = proposal.summary
    assert summary.strip(), "summary is empty; it becomes the subject of a commit"
    assert "\n" not in summary, "summary has several lines; the reason is for more words"
    assert len(summary) <= _LONGEST_SUMMARY, f"summary has {len(summary)} characters"
    assert proposal.reason.strip(), "reason is empty; it becomes the body of a commit"


def _check_files(files: object) -> None:
    assert isinstance(files, dict) or hasattr(files, "items"), f"files is {files!r}"
    for name, text in files.items():
        assert isinstance(name, str), f"the name of a file is {name!r}"
        assert isinstance(text, str), f"the file {name} holds {type(text).__name__}, not text"
        path = PurePosixPath(name)
        assert str(path) == name, f"the file name {name!r} should be written {str(path)!r}"
        assert not path.is_absolute(), f"the file name {name!r} should be relative"
        assert not {"..", ".git"} & set(path.parts), f"the file name {name!r} leads elsewhere"
