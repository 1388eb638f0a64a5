"""Questions of a model, answered by the judge on feedback seeds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gco_agent.core.events import Event, Playing
from gco_agent.core.records import Usage
from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.llm.base import Completion, ScriptedModel
from gco_agent.optimizers import questions
from gco_agent.optimizers.base import ROUNDS, PastIteration
from gco_agent.optimizers.exchange import ExchangeOptimizer, files_for
from gco_agent.optimizers.prompts import HEADING
from gco_agent.optimizers.questions import Interview, read_questions
from gco_agent.optimizers.reflect import ReflectOptimizer
from gco_agent.optimizers.replies import MAX_CHARACTERS
from gco_agent.policy.source import PolicySource
from tests.engine.pong_policies import FOLLOW, HIDE, STILL
from tests.optimizers.corpus import GOOD
from tests.optimizers.requests import bare_request

RULES = default_protocol("pong", max_steps=120)
PARENT = PolicySource(
    FOLLOW.replace("class Policy", "MARGIN = 1\n\n\nclass Policy").replace(
        '.cy < obs["Player"]', '.cy + MARGIN < obs["Player"]'
    )
)
SEED = 1_000_000_000


@pytest.fixture(scope="module")
def interview() -> Iterator[Interview]:
    """A judge of short games of Pong, who remembers what was played."""
    tried = [PastIteration(4, "rejected", "run away", -2.0, "exchange", "", HIDE)]
    with WorkerPool(0) as pool:
        judge = Judge(pool, RULES)
        judge.evaluate(PARENT, range(SEED, SEED + 8))
        yield Interview(judge, PARENT, tried)


def ask(*blocks: str) -> str:
    return "\n\n".join(f"```ask\n{block}\n```" for block in blocks)


def answered(interview: Interview, *blocks: str) -> str:
    text = interview.answer(ask(*blocks))
    assert text is not None
    return text


def test_which_replies_are_questions() -> None:
    assert read_questions("Summary: x\n\n```python\ndef act(obs):\n    return 0\n```\n") == []
    assert read_questions(f"Let me look.\r\n{ask('show 1 2-3', 'play iteration 4')}") == [
        "show 1 2-3",
        "play iteration 4",
    ]
    apart = read_questions("```ask\nplay\n```\nthis:\n```python\ndef act(obs):\n    return 0\n```")
    assert apart == ["play\ndef act(obs):\n    return 0\n"]
    assert read_questions("x" * MAX_CHARACTERS + ask("play")) == []


def test_steps_are_shown(interview: Interview, monkeypatch: pytest.MonkeyPatch) -> None:
    text = answered(
        interview, f"show {SEED + 1} 60-64", "show 1 70 - 200", "show 1 0-119: Player select_action"
    )
    rows = [line.split("|")[0] for line in text.splitlines() if re.match(r"\d+\|", line)]
    assert rows == [*map(str, range(60, 65)), *map(str, range(70, 120)), *map(str, range(120))]
    *_, chosen = text.split("###")
    assert re.search(r"^step\|Player", chosen, re.MULTILINE)
    assert "select_action" in chosen
    assert "Ball" not in chosen
    assert "select_action" in text
    assert re.search(r"\|(NOOP|UP|DOWN)\b", text)
    nameless = Interview(interview.judge, PARENT, hints="none")
    assert not re.search(r"\|(NOOP|UP|DOWN)\b", answered(nameless, "show 1 60-64"))
    assert "Steps 60 to 64 of 120; the return is " in text
    monkeypatch.setattr(questions, "SHOWN_TOKENS", 300)
    short = answered(interview, "show 1 70-119")
    [end] = re.findall(r"^Steps 70 to (\d+) of 120;.* ask from step \d+ on\.$", short, re.MULTILINE)
    assert f"ask from step {int(end) + 1} on" in short
    assert 70 < int(end) < 119


def test_steps_of_other_policies_are_shown(interview: Interview) -> None:
    still = "    def select_action(self, obs):\n        return 0\n"
    text = answered(
        interview,
        "show iteration 4 1 60-64",
        f"show 1 60-64\n{still}",
        "show iteration 5 1 60-64",
    )
    _, past, changed, missing = text.split("###")
    assert re.search(r"^60\|", past, re.MULTILINE)
    assert past.count("\n6") == 5
    assert changed.count("|NOOP|") == 5
    assert "Steps 60 to 64." in changed  # the end of that episode was not played
    assert "Not answered: no candidate of iteration 5 is at hand." in missing


def test_values_of_a_constant_are_tried(interview: Interview) -> None:
    text = answered(interview, "try MARGIN = 1, 40, 'x'")
    rows = {
        row.split("|")[0]: row.split("|")[2] for row in text.splitlines() if row.count("|") == 2
    }
    assert rows["MARGIN = 1"] == rows["present policy"]
    assert rows["MARGIN = 40"] != rows["present policy"]
    assert rows["MARGIN = 'x'"].startswith("failed: TypeError")


def test_a_policy_is_played_beside_the_present_one(interview: Interview) -> None:
    parts = 'play\n    def select_action(self, obs):\n        return 3 if obs["Ball"] else 0\n'
    text = answered(interview, parts, "play iteration 4")
    assert '+        return 3 if obs["Ball"] else 0' in text
    assert text.count("The present policy's mean return on these seeds is") == 2
    assert text.count("seed|return|steps|ended") == 2
    assert text.count("A game ends after 120 steps here, as in a race.") == 1
    assert text.count("were truncated after 120 steps.") == 2
    assert "stage" not in text
    assert text.count("episode|seen|counted|lives left") == 2  # losses, though no game was over


def test_a_probe_is_evaluated_in_the_jail_on_the_actions_of_the_policy(
    interview: Interview,
) -> None:
    counts = "class Probe:\n  n = 0\n  def probe(self, obs):\n    self.n += 1\n    return self.n"
    text = answered(
        Interview(interview.judge, PolicySource(STILL)),
        'measure len(obs["Ball"]) > 0',
        f"measure\n{counts}",
        "measure\ndef probe(o):\n  1/0",
    )
    seen = answered(
        interview,
        "measure\ndef probe(obs, action):\n  return action",
        "measure\nclass Probe:\n  def probe(self, obs, action):\n    return action == 0",
    )
    assert re.search(r"In all 480 steps: true in [\d.]+%, mean [\d.]+, 0 to [1-9]", seen)
    assert seen.count("In all 480 steps: true in") == 2
    shares = re.findall(r"In all 480 steps: true in ([\d.]+)%", text)
    assert 0 < float(shares[0]) < 100
    assert shares[1] == "100.0"
    assert "mean 60.5, 1 to 120, quantiles 5/25/50/75/95 %: 7 31 61 91 115" in text
    assert re.search(r"mean [\d.]+, 0 to [1-9] \(0 in [\d,]+, .* steps\)", seen)
    losses = re.findall(r"^\d{10}\|.*\|([\d ]+)$", text, re.MULTILINE)
    assert losses, "the enemy scores"
    assert re.search(r"In the \d+ steps up to 40 before a loss: true in", text)
    assert "The probe failed in step 0:" in text
    assert "ZeroDivisionError" in text


def test_frequent_values_are_told_beside_quantiles_and_what_is_left_at_the_end(
    interview: Interview,
) -> None:
    codes = "class Probe:\n  n = 0\n  def probe(self, obs):\n    self.n += 1\n    return "
    text = answered(
        interview,
        f"measure\n{codes}700 if self.n % 2 else self.n",
        f"measure\n{codes}self.n * 3",
    )
    often = re.findall(r"In all 480 steps:.*most often 700 in 240", text)
    assert len(often) == 1
    left = re.search(r"left: rounds \d, steps ([\d,]+), minutes of play \d", text)
    assert left is not None
    assert int(left[1].replace(",", "")) > 300_000


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("hello", "a question begins with"),
        ("show me", "write `show SEED FIRST-LAST`"),
        ("show 77 1-2", f"the seeds are {SEED} to {SEED + 7}"),
        ("show 0 5-4", "the last step is before the first"),
        ("show 0 500-510", "that episode has 120 steps"),
        ("show 0 3-9: Shark", "has one of these names"),
        ("try MARGIN", "write `try NAME = VALUE, VALUE`"),
        ("try NOTHING = 3", "has no constant"),
        ("try MARGIN = __import__('os')", "is not a literal"),
        ("play", "write the policy"),
        ("play iteration 9", "no candidate of iteration 9"),
        ("play\nimport os\n\n\ndef act(obs):\n    return 0", "may not import os"),
        ("measure x = 3", "invalid syntax"),
        ("measure\nx = 3", "write `def probe"),
        ("measure open('/etc/passwd')", "may not use open"),
    ],
)
def test_questions_that_cannot_be_answered(interview: Interview, question: str, why: str) -> None:
    before = interview.judge.n_steps
    text = answered(interview, question)
    assert "Not answered:" in text
    assert why in text
    assert interview.judge.n_steps - before <= 120


def test_rounds_questions_steps_and_time_are_bounded(
    interview: Interview, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert interview.answer(ask("hello"), ROUNDS) is None
    assert interview.answer("no questions") is None
    text = answered(interview, *["hello"] * 9)
    assert text.count("Not answered:") == 4
    assert "Only the first 4" in text
    monkeypatch.setattr(questions, "_MOST_STEPS", interview.n_steps + 100)
    assert "are used up" in answered(interview, "try MARGIN = 77")
    late = Interview(interview.judge, PARENT, deadline=time.perf_counter())
    assert "the time is up" in answered(late, "try MARGIN = 78")
    poor = Interview(interview.judge, PARENT, most_steps=100)
    assert "the 100 steps for the questions" in answered(poor, "try MARGIN = 79")


def test_games_that_have_not_ended_in_time_are_left_out(
    interview: Interview, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, late_s = time.perf_counter, 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + late_s)

    def watch(event: Event) -> None:
        nonlocal late_s
        late_s = 1_000.0 if isinstance(event, Playing) and event.n_done == 2 else late_s

    slow = Interview(interview.judge, PARENT, progress=watch)
    text = answered(slow, "play\n" + STILL.replace("def act", "X = 1\n\n\ndef act"))
    assert "When the time for questions was up, 2 of 4 games had ended." in text
    assert text.count("|120|truncated") == 2


def test_text_of_a_model_cannot_pass_for_the_judges(interview: Interview) -> None:
    text = answered(interview, "hello\x1b[31m ## Your questions `x`", "measure\n````\n## No\n")
    assert "\x1b" not in text
    assert text.count(f"\n{HEADING}") == 0
    assert text.startswith(HEADING)


ANSWER = f"Summary: go down\n\n```python\n{GOOD}```\n"


def test_an_agent_asks_by_files_and_then_answers(tmp_path: Path, interview: Interview) -> None:
    folder = tmp_path / "gco-exchange" / "pong-first"
    replies = iter([ask("hello"), f"More.\n{ask('show 0 1-2')}", ANSWER])
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        return next(replies)

    request = bare_request(answer=interview.answer)
    proposal = ExchangeOptimizer(folder, lambda _: None, answer=answer).propose(request)
    assert proposal.summary == "go down"
    assert [prompt.count(f"\n{HEADING}") for prompt in prompts] == [0, 1, 2]
    assert proposal.files["prompt.md"] == prompts[2]
    assert proposal.files["questions.md"].count("```ask") == 2
    # what was asked in an interrupted command counts, and is kept
    (folder / "0007-reply.md").write_text(ask("hello"))
    last = ExchangeOptimizer(folder, lambda _: None, answer=lambda p: p * 0 + ANSWER)
    assert last.propose(request).files["prompt.md"].count(f"\n{HEADING}") == 3
    # another prompt begins anew
    other = files_for(folder, bare_request(tip="1" * 40))
    other.write_prompt(other.compose(bare_request(tip="1" * 40)))
    assert other.questions_asked() == {}


def test_a_model_asks_in_text_and_then_calls_the_tool(interview: Interview) -> None:
    used = Usage(100, output_tokens=10, usd=0.01)
    fields = {"diagnosis": "", "change": "", "summary": "go down", "policy": GOOD}
    model = ScriptedModel(
        [
            Completion(ask("hello"), None, used, "m", "end_turn"),
            Completion("", fields, used, "m", "tool_use"),
        ]
    )
    request = bare_request(answer=interview.answer)
    assert ReflectOptimizer(model).propose(request).summary == "go down"
    first, second = model.requests
    assert second.cached == first.cached
    assert second.user.startswith(first.user)
    assert "Not answered: a question begins with" in second.user
