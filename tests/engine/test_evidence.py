"""Episodes on record: read as they were written, and believed only from this user's machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import StoreError
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.jail.limits import read_level, weakest_jail
from gco_agent.store.evidence import format_evidence, key_path, parse_evidence
from tests.engine.policies import FOLLOW, HIDE, RULES, source


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def played(*returns: float, jail: str = "strong") -> Evaluation:
    episodes = (EpisodeResult(n, r, 9, Outcome.GAME_OVER, jail=jail) for n, r in enumerate(returns))
    return Evaluation(tuple(episodes), RULES.stamp)


episodes = st.builds(
    EpisodeResult,
    seed=st.integers(0, 2**31),
    episode_return=st.floats(allow_nan=False, allow_infinity=False),
    n_steps=st.integers(0, 27_000),
    outcome=st.sampled_from(Outcome),
    detail=st.text(),
    digest=st.text(),
    jail=st.sampled_from(["", "basic", "strong"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(episodes, unique_by=lambda e: e.seed))
def test_what_is_written_is_read(found: list[EpisodeResult]) -> None:
    evaluation = Evaluation(tuple(found), RULES.stamp)
    evidence = parse_evidence(format_evidence([(source(FOLLOW), evaluation)]), "a test")
    assert evidence.of(source(FOLLOW)) == evaluation.episodes
    assert evidence.of(source(HIDE)) == ()
    assert evidence.is_authentic
    weakest = weakest_jail(found)
    assert all(read_level(e.jail) <= read_level(weakest or "strong") for e in evidence.of(
        source(FOLLOW)
    ))  # fmt: skip


def test_the_key_is_the_users_alone_and_stays(state: Path) -> None:
    text = format_evidence([(source(FOLLOW), played(1.0))])
    assert key_path() == state / "gco-agent" / "evidence.key"
    assert key_path().stat().st_mode & 0o077 == 0
    key = key_path().read_text()
    assert format_evidence([(source(FOLLOW), played(1.0))]) == text
    assert key_path().read_text() == key
    assert key not in text


@pytest.mark.parametrize(
    "forge",
    [
        lambda data: data["policies"][source(FOLLOW).digest][0].update({"return": 21.0}),
        lambda data: data["policies"].update({source(HIDE).digest: []}),
        lambda data: data["jails"].update({source(FOLLOW).digest: "strong"}),
        lambda data: data.update(protocol="other rules"),
        lambda data: data.update({"hmac-sha256": "0" * 64}),
        lambda data: data.update({"hmac-sha256": 7}),
        lambda data: data.pop("hmac-sha256"),
    ],
)
def test_an_edited_record_is_not_believed(forge) -> None:
    data = json.loads(format_evidence([(source(FOLLOW), played(1.0, 2.0, jail="none"))]))
    forge(data)
    assert not parse_evidence(json.dumps(data), "a test").is_authentic


def test_the_record_of_another_user_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = format_evidence([(source(FOLLOW), played(1.0))])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    evidence = parse_evidence(text, "a test")
    assert not evidence.is_authentic
    assert evidence.of(source(FOLLOW)) == played(1.0).episodes


def test_without_a_place_for_a_key_nothing_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    text = format_evidence([(source(FOLLOW), played(1.0))])
    assert "hmac" not in text
    assert not parse_evidence(text, "a test").is_authentic


@pytest.mark.parametrize("home", [None, "."])
def test_no_key_is_taken_from_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    """A clone may hold one, where the user has no home or a relative one."""

    def find_home() -> Path:
        if home is None:
            raise RuntimeError("Could not determine home directory.")
        return Path(home)

    place = tmp_path / ".local/state/gco-agent"
    place.mkdir(parents=True)
    (place / "evidence.key").write_text("00" * 32)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", find_home)
    assert "hmac" not in format_evidence([(source(FOLLOW), played(1.0))])


def test_no_record_has_episodes_without_end() -> None:
    data = json.loads(format_evidence([(source(FOLLOW), played(1.0))]))
    data["policies"][source(FOLLOW).digest] *= 100_001
    with pytest.raises(StoreError, match="more than 100,000 episodes"):
        parse_evidence(json.dumps(data), "a test")


def test_records_of_schema_1_are_read() -> None:
    data = json.loads(format_evidence([(source(FOLLOW), played(1.0))]))
    data["schema"] = 1
    del data["jails"], data["hmac-sha256"]
    evidence = parse_evidence(json.dumps(data), "a test")
    assert (evidence.of(source(FOLLOW))[0].jail, evidence.is_authentic) == ("strong", False)
