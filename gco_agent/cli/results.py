"""The keys of every ``--json`` output, as types.

``--help`` lists them, ``scripts/reference`` writes them as a JSON schema to
docs/results.schema.json, and the tests check each output of a command against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, get_args, get_origin

from typing_extensions import TypedDict, get_type_hints, is_typeddict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Number: TypeAlias = float | None
Interval: TypeAlias = Annotated[tuple[float, float] | None, "95 %, null below five episodes"]


# Parts


class Score(TypedDict):
    """A mean return over episodes."""

    mean_return: Annotated[Number, "null if an episode failed"]
    standard_error: Number
    confidence_interval: Interval


class Returns(Score):
    """A score with the returns behind it."""

    returns: list[float]


class Label(TypedDict):
    """Which episodes a score is of."""

    episodes: int | None
    seeds: str | None
    protocol: str | None


class Change(TypedDict):
    """A race, and the complexity of its candidate."""

    gain: Number
    gain_se: Number
    pairs: int | None
    loc: int | None
    cyclomatic: int | None
    nested_if: int | None


class Failure(TypedDict):
    """An episode in which a policy failed."""

    seed: int
    step: int
    outcome: str
    detail: str


# Runs


class Run(Score, Label):
    """A run after a command that advanced it."""

    run: str
    game: str
    commit: str
    policy: str
    policy_commit: str
    iterations: int
    seed: int | None
    frames: int
    loc: int | None
    cyclomatic: int | None
    stopped_by: str
    seconds: float


class ListedRun(Score, Label):
    """A row of ``runs``."""

    run: str
    game: str
    commit: str
    optimizer: str
    seed: int | None
    iterations: int | None
    accepted: int | None
    frames: int | None
    tokens: int
    usd: float
    updated: Annotated[str, "ISO 8601"]
    problem: Annotated[str | None, "why it cannot be read"]
    checked_out: bool
    running: bool


class Iteration(Score, Label, Change):
    """A row of ``log``."""

    iteration: int | None
    verdict: str
    commit: str
    in_force: bool
    steps: int | None
    cpu_ms_mean: Annotated[Number, "of a step"]
    frames: int | None
    seconds: Number
    optimizer: str | None
    tokens_in: int | None
    tokens_out: int | None
    usd: Number
    summary: str


class OptimizerTotals(TypedDict):
    """What one optimizer did in a run."""

    optimizer: str
    iterations: int
    candidates: int
    accepted: int
    gain: Annotated[float, "sum of the accepted"]
    tokens: int
    usd: float
    steps: int
    seconds: float


class Log(TypedDict):
    """Result of ``log``."""

    run: str
    commit: str
    policy_commit: str
    seed: int | None
    iterations: list[Iteration]
    optimizers: list[OptimizerTotals]


SeedResult = TypedDict(
    "SeedResult",
    {
        "seed": int,
        "return": float,
        "parent_return": Number,
        "steps": int,
        "outcome": str,
        "detail": str,
    },
)


class Trial(Score, Change):
    """A candidate of an iteration."""

    commit: str
    verdict: str
    summary: str
    reason: str
    in_force: bool
    episodes: int | None
    protocol: str | None
    seed_range: str | None
    optimizer: str | None
    seconds: Number
    seeds: list[SeedResult]
    difference: Annotated[str, "unified"]
    policy: str | None
    feedback: str | None
    evidence: Annotated[list[str], "names of files"]


class Show(TypedDict):
    """Result of ``show``."""

    run: str
    iteration: int | None
    trials: list[Trial]


class File(TypedDict):
    """Result of ``show --file``."""

    name: str
    text: str


class CurvePoint(TypedDict):
    """The policy in force from here on."""

    iteration: int
    frames: int
    mean: float


class ComparedRun(TypedDict):
    """A run that is compared."""

    run: str
    group: str
    game: str
    seed: int | None
    mean_return: float
    standard_error: Number
    protocol: str
    returns: Annotated[dict[str, float], "by seed"]
    iterations: int
    frames: int
    usd: float
    curve: list[CurvePoint]


class Estimate(TypedDict):
    """An aggregate with its 95 % interval, null where there are too few runs."""

    value: float
    low: Number
    high: Number


class Group(TypedDict):
    """Runs of one method."""

    name: str
    runs: int
    returns: Annotated[dict[str, tuple[float, Number]], "mean and error by game"]
    aggregates: Annotated[dict[str, Estimate], "iqm, median, mean, optimality_gap"]
    profile: list[Estimate]


class Pair(TypedDict):
    """Two groups."""

    first: str
    second: str
    paired_by: str
    pairs: int
    difference: Number
    p_value: Annotated[Number, "adjusted"]
    probability: Annotated[Estimate | None, "of improvement"]


class Compare(TypedDict):
    """Result of ``compare``."""

    unit: str
    games: list[str]
    runs: list[ComparedRun]
    groups: list[Group]
    pairs: list[Pair]
    thresholds: list[float]


class ReportedRun(TypedDict):
    """A run on a page."""

    run: str
    commit: str
    iterations: int


class Report(TypedDict):
    """Result of ``report``."""

    path: str
    bytes: int
    runs: list[ReportedRun]
    shortened: Annotated[int, "trials whose differences were left out"]
    clips: int
    traces: int


class Rollback(Score, Label):
    """Result of ``rollback``."""

    run: str
    commit: str
    iteration: int | None
    subject: str


class Publish(Returns):
    """Result of ``publish``."""

    policy: str
    run: str
    commit: str
    seeds: str
    protocol: str


class Tested(TypedDict):
    """An iteration that was played by ``bisect``."""

    iteration: int | None
    commit: str
    summary: str
    has_skill: bool
    mean_return: Number


class Bisect(TypedDict):
    """Result of ``bisect``."""

    run: str
    skill: str
    seeds: str
    policies: Annotated[int, "how many were in force"]
    is_scan: bool
    tested: list[Tested]
    changes: list[Tested]


class Fork(TypedDict):
    """Result of ``fork``."""

    run: str
    forked_from: str
    commit: str
    iterations: int


# Policies


class Evaluation(Returns):
    """Result of ``eval``."""

    policy: str
    policy_sha256: str
    episodes: int
    seeds: str
    failures: list[Failure]
    protocol: str
    jail: str
    digest: Annotated[str, "of all actions"]
    seconds: float
    steps_per_second: int


class Difference(TypedDict):
    """A number that is not as claimed."""

    what: str
    claimed: Any
    here: Any


class FirstDifference(Difference):
    """Where the episodes part."""

    seed: int | None
    step: int | None


class Claim(TypedDict):
    """A commit that was played again."""

    iteration: int
    verdict: str
    commit: str
    answer: str
    mean_return: Number
    seeds: str | None
    protocol: str | None
    digest: str | None
    claimed_in: dict[str, str]
    played_in: dict[str, str]
    played_episodes: int
    played_mean_return: Number
    played_digest: str | None
    differences: list[Difference]
    first_difference: FirstDifference | None


class Verify(TypedDict):
    """Result of ``verify``."""

    run: str
    holds: int
    part_holds: int
    differs: int
    incomparable: int
    seconds: float
    claims: list[Claim]


class Condition(Returns):
    """A line of a robustness card."""

    name: str
    change: Number
    change_se: Number
    failures: list[Failure]
    protocol: str


class Card(TypedDict):
    """Result of ``card``."""

    policy: str
    episodes: int
    seeds: str
    picture: str | None
    conditions: list[Condition]


FilmedEpisode = TypedDict(
    "FilmedEpisode",
    {
        "policy": str,
        "seed": int,
        "return": float,
        "steps": int,
        "outcome": str,
        "detail": str,
        "digest": str,
    },
)


class Enjoy(TypedDict):
    """Result of ``enjoy``."""

    video: Annotated[str | None, "null for a window"]
    pictures: int
    episodes: list[FilmedEpisode]


class Window(TypedDict):
    """A moment of a trace."""

    title: str
    is_good: bool | None
    seed: int
    event: int
    n_steps: int
    episode_return: float
    failure: str
    is_ending: bool
    steps: list[dict[str, Any]]


class Trace(Returns):
    """Result of ``trace``."""

    policy: str
    policy_sha256: str
    stage: str
    text: str
    tokens: int
    protocol: str
    seeds: str
    jail: str
    notes: list[str]
    names: dict[str, Any]
    extents: dict[str, Any]
    ranges: dict[str, Any]
    endings: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    windows: list[Window]


class Constant(TypedDict):
    """A tuned constant."""

    name: str
    before: float
    after: float


class _Raced(TypedDict):
    policy: str
    written: Annotated[str | None, "path"]
    steps: int
    gain: Number
    gain_se: Number
    p_value: Number
    pairs: int | None


class Tune(_Raced):
    """Result of ``tune`` of a file."""

    constants: list[Constant]
    generations: int
    mean_return: Number
    parent_mean_return: Number


class Removed(TypedDict):
    """Code that was removed."""

    what: str
    line: int
    exact: bool


class Simplify(_Raced):
    """Result of ``simplify`` of a file."""

    removed: list[Removed]
    lines_before: int
    lines_after: int
    nodes_before: int
    nodes_after: int
    same_actions: int
    same_episodes: int
    complete: bool
    margin: Number


# Other tools, models, games


class Scalars(TypedDict):
    """Result of ``export tensorboard``."""

    path: str
    run: str
    scalars: int


class DataSet(TypedDict):
    """Result of ``export minari``."""

    path: str
    id: str
    episodes: int
    steps: int
    mean_return: float


class ModelCard(Returns):
    """Result of ``export model-card``."""

    path: Annotated[str | None, "null if it is printed"]
    card: str
    seeds: str


class Push(Returns):
    """Result of ``push``."""

    repo: str
    url: str
    seeds: str


class Note(TypedDict):
    """Result of ``note``."""

    run: str
    notes: Annotated[list[str], "all that wait"]


class Prompt(TypedDict):
    """Result of ``prompt``."""

    run: str
    iteration: int
    path: Annotated[str | None, "null for standard output"]
    prompt: str


class Outcome(TypedDict):
    """What an iteration came to."""

    verdict: str
    return_mean: Number
    gain: Number
    digest: str | None
    policy: str


class ReplayedIteration(TypedDict):
    """An iteration beside the recorded one."""

    iteration: int
    commit: str
    is_same: bool
    recorded: Outcome
    now: Outcome


class Replay(TypedDict):
    """Result of ``replay``."""

    run: str
    recorded: str
    is_same: bool
    iterations: list[ReplayedIteration]
    left_out: str


class Recording(TypedDict):
    """Result of ``replay --record``."""

    run: str
    path: str
    iterations: int


class _PromptSize(TypedDict):
    lasting_tokens: int
    new_tokens: int


class Cost(TypedDict):
    """Tokens and US dollars."""

    tokens_in: int
    tokens_out: int
    usd: Number


class CostEstimate(TypedDict):
    """Result of ``estimate``."""

    model: str
    price: Annotated[dict[str, Any] | None, "null if it is not known"]
    as_of: str
    prompt: _PromptSize
    iterations: int
    candidates: int
    usual: Cost
    most: Cost


class PublishedScore(TypedDict):
    """A score that others report."""

    label: str
    value: float
    source: str
    played: str


class Game(TypedDict):
    """A game; of one that is broken upstream most is null or empty."""

    name: str
    title: str | None
    env_id: str | None
    goal: str | None
    status: str
    why: Annotated[str, 'it is broken, or ""']
    random_return: Number
    human_return: Number
    scores: list[PublishedScore]
    actions: list[str]
    categories: list[str]
    fields: list[str]


class GamePolicy(TypedDict):
    """Result of ``games NAME --policy``."""

    name: str
    policy: str


class Finding(TypedDict):
    """What is wrong about a game's specification."""

    about: str
    text: str


