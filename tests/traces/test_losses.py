"""What ended each life, found in episodes made by hand."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from gco_agent.core.observation import Row
from gco_agent.traces.losses import LossFinder, describe_losses, explain
from gco_agent.traces.records import Loss

GROUND: Row = (0, 110, 160, 4, 0, 0, None, None, None)


def box(x: int, y: int, dx: int = 0, dy: int = 0, w: int = 8, value: int | None = None) -> Row:
    return (x, y, w, 10, dx, dy, value, None, None)


def life(finder: LossFinder, begin: int, *, hit: bool, air: int = 64) -> int:
    """Play a life on the ground in which things are collected; return when it is counted lost.

    With ``hit`` a bat flies into the player in step 93, and the loss is counted 20 steps later.
    """
    for n in range(120):
        rows = {"Player": [box(50, 100)], "Ground": [GROUND], "Coin": [], "Bat": []}
        rows["Air"] = [box(20, 190, w=6, value=max(air - n, 0))]
        if n % 40 < 3:
            rows["Coin"] = [box(56, 100, -2)]
        if hit and n >= 80:
            rows["Bat"] = [box(max(140 - 6 * (n - 80), 56), 100, -6 if n < 94 else 0)]
        else:
            rows["Bat"] = [box(150, 20 + n % 2, 0, 1)]
        finder.see(begin + n, rows)
    return begin + 120


def explained(finder: LossFinder) -> tuple[Loss, ...]:
    return explain(finder.losses, [finder.contacts])


def test_what_touches_only_before_losses_is_their_cause():
    finder, counted = LossFinder(), 0
    for lives in (2, 1, 0):
        counted = life(finder, counted, hit=True)
        finder.lose(Loss(7, "life", counted, lives, 10.0), in_play=counted - 26)
    losses = explained(finder)
    assert {loss.cause for loss in losses} == {"Bat"}  # and neither ground nor coin
    near = losses[0].near[0]
    assert (losses[0].step, near.gap, near.place, near.motion) == (93, 0, (12, 0), (-6, 0))
    text = describe_losses(losses, [6, 7])
    assert (
        "Bat touches the player: 3 of 3 (right 3)\n1|93|120|2|10||50,100|+0,+0|+12,+0|-6,+0\n"
        in text
    )
    shortened = describe_losses(losses, [6, 7], most=1)
    assert "3 of 3 (right 3), 2 of them shown" in shortened
    assert "1|333|360|0|" not in shortened


def test_without_a_contact_the_nearest_is_told_and_a_gauge_at_its_lowest():
    finder = LossFinder()
    counted = life(finder, 0, hit=False, air=119)
    finder.lose(Loss(7, "life", counted, 1, 10.0, n_lost=2), in_play=119)
    counted = life(finder, counted, hit=False, air=500)
    finder.lose(Loss(7, "game over", counted, 1, 10.0), in_play=counted - 1)
    first, second = explained(finder)
    assert (first.cause, first.gauge) == ("", "Air at its lowest, 0")
    assert (second.cause, second.gauge, second.near[0].category) == ("", "", "Bat")
    text = describe_losses([first, second], [7])
    assert "Air at its lowest: 1 of 2" in text
    assert "1 (2 at once)" in text
    assert (
        "nothing within 24 pixels of the player: 1 of 2 (right 1)\n0|239|240|game over|10||" in text
    )
    assert describe_losses([], [7]) == ""


def test_play_that_goes_on_elsewhere_after_a_pause_ends_there():
    finder = LossFinder()
    for step in range(60):
        x = 50 if step < 58 else 90
        finder.see(step, {"Player": [box(x, 100)] if step < 40 or step > 57 else []})
    finder.lose(Loss(7, "life", 65, 1, 10.0), in_play=30)
    [loss] = explained(finder)
    assert (loss.step, loss.player_end, loss.near) == (59, (59, 90, 100), ())
    named = replace(loss, actions=("UP", "UP"))
    assert "0|59|65|1|10|UP UP|||||90,100 in 58-59\n" in describe_losses([named], [7])


def test_a_player_that_is_put_at_its_start_before_the_loss_is_counted_was_hit_before():
    finder = LossFinder()
    for step in range(60):
        player = box(50 + step, 100, 1) if step < 40 else box(10, 100)
        bat = box(119 - step, 100, -1) if step < 40 else box(20, 100 + step % 2, 0, 1)
        finder.see(step, {"Player": [player], "Bat": [bat]})
    finder.lose(Loss(7, "life", 60, 1, 10.0), in_play=59)  # the bat moves all the time
    [loss] = finder.losses
    assert (loss.step, loss.player_end, loss.still_since) == (39, (59, 10, 100), 40)
    assert {near.player for near in loss.near} <= {(x, 100) for x in range(79, 90)}


def test_a_player_that_is_frozen_after_a_contact_is_told():
    finder = LossFinder()
    for step in range(60):
        bat = box(min(3 * step - 30, 80), 100, 3)
        finder.see(step, {"Player": [box(50 + min(step, 36), 100, step < 36)], "Bat": [bat]})
    finder.lose(Loss(7, "life", 60, 1, 10.0), in_play=59)
    [loss] = finder.losses
    assert loss.still_since == 36
    assert "|86,100 in 36-59\n" in describe_losses([replace(loss, cause="Bat")], [7])


@given(
    players=st.lists(st.sampled_from([None, 10, 50, 150]), min_size=1, max_size=40),
    losses=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=4),
)
@example(players=[None] * 20 + [50], losses=[(20, 20)])
def test_a_loss_is_told_wherever_the_player_was_seen(
    players: list[int | None], losses: list[tuple[int, int]]
):
    finder = LossFinder()
    for step, x in enumerate(players):
        player = [] if x is None else [box(x, 100)]
        finder.see(step, {"Player": player, "Bat": [box(60, 100 + step % 2, 0, 1)]})
    for counted, before in losses:
        finder.lose(Loss(7, "life", counted, 1, 10.0), in_play=max(0, counted - before))
    told = explained(finder)
    assert len(told) == len(losses)
    describe_losses(told, [7])


def test_the_first_player_after_the_last_step_in_play_is_where_a_life_ended():
    finder = LossFinder()
    for step in range(30):
        player = [box(50, 100)] if step >= 20 else []
        finder.see(step, {"Player": player, "Bat": [box(70, 100 + step % 2, 0, 1)]})
    finder.lose(Loss(7, "life", 30, 1, 10.0), in_play=4)
    [loss] = explained(finder)
    assert loss.player_end == (29, 50, 100)
    assert (loss.step, loss.near[0].category, loss.near[0].place[0]) == (20, "Bat", 20)


def test_a_player_that_is_never_seen_has_losses_without_a_cause():
    finder = LossFinder()
    finder.see(0, {"Bat": [box(1, 1, 1)]})
    finder.lose(Loss(7, "-1", 1, None, -1.0), in_play=0)
    [loss] = explained(finder)
    assert (loss.cause, loss.near) == ("", ())
    assert "0|0|1|-1|-1" in describe_losses([loss], [7])
    assert explain((), ()) == ()
