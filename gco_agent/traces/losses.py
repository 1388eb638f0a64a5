"""Find what ended each life: what touched the player, or what was nearest, when play stopped.

Knows no game. A category explains a loss if it touches the player before losses far more often than
at other times, as neither the ground nor what is collected does. Games count a lost life up to
sixty steps after the contact, so both steps are kept.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gco_agent.core.observation import Row
from gco_agent.core.text import fence
from gco_agent.traces.records import Loss, Near

PLAYER = "Player"
_SPAN, _LATE, _AFTER = 30, 25, 2
"""Steps: of a span in which contacts are counted; the fewest from the last step in play to the
counted loss; and those after the last step in play that are looked at."""
_KEPT = 96
_PUT_ASIDE = 3
"""Steps that a player stands where it is put after a life is lost."""
_TOLERANCE, _REACH, _JUMP = 1, 24, 24
"""Pixels: largest gap of a contact, largest gap that is looked at, and largest move in a step."""
_SUBSTEPS = 4
_LIFT, _FATAL = 1.5, 0.3
"""A category may be a cause if it touches the player at least this many times as often before
losses as otherwise, and at least this share of its touches comes before a loss."""
_MOST_LOSSES, _MOST_LEVELS = 60, 400
_RARE = 0.02
"""A gauge explains a loss at its lowest level, if it is there in at most this share of steps."""
_FAR = 24
"""Largest distance in pixels of an object that is called near."""
_LEAST_ROWS = 2
HEADER = "episode|seen|counted|lives left|return|actions|player|its move|other|its move|last seen"
LEGEND = (
    "`seen`: the step in which the contact is first seen, or the last one in play; the game counts "
    "the loss later, in step `counted`. Episode 0 is the first row above. `actions`: those "
    "up to `seen`. `player`: x,y of its top left corner; `other`: from the player's centre to the "
    "other object's, right and down positive. Moves are pixels a step. `last seen`: the player, "
    "before the loss is counted, and the steps in which it then stood there, if it had moved "
    "before: hit and frozen, put at its start, or waiting."
)

Rows = Mapping[str, Sequence[Row]]
_Touching = dict[str, Row]


@dataclass(frozen=True, slots=True)
class Contacts:
    """How often categories touched the player.

    Attributes:
        n_spans: Spans of play.
        touched: Category to the spans in which it touched the player.
        begun: Category to how often a touch of it began.
    """

    n_spans: int = 0
    touched: Mapping[str, int] = field(default_factory=dict)
    begun: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class LossFinder:
    """Watches the objects of an episode, and keeps what was near the player when it lost."""

    losses: list[Loss] = field(default_factory=list)
    history: deque[tuple[int, Rows, _Touching]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    levels: dict[str, Counter[int]] = field(default_factory=dict)
    moving: set[str] = field(default_factory=set)
    span: set[str] = field(default_factory=set)
    touched: Counter[str] = field(default_factory=Counter)
    begun: Counter[str] = field(default_factory=Counter)
    touched_at: dict[str, int] = field(default_factory=dict)
    n_spans: int = 0

    @property
    def contacts(self) -> Contacts:
        """How often each category touched the player."""
        return Contacts(self.n_spans, dict(self.touched), dict(self.begun))

    def see(self, step: int, rows: Rows) -> None:
        """Note the objects of a step."""
        if self.history:
            before, then, touching = self.history[-1]
            touching.update(_touching(then, rows))
            self.span.update(touching)
            for category in touching:
                if before - self.touched_at.get(category, -_KEPT) > _SPAN:
                    self.begun[category] += 1
                self.touched_at[category] = before
            if before % _SPAN == 0:
                self.n_spans += 1
                self.touched.update(self.span)
                self.span.clear()
        self.history.append((step, rows, {}))
        for category, members in rows.items():
            if any(row[4] or row[5] for row in members):
                self.moving.add(category)
            if len(members) == 1 and category not in self.moving:
                levels = self.levels.setdefault(category, Counter())
                if len(levels) < _MOST_LEVELS:
                    levels[_level(members[0])] += 1

    def lose(self, loss: Loss, in_play: int) -> None:
        """Add a loss with what was near the player about the step ``in_play``."""
        if len(self.losses) >= _MOST_LOSSES:
            return
        begin = min(in_play, loss.counted - _LATE) - _SPAN // 3
        begin = max(begin, self.losses[-1].counted if self.losses else 0)
        since = [one for one in self.history if one[0] >= begin]
        seen = [n for n, one in enumerate(since) if one[1].get(PLAYER)]
        at = next((n for n in reversed(seen) if since[n][0] <= in_play), seen[0] if seen else 0)
        end, still_since = None, None
        if seen:
            places = [since[n][1][PLAYER][0][:2] for n in seen]
            end = (since[seen[-1]][0], *places[-1])
            stood = next((k for k in reversed(range(len(seen))) if places[k] != places[-1]), -1)
            if stood >= 0:
                still_since = since[seen[stood + 1]][0]
            is_put = len(seen) - stood > _PUT_ASIDE
            if stood >= 0 and is_put and _jump(places[stood], places[-1]) > _JUMP:
                at = min(at, seen[stood])  # the contact was before
                in_play = min(in_play, since[at][0])
            elif _jump(since[at][1][PLAYER][0][:2], places[-1]) > _JUMP:
                at = seen[-1]  # play went on elsewhere after a pause
                in_play = since[at][0]
            in_play = max(in_play, since[at][0])  # a player that appears only afterwards
        last = [one for one in since if one[0] <= in_play + _AFTER]
        near = [self._near(last, n, c, row) for n, c, row in _contacts(last)]
        if seen and (found := self._nearest(last[at][1])):
            near.append(replace(self._near(last, at, *found[1:]), gap=found[0]))
        gauge = self._gauge(last[-1][1]) if last else ""
        self.losses.append(
            replace(
                loss,
                step=in_play,
                near=tuple(near),
                gauge=gauge,
                player_end=end,
                still_since=still_since,
            )
        )

    def _near(
        self, last: Sequence[tuple[int, Rows, _Touching]], n: int, category: str, row: Row
    ) -> Near:
        step, rows, _ = last[n]
        player = rows[PLAYER][0]
        return Near(
            category,
            step,
            0,
            player[:2],
            _motion(last, n, PLAYER, player),
            (
                row[0] + row[2] // 2 - player[0] - player[2] // 2,
                row[1] + row[3] // 2 - player[1] - player[3] // 2,
            ),
            _motion(last, n, category, row),
        )

    def _nearest(self, rows: Rows) -> tuple[int, str, Row] | None:
        """Return the nearest of the things that move, with its distance."""
        player = rows[PLAYER][0]
        others = [
            (max(1, _gap(player, row)), category, row)
            for category, members in rows.items()
            if category != PLAYER and category in self.moving
            for row in members
        ]
        return min(others, key=lambda one: one[0], default=None)

    def _gauge(self, rows: Rows) -> str:
        """Return what stands at its lowest level, where it seldom is."""
        for category, levels in self.levels.items():
            members, n = rows.get(category, ()), levels.total()
            least = min(levels)
            level = _level(members[0]) if members else least
            if len(levels) > 2 and level == least and levels[least] <= _RARE * n:  # noqa: PLR2004
                return f"{category} at its lowest, {level}"
        return ""


def _contacts(last: Sequence[tuple[int, Rows, _Touching]]) -> Iterator[tuple[int, str, Row]]:
    """Yield each category that touches the player: where its last touch began, and what it was."""
    begun: dict[str, int] = {}
    for n, (_, _, touching) in enumerate(last):
        earlier = last[n - 1][2] if n else {}
        begun.update({category: n for category in touching if category not in earlier})
    for category, n in begun.items():
        yield n, category, last[n][2][category]


def _touching(then: Rows, now: Rows) -> Iterator[tuple[str, Row]]:
    """Yield what touches the player from one step to the next, one thing of each category."""
    if not (players := then.get(PLAYER)):
        return
    x, y, w, h = players[0][:4]
    after = now.get(PLAYER) or players
    px, py = after[0][0] - x, after[0][1] - y
    if max(abs(px), abs(py)) > _JUMP:
        px = py = 0
    for category, members in then.items():
        if category == PLAYER:
            continue
        for row in members:
            ox, oy, ow, oh, dx, dy = row[:6]
            gap: float = max(ox - x - w, x - ox - ow, oy - y - h, y - oy - oh)
            if gap > _REACH:
                continue
            if gap > _TOLERANCE:
                gap = min(
                    max(ox + sx - x - w, x - ox - sx - ow, oy + sy - y - h, y - oy - sy - oh)
                    for sx, sy in (
                        ((dx - px) * k / _SUBSTEPS, (dy - py) * k / _SUBSTEPS)
                        for k in range(1, _SUBSTEPS + 1)
                    )
                )
            if gap <= _TOLERANCE:
                yield category, row
                break


def _gap(a: Row, b: Row) -> int:
    """Return the pixels between two boxes, across or down, whichever is more."""
    return max(b[0] - a[0] - a[2], a[0] - b[0] - b[2], b[1] - a[1] - a[3], a[1] - b[1] - b[3])


def _jump(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the pixels between two places, across or down, whichever is more."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _level(row: Row) -> int:
    return row[2] if row[6] is None else row[6]


def _motion(
    last: Sequence[tuple[int, Rows, _Touching]], n: int, category: str, row: Row
) -> tuple[int, int]:
    """Return how a thing moves; of one that has just stopped, how it moved before."""
    for _, rows, _ in reversed(last[max(0, n - 2) : n + 1]):
        members = rows.get(category, ())
        same = min(
            members, key=lambda one: abs(one[0] - row[0]) + abs(one[1] - row[1]), default=row
        )
        if 0 < abs(same[4]) + abs(same[5]) <= _JUMP:
            return same[4], same[5]
    return 0, 0


def explain(losses: Sequence[Loss], contacts: Sequence[Contacts]) -> tuple[Loss, ...]:
    """Return the losses of some episodes with their causes, by the contacts of all of them."""
    n_spans = max(1, sum(one.n_spans for one in contacts))
    usual: Counter[str] = Counter()
    begun: Counter[str] = Counter()
    for one in contacts:
        usual.update(one.touched)
        begun.update(one.begun)
    before = Counter(c for loss in losses for c in {n.category for n in loss.near if not n.gap})
    fatal = {
        c: n / max(n, begun[c])
        for c, n in before.items()
        if n * n_spans >= _LIFT * len(losses) * (usual[c] + 1)
    }
    return tuple(_explained(loss, fatal) for loss in losses)


def _explained(loss: Loss, fatal: Mapping[str, float]) -> Loss:
    touching = [n for n in loss.near if not n.gap and fatal.get(n.category, 0.0) >= _FATAL]
    if touching:
        cause = max(touching, key=lambda n: (round(fatal[n.category], 1), n.step))
        return replace(loss, near=(cause,), step=cause.step, cause=cause.category)
    return replace(loss, near=tuple(near for near in loss.near if near.gap))


def describe_losses(losses: Sequence[Loss], seeds: Sequence[int], most: int = 40) -> str:
    """Return a table of the losses with its legend; "" if there are none.

    Args:
        losses: Those of some episodes.
        seeds: Of these episodes, in order.
        most: Rows, about.
    """
    rows = loss_rows(losses, seeds, most)
    return f"{LEGEND}\n\n{fence(chr(10).join([HEADER, *rows]), 'text')}" if rows else ""


def loss_rows(losses: Sequence[Loss], seeds: Sequence[int], most: int) -> list[str]:
    """Return the rows of the table, grouped by cause; each cause has its share, evenly spread."""
    order = {seed: n for n, seed in enumerate(seeds)}
    groups: dict[str, list[Loss]] = {}
    for loss in losses:
        groups.setdefault(_cause(loss), []).append(loss)
    rows: list[str] = []
    for cause, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        n = min(len(members), max(_LEAST_ROWS, most * len(members) // len(losses)))
        shown = [members[k * len(members) // n] for k in range(n)]
        more = f", {n} of them shown" if n < len(members) else ""
        rows.append(f"{cause}: {len(members)} of {len(losses)}{_sides(members)}{more}")
        rows += [_row(loss, order[loss.seed]) for loss in shown]
    return rows


def _cause(loss: Loss) -> str:
    if loss.cause:
        return f"{loss.cause} touches the player"
    if loss.gauge:
        return f"{loss.gauge.partition(' ')[0]} at its lowest"
    if loss.near and loss.near[0].gap <= _FAR:
        return f"nothing seen to touch the player, nearest is {loss.near[0].category}"
    return f"nothing within {_FAR} pixels of the player"


def _sides(members: Sequence[Loss]) -> str:
    """Return on which sides of the player the other object was, and how often."""
    sides: Counter[str] = Counter()
    for x, y in (loss.near[0].place for loss in members if loss.near):
        across, down = ("right" if x > 0 else "left"), ("below" if y > 0 else "above")
        sides[across if abs(x) >= abs(y) else down] += 1
    return f" ({', '.join(f'{side} {n}' for side, n in sides.most_common())})" if sides else ""


def _row(loss: Loss, episode: int) -> str:
    """Return a loss as a row of the table."""
    lives = loss.what if loss.lives is None or loss.what != "life" else str(loss.lives)
    lives += f" ({loss.n_lost} at once)" if loss.n_lost > 1 else ""
    cells = [str(episode), str(loss.step), str(loss.counted), lives, f"{loss.episode_return:g}"]
    cells.append(" ".join(loss.actions))
    if loss.near:
        near = loss.near[0]
        cells += [_place(near.player), _pair(near.player_motion)]
        cells += [_pair(near.place) + ("" if loss.cause else f" {near.category}")]
        cells.append(_pair(near.motion))
    if loss.player_end is not None and not (loss.cause and loss.still_since is None):
        step, *place = loss.player_end
        cells += [""] * (0 if loss.near else 4)
        cells.append(f"{_place(place)} in {_steps(loss.still_since, step)}")
    return "|".join(cells)


def _place(place: Sequence[int]) -> str:
    return "{},{}".format(*place)


def _steps(first: int | None, last: int) -> str:
    return str(last) if first in (None, last) else f"{first}-{last}"


def _pair(pair: tuple[int, int]) -> str:
    return "{:+d},{:+d}".format(*pair)
