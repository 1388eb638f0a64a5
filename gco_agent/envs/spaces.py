"""The Gymnasium space of observations made of objects."""

from __future__ import annotations

import gymnasium

from gco_agent.observation import ObjectBox, Observation

_WIDTH_PX, _HEIGHT_PX = 160, 210
_LARGEST_PX = 16
_MOST_OF_A_CATEGORY = 3
_MOST_LIVES = 5


class ObjectSpace(gymnasium.Space[Observation]):
    """All observations of objects: category to a sequence of `ObjectBox`.

    Sampling gives one to three boxes in each of ``categories``, anywhere on a screen of 160 x 210
    pixels. Any category may be in an observation, and any may be missing.

    Attributes:
        categories: Those that are known to occur.
    """

    def __init__(self, categories: tuple[str, ...] = (), seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)
        self.categories = categories

    @property
    def is_np_flattenable(self) -> bool:
        """Whether the space flattens to a box: no, the number of objects varies."""
        return False

    def sample(self, mask: object = None, probability: object = None) -> Observation:
        """A random observation.

        Raises:
            ValueError: A mask or probabilities are given, which mean nothing here.
        """
        if mask is not None or probability is not None:
            raise ValueError("an ObjectSpace takes neither a mask nor probabilities")
        counts = self.np_random.integers(1, _MOST_OF_A_CATEGORY + 1, len(self.categories))
        boxes = {
            category: [self._sample_box() for _ in range(count)]
            for category, count in zip(self.categories, counts, strict=True)
        }
        return Observation(boxes, lives=int(self.np_random.integers(_MOST_LIVES + 1)))

    def _sample_box(self) -> ObjectBox:
        least, most = (0, 0, 1, 1), (_WIDTH_PX, _HEIGHT_PX, _LARGEST_PX, _LARGEST_PX)
        x, y, w, h = self.np_random.integers(least, most).tolist()
        return ObjectBox(x, y, w, h)

    def contains(self, x: object) -> bool:
        """Whether ``x`` is an observation of objects."""
        return isinstance(x, Observation) and all(
            isinstance(box, ObjectBox) for members in x.values() for box in members
        )

    def __repr__(self) -> str:
        return f"ObjectSpace({', '.join(self.categories)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectSpace) and self.categories == other.categories

    def __hash__(self) -> int:
        return hash(self.categories)