class CheckGame(TypedDict):
    """Result of ``check-game``."""

    game: str
    env_id: str
    steps: int
    findings: list[Finding]


class Git(TypedDict):
    """Git on this machine."""

    version: str | None
    repository: str | None
    has_identity: bool
    problem: str | None


class Jail(TypedDict):
    """The jail on this machine."""

    level: str | None
    layers: dict[str, str]
    probes: dict[str, str]
    problem: str | None


class Emulator(TypedDict):
    """The emulator on this machine."""

    protocol: str | None
    problem: str | None


class Doctor(TypedDict):
    """Result of ``doctor``."""

    is_well: bool
    python: str
    executable: str
    platform: str
    cores: int
    git: Git
    packages: Annotated[dict[str, str | None], "version by name"]
    extras: dict[str, dict[str, str | None]]
    has_screen: bool
    jail: Jail
    emulator: Emulator


RESULTS: dict[str, tuple[Any, ...]] = {
    "run": (Run, list[Run]),
    "init": (Run,),
    "baseline": (Run,),
    "step": (Run,),
    "watch": (Iteration,),
    "runs": (list[ListedRun],),
    "log": (Log,),
    "show": (Show, File),
    "compare": (Compare,),
    "report": (Report,),
    "eval": (Evaluation,),
    "verify": (Verify,),
    "enjoy": (Enjoy,),
    "card": (Card,),
    "export tensorboard": (Scalars,),
    "export minari": (DataSet,),
    "export model-card": (ModelCard,),
    "trace": (Trace,),
    "tune": (Tune, Run),
    "simplify": (Simplify, Run),
    "note": (Note,),
    "prompt": (Prompt,),
    "apply": (Run, Prompt),
    "replay": (Replay, Recording),
    "estimate": (CostEstimate,),
    "bisect": (Bisect,),
    "fork": (Fork,),
    "rollback": (Rollback,),
    "publish": (Publish,),
    "push": (Push,),
    "games": (list[Game], Game, GamePolicy),
    "check-game": (CheckGame,),
    "doctor": (Doctor,),
}
"""By command, what it may print; the first is usual."""


