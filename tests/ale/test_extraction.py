"""Our objects are OCAtari's objects, frame by frame."""

from __future__ import annotations

import ast
import warnings
from enum import Enum
from typing import Any

import pytest

from gco_agent.core.errors import GcoError
from gco_agent.core.observation import Row
from gco_agent.envs import extraction
from gco_agent.envs.extraction import MAX_STEP_PX, ObjectExtractor
from gco_agent.envs.objects import ObjectObservation, Rules, make_object_env
from tests.ale.games import NAMES, actions

N_STEPS = 300
COMPLETED = {"asterix", "enduro", "qbert"}
"""Games that we add to or change; of these, what OCAtari alone gives is compared."""


@pytest.fixture(scope="module")
def ocatari() -> Any:
    """OCAtari's environment class; what it imports warns of this and that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ocatari.core import OCAtari
    return OCAtari


def make_theirs(ocatari: Any, game: str, **settings: Any) -> Any:
    title = "".join(word.capitalize() for word in game.split("_"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ocatari(
            f"ALE/{title}-v5",
            mode="ram",
            obs_mode="ori",
            hud=False,
            create_buffer_stacks=["ori"],
            repeat_action_probability=0.25,
            frameskip=4,
            **settings,
        )


def make_ours(game: str) -> ObjectObservation:
    return make_object_env(game, rules=Rules(is_completed=game not in COMPLETED))


def their_rows(env: Any, game: str, *, is_first: bool) -> dict[str, list[Row]]:
    """OCAtari's objects; for games that we complete nothing, with its wild velocities as none."""
    rows: dict[str, list[Row]] = {}
    is_raw = game in COMPLETED
    for thing in env.objects:
        if thing:
            dx, dy = thing.dx, thing.dy
            if not is_raw and (is_first or max(abs(dx), abs(dy)) > MAX_STEP_PX):
                dx = dy = 0
            facing = thing.orientation
            rows.setdefault(thing.category, []).append(
                (
                    *(thing.x, thing.y, thing.w, thing.h, dx, dy),
                    getattr(thing, "value", None),
                    tuple(thing.rgb),
                    facing.name if isinstance(facing, Enum) else facing,
                )
            )
    return rows


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("seed", [3, pytest.param(1_000_000_007, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("game", NAMES)
def test_every_frame_equals_that_of_ocatari(ocatari: Any, game: str, seed: int) -> None:
    theirs, ours = make_theirs(ocatari, game), make_ours(game)
    theirs.reset(seed=seed)
    rows, lives = ours.begin(seed)
    assert rows == their_rows(theirs, game, is_first=True)
    n_resets = 0
    for t, action in enumerate(actions(seed, len(ours.action_names), N_STEPS)):
        # OCAtari 2.2.1 calls the fourth "truncated"; test_ocatari_swaps_its_last_two pins that
        _, reward, fourth, fifth, info = theirs.step(action)
        rows, lives, our_reward, terminated, truncated = ours.step_rows(action)
        assert rows == their_rows(theirs, game, is_first=False), t
        assert (our_reward, lives) == (reward, info["lives"]), t
        assert (truncated, terminated) == (fourth, fifth), t
        if terminated or truncated:
            n_resets += 1
            theirs.reset(seed=seed + n_resets)
            rows, _ = ours.begin(seed + n_resets)
            assert rows == their_rows(theirs, game, is_first=True), t


@pytest.mark.parametrize("game", ["breakout", "qbert"])
def test_episodes_to_their_end_equal_those_of_ocatari(ocatari: Any, game: str) -> None:
    theirs, ours = make_theirs(ocatari, game), make_ours(game)
    for seed in (5, 6):
        theirs.reset(seed=seed)
        ours.begin(seed)
        is_over = False
        n_steps = 0
        while not is_over:
            action = actions(n_steps, len(ours.action_names), 1)[0]
            *_, fifth, _ = theirs.step(action)
            rows, *_, terminated, truncated = ours.step_rows(action)
            assert rows == their_rows(theirs, game, is_first=False), n_steps
            assert terminated == fifth
            assert not truncated
            is_over = terminated
            n_steps += 1
        assert n_steps > 100


def test_ocatari_swaps_its_last_two(ocatari: Any) -> None:
    """When this fails OCAtari was repaired: swap back in the test above, and in the docstrings."""
    env = make_theirs(ocatari, "breakout", max_num_frames_per_episode=200)
    env.reset(seed=1)
    fourth = fifth = False
    while not (fourth or fifth):
        *_, fourth, fifth, _ = env.step(0)
    assert (fourth, fifth) == (True, False)  # a cut episode: Gymnasium would say (False, True)


@pytest.mark.parametrize("hud", [False, True])
@pytest.mark.parametrize("game", NAMES)
def test_rows_are_plain_numbers_of_known_categories(game: str, *, hud: bool) -> None:
    env = make_object_env(game, hud=hud)
    rows, _ = env.begin(1)
    for action in actions(1, len(env.action_names), 150):
        for category, members in rows.items():
            assert category in env._extractor.categories
            for row in members:
                assert all(type(v) in {int, str, tuple, type(None)} for v in row), (category, row)
                assert all(type(v) is int for v in row[7] or ())
        rows, _, _, terminated, truncated = env.step_rows(action)
        if terminated or truncated:
            rows, _ = env.begin(2)


def test_displays_are_seen_only_when_asked_for() -> None:
    plain, with_hud = make_object_env("seaquest"), make_object_env("seaquest", hud=True)
    assert "PlayerScore" in with_hud._extractor.categories
    assert "PlayerScore" in with_hud.begin(1)[0]
    assert "PlayerScore" not in plain.begin(1)[0]


def test_two_extractors_of_qbert_do_not_disturb_each_other() -> None:
    def play(env: Any, seed: int) -> list[Any]:
        seen: list[Any] = [env.begin(seed)]
        seen += [env.step_rows(a) for a in actions(seed, len(env.action_names), 300)]
        return seen

    alone = [play(make_object_env("qbert"), seed) for seed in (1, 2)]
    envs = [make_object_env("qbert") for _ in range(2)]
    plans = [actions(seed, len(envs[0].action_names), 300) for seed in (1, 2)]
    together: list[list[Any]] = [[env.begin(s)] for env, s in zip(envs, (1, 2), strict=True)]
    for step in zip(*plans, strict=True):
        for env, action, seen in zip(envs, step, together, strict=True):
            seen.append(env.step_rows(action))
    assert together == alone


@pytest.mark.parametrize("game", NAMES)
def test_an_episode_does_not_depend_on_the_one_before(game: str) -> None:
    def play(env: Any, seed: int) -> list[Any]:
        seen: list[Any] = [env.begin(seed)]
        seen += [env.step_rows(a) for a in actions(seed, len(env.action_names), 120)]
        return seen

    env = make_object_env(game)
    first = play(env, 1)
    play(env, 2)
    assert play(env, 1) == first


def test_a_game_without_extraction_is_refused() -> None:
    with pytest.raises(GcoError, match="ocatari has no RAM extraction called 'zaxxon'"):
        ObjectExtractor("zaxxon")


def test_what_is_nothing_to_ocatari_is_nothing_to_us() -> None:
    """Some games have a class of their own for a slot that is empty."""
    folder = extraction._root() / "ram"
    nothing = {
        node.name
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "NoObject" for base in node.bases)
    }
    assert nothing
    assert nothing <= extraction._ABSENT
