"""What a policy is and is worth, as Markdown to be shared with the file: pure text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from gco_agent.core.formatting import format_points
from gco_agent.core.records import Evaluation
from gco_agent.core.statistics import confidence_interval
from gco_agent.games import GameSpec
from gco_agent.policy import PolicySource, measure
from gco_agent.report.summary import RunReport, score_in_words

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&-])")
_WHAT_IT_IS = (
    "The policy is one Python file that reads {what} and answers with an action. What it does can "
    "be read below.\n"
)
_FENCE = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a card is about.

    Attributes:
        name: What the policy is called.
        source: Its text.
        spec: The game.
        evaluation: On report seeds.
        seeds: Which, in words.
        run: The run that it is from, if it is from one.
    """

    name: str
    source: PolicySource
    spec: GameSpec
    evaluation: Evaluation
    seeds: str
    run: RunReport | None = None


def compose(subject: Subject) -> str:
    """The text of the card."""
    parts = [
        _front_matter(subject),
        f"# {subject.spec.title}: a policy of gco-agent\n",
        f"{escape(subject.spec.goal)}\n",
        _WHAT_IT_IS.format(
            what="the objects on the screen"
            if subject.spec.has_objects
            else "what the environment shows"
        ),
        _score(subject),
        _use(subject),
        _origin(subject.run) if subject.run else "",
        _limits(subject),
        "## The policy\n\n" + fenced(subject.source.text, "python"),
    ]
    return "\n".join(part for part in parts if part)


def escape(text: str) -> str:
    """Text in Markdown that shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def fenced(text: str, language: str = "") -> str:
    """A code block that nothing in ``text`` can end."""
    longest = max((len(found) for found in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _front_matter(subject: Subject) -> str:
    """Facts for programs, as the Hugging Face hub reads them: JSON is YAML."""
    mean = subject.evaluation.mean_return
    metric = {"type": "mean_return", "name": "mean return", "value": mean}
    result = {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"name": subject.spec.env_id, "type": subject.spec.env_id},
        "metrics": [metric],
    }
    data: dict[str, object] = {
        "library_name": "gco-agent",
        "tags": [
            *("reinforcement-learning", "programmatic-policy"),
            *(["atari"] if subject.spec.has_objects else []),
            subject.spec.env_id,
        ],
        "model-index": [{"name": subject.name, "results": [result]}],
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in data.items()]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _score(subject: Subject) -> str:
    played = subject.evaluation
    if played.mean_return is None:
        told = (
            f"None: the policy failed in {len(played.failures)} of {len(played.episodes)} episodes."
        )
        return f"## Score\n\n{told}\n"
    interval = confidence_interval(played.returns)
    between = "" if interval is None else f" (95 % interval {interval[0]:.4g} to {interval[1]:.4g})"
    return (
        f"## Score\n\nMean return {format_points(played.mean_return)}{between}: "
        f"{len(played.episodes)} episodes, seeds {subject.seeds}, which no search of gco-agent "
        f"sees. Protocol: `{played.protocol}`. Actions: `{played.digest}`.\n"
        + _others(subject.spec)
    )


def _others(spec: GameSpec) -> str:
    """What others score, each with how and where; nothing where nobody says."""
    if not spec.scores:
        return ""
    rows = "".join(
        f"| {escape(score.label)} | {score.value:g} | {escape(score.played)} "
        f"| {escape(score.source)} |\n"
        for score in spec.scores
    )
    return (
        "\nFor scale, of other protocols:\n\n| who | mean return | how it was played | source |\n"
        f"|---|---|---|---|\n{rows}"
    )


def _use(subject: Subject) -> str:
    env_id = subject.spec.env_id
    code = (
        "import gymnasium\n"
        "import gco_agent.envs  # registers the environment\n"
        "from gco_agent import load_policy\n\n"
        f'env = gymnasium.make("{env_id}")\n'
        f'policy = load_policy("{subject.spec.name}.py")\n'
        "obs, info = env.reset(seed=0)\n"
        "done = False\n"
        "while not done:\n"
        "    obs, reward, terminated, truncated, info = env.step(policy.act(obs))\n"
        "    done = terminated or truncated\n"
    )
    command = f"gco-agent eval {subject.spec.name}.py --episodes {len(subject.evaluation.episodes)}"
    return (
        "## Use\n\n" + fenced(code, "python") + "\nThat runs the file in your own process. "
        f"`{command}` plays it in the jail and measures the score again.\n"
    )


def _origin(run: RunReport) -> str:
    lines = [
        f"- run `{run.branch}`, commit `{run.commit}`",
        f"- {run.n_tried:,} iterations with the optimizer `{run.config.optimizer}`, seed "
        f"{run.config.seed}; {run.positions[-1]['frames']:.2f} million frames"
        + (f", ${run.positions[-1]['usd']:.2f}" if run.positions[-1]["usd"] else ""),
        f"- it began at {escape(score_in_words(run.trials[0].facts))}",
        f"- again: `{run.command}`",
    ]
    return "## Where it is from\n\n" + "\n".join(lines) + "\n"


def _limits(subject: Subject) -> str:
    size = measure(subject.source.text)
    shape = (
        f"{size.loc} lines of code, cyclomatic complexity {size.cyclomatic}, `if` nested "
        f"{size.nested_if} deep."
    )
    eyes = (
        "It sees objects read from the console's memory (OCAtari), not pixels; where those are "
        "wrong or missing, so is it."
    )
    scope = "The score is of one protocol. `gco-agent card` says what is left of it under others."
    lines = (shape, eyes, scope) if subject.spec.has_objects else (shape, scope)
    told = [f"- {line}" for line in lines]
    return "## Limits\n\n" + "\n".join(told) + "\n"