def keys_text(command: str) -> str:
    """Return the paragraph of ``--help`` that lists the keys; "" if the command has no results."""
    if command not in RESULTS:
        return ""
    first, *others = RESULTS[command]
    is_list = get_origin(first) is list
    lead = "JSON, of each: " if is_list else "JSON lines: " if command == "watch" else "JSON: "
    texts = [lead + ", ".join(_keys(get_args(first)[0] if is_list else first))]
    for kind in others:
        if kind is Run:
            texts.append("for a run as of run")
        elif kind is Prompt and command == "apply":
            texts.append("where it answers questions as of prompt")
        elif get_origin(kind) is list and command == "run":
            texts.append("with --seeds a list of these")
        elif not is_list:
            texts.append("or " + ", ".join(_keys(kind)))
    return "; ".join(texts) + "."


def adapter(command: str) -> TypeAdapter[Any]:
    """Return what validates the output of a command: no other keys, no other types."""
    from pydantic import TypeAdapter

    for kind in filter(is_typeddict, globals().values()):
        kind.__pydantic_config__ = {"extra": "forbid", "strict": True}
    wanted: Any = Union[RESULTS[command]]  # noqa: UP007 - of a tuple
    return TypeAdapter(wanted)


def schema() -> dict[str, Any]:
    """Return the JSON schema of the results of all commands: a property for each command."""
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002
            return False  # it would repeat the key

    by_name, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter(name)) for name in RESULTS], schema_generator=Untitled
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Results of gco-agent COMMAND --json, by command",
        "type": "object",
        "properties": {name: part for (name, _), part in by_name.items()},
        **shared,
    }


def _keys(kind: Any) -> Iterator[str]:  # noqa: ANN401 - a TypedDict
    for key, value in get_type_hints(kind, include_extras=True).items():
        note = ""
        inner: Any = value
        if hasattr(value, "__metadata__"):
            inner, note = get_args(value)
            note = f" ({note})"
        parts = [part for part in get_args(inner) if part is not NoneType] or [inner]
        nested = next((part for part in parts if is_typeddict(part)), None)
        if nested is None:
            yield key + note
        elif getattr(inner, "__origin__", None) is list:
            yield f"{key}: [{', '.join(_keys(nested))}]"
        else:
            yield f"{key}: {{{', '.join(_keys(nested))}}}"
