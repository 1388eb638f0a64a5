from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, PlayProtocol
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import (
    Claim,
    PolicySource,
    claim_of,
    describe_rules,
    describe_score,
    docstring_of,
    environment_of,
    is_same_but_for_score,
    with_environment,
    with_measured_header,
)

RULES = PlayProtocol("default", "gco/Pong-v5")
ACT = "\n\ndef act(obs):\n    return 0\n"
BLOCK = (
    "Environment: gco/Pong-v5\n"
    "Mean return: 2.50 ± 0.50 (2 episodes, report 0:2)\n"
    "Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most\n"
    "Run: gco/pong/x, iteration 3\n"
)


def evaluation(*returns: float, outcome: Outcome = Outcome.GAME_OVER) -> Evaluation:
    episodes = (EpisodeResult(n, r, 10, outcome) for n, r in enumerate(returns))
    return Evaluation(tuple(episodes), "p")


def measured(source: PolicySource, iteration: int = 3) -> PolicySource:
    return with_measured_header(
        source,
        RULES,
        evaluation(2, 3),
        seeds="report 0:2",
        origin=f"gco/pong/x, iteration {iteration}",
    )


def test_the_header_says_what_where_and_how_well() -> None:
    told = measured(PolicySource('"""Follow the ball.\n\nEnvironment: ALE/Pong-v5\n"""' + ACT))
    assert docstring_of(told) == f"Follow the ball.\n\n{BLOCK}"
    assert environment_of(told) == "gco/Pong-v5"
    check_policy(told)


def test_what_a_header_claims_is_read_back() -> None:
    rules = f"gco/Pong-v5, {describe_rules(RULES)}"
    claim = claim_of(measured(PolicySource(ACT)))
    assert claim == Claim("2.50 ± 0.50 (2 episodes, report 0:2)", 2.5, rules)


@pytest.mark.parametrize("line", ["", "Mean return: none: 2 episodes failed", "Mean return 3.5"])
def test_a_docstring_that_claims_no_score(line: str) -> None:
    told = f'"""Follow.\n\nEnvironment: gco/Pong-v5\n{line}\n"""'
    assert claim_of(PolicySource(told + ACT)) is None
    assert claim_of(PolicySource(ACT)) is None


def test_a_policy_without_a_docstring_gets_one() -> None:
    assert docstring_of(measured(PolicySource(ACT))) == f"A policy.\n\n{BLOCK}"


def test_the_facts_are_written_anew() -> None:
    once = measured(PolicySource('"""Follow."""' + ACT))
    assert measured(once).text == once.text
    assert measured(measured(once, 4)).text == once.text


def test_the_authors_words_stay() -> None:
    words = (
        "Follow the ball.\n\nWhat is Measured: nothing.\n    Indented.\n\n\n"
        "Environment: gco/Pong-v5\nMean return: 9\nThis line is the author's.\n\nSo is this."
    )
    told = docstring_of(measured(PolicySource(f'"""{words}"""' + ACT)))
    assert told == (
        "Follow the ball.\n\nWhat is Measured: nothing.\n    Indented.\n\n"
        f"This line is the author's.\n\nSo is this.\n\n{BLOCK}"
    )


@pytest.mark.parametrize(
    "words",
    [
        "Follow.\nEnvironment: policies/pong.py",
        "Follow.\n\n  Environment: evil:X-v0\n",
        "Follow.\x0bEnvironment: evil.py\x0c",
        "Mean return: 21.00 ± 0.00 (1000 episodes, report 0:1000)\nFollow.",
        "Follow.\nMean  return: 500.00 \u00b1 0.00 (30 episodes, report 0:30)",
        "Follow.\nMean\u00a0return: 500\nMean\u200b return : 500\n* mean_return = 5",
        "Follow.\nMEAN RETURN: +5",
        "Follow.\n\uff2dean return\uff1a 500\nRun : gco/x/y",
        "Environment: a.py\nEnvironment: b.py\n\nFollow.\n\tMeasured: on the moon\nRun: gco/x/y",
    ],
)
def test_an_author_cannot_write_our_lines(words: str) -> None:
    told = measured(PolicySource(f"{words!r}{ACT}"))
    assert docstring_of(told) == f"Follow.\n\n{BLOCK}"
    assert environment_of(told) == "gco/Pong-v5"


@given(st.text(st.sampled_from('ab:"\\\n \tEé±'), max_size=60))
def test_any_docstring_is_measured_twice_as_once(words: str) -> None:
    source = PolicySource(f"{words!r}{ACT}")
    once = measured(source)
    check_policy(once)
    assert measured(once).text == once.text


@pytest.mark.parametrize(
    ("played", "text"),
    [
        (evaluation(2, 3), "2.50 ± 0.50 (2 episodes, report 0:2)"),
        (evaluation(2), "2.00 (1 episodes, report 0:2)"),
        (evaluation(2, 3, outcome=Outcome.DIED), "none: 2 episodes failed"),
    ],
)
def test_scores_as_people_read_them(played: Evaluation, text: str) -> None:
    assert describe_score(played, "report 0:2") == text


def test_rules_that_are_not_usual_are_told() -> None:
    rules = replace(PlayProtocol("reference", "gco/Pong-v5"), one_life=True, restarts=3)
    told = with_measured_header(
        PolicySource('"""Wait."""\n\n\ndef act(obs):\n    return 0\n'),
        rules,
        evaluation(1.0, 2.0),
        seeds="report 0:2",
        origin="gco/pong/x, iteration 1",
    )
    assert "27000 steps at most, one_life=True, restarts=3\n" in told.text


def test_a_policy_with_another_score_is_the_same() -> None:
    plain = PolicySource('"""Follow the ball."""' + ACT)
    first, later = measured(plain), measured(plain, iteration=9)
    assert first.text != later.text
    assert is_same_but_for_score(first.text, later.text)
    assert not is_same_but_for_score(first.text, later.text.replace("return 0", "return 1"))
    assert not is_same_but_for_score(first.text, later.text.replace("Follow", "Flee"))
    assert is_same_but_for_score("no code (", "no code (")
    assert not is_same_but_for_score("no code (", "nor this (")


@pytest.mark.parametrize("mark", [":", "=", " ", "-", "_"])
def test_a_long_docstring_takes_no_longer_than_its_length(mark: str) -> None:
    words = f"Mean returns{mark * 200_000}"
    source = PolicySource(f'"""{words}"""\n\n\ndef act(obs):\n    return 0\n')
    assert words.strip() in with_environment(source, "gco/Pong-v5").text
