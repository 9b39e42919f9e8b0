"""How several models are told apart on a page: a colour and a mark each, so that neither sight of colours is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

NUM_COLOURS = 6
MARKS = ("o", "s", "^", "D", "v")
"""As matplotlib names them; as many as share no factor with the number of colours, so that pairs repeat late."""
DASHES = ("-", "--", "-.", ":")

_SHAPES = {
    "o": '<circle r="4.2"/>',
    "s": '<path d="M-3.8-3.8h7.6v7.6h-7.6z"/>',
    "^": '<path d="M0-4.8 4.6 3.6h-9.2z"/>',
    "D": '<path d="M0-5.2 5.2 0 0 5.2-5.2 0z"/>',
    "v": '<path d="M0 4.8 4.6-3.6h-9.2z"/>',
}


class Look(NamedTuple):
    """A model's look.

    Args:
        name: the model's.
        colour: the CSS variable and class of its colour.
        mark: shape of its points, as matplotlib names it.
        dash: of its lines, as matplotlib names it.
        number: its place among the models, from 1; 0 for the base.
    """

    name: str
    colour: str
    mark: str
    dash: str
    number: int

    @property
    def sign(self) -> Markup:
        """Its mark as a drawing of a letter's size."""
        return Markup(  # noqa: S704  (our own shapes)
            f'<svg class="mark {self.colour}" viewBox="-7 -7 14 14" aria-hidden="true">{_SHAPES[self.mark]}</svg>'
        )

    @property
    def shape(self) -> str:
        """Its mark as SVG around the origin."""
        return _SHAPES[self.mark]


def looks_of(models: Sequence[str], *, base: str | None = None) -> dict[str, Look]:
    """A look for every model, in their order.

    Example:
        >>> looks = looks_of(["a", "b"], base="start")
        >>> [(look.name, look.colour, look.mark) for look in looks.values()]
        [('start', 'before', 'o'), ('a', 'm1', 'o'), ('b', 'm2', 's')]
    """
    looks = {} if base is None else {base: Look(base, "before", "o", "-", 0)}
    for number, name in enumerate((name for name in models if name != base), 1):
        place = number - 1
        looks[name] = Look(
            name,
            f"m{place % NUM_COLOURS + 1}",
            MARKS[place % len(MARKS)],
            DASHES[place % len(DASHES)],
            number,
        )
    return looks
