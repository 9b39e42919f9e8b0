"""How models are told apart on a page: each has a colour, a mark and a number, so that colour alone is never needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from markupsafe import Markup

NUM_COLOURS = 6
MARKS = ("o", "s", "^", "D", "v")
"""As matplotlib names them. Their number has no factor in common with that of the colours, so that a combination
repeats only after 30 models."""
DASHES = ("-", "--", "-.", ":")

_SHAPES = {
    "o": '<circle r="4.2"/>',
    "s": '<path d="M-3.8-3.8h7.6v7.6h-7.6z"/>',
    "^": '<path d="M0-4.8 4.6 3.6h-9.2z"/>',
    "D": '<path d="M0-5.2 5.2 0 0 5.2-5.2 0z"/>',
    "v": '<path d="M0 4.8 4.6-3.6h-9.2z"/>',
}


class ModelStyle(NamedTuple):
    """A model's style.

    Args:
        name: the model's.
        colour: the CSS variable and class of its colour.
        mark: shape of its points, as matplotlib names it.
        dash: of its lines, as matplotlib names it.
        number: its place among the models, from 1; 0 for a base.
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


def styles_of(models: Sequence[str], *, bases: Collection[str] = ()) -> dict[str, ModelStyle]:
    """A style for every model: the bases, then the others in their order.

    Example:
        >>> styles = styles_of(["a", "b"], bases=["start"])
        >>> [(style.name, style.colour, style.mark) for style in styles.values()]
        [('start', 'before', 'o'), ('a', 'm1', 'o'), ('b', 'm2', 's')]
    """
    styles = {base: ModelStyle(base, "before", "o", "-", 0) for base in bases}
    for place, name in enumerate(name for name in models if name not in bases):
        styles[name] = ModelStyle(
            name,
            f"m{place % NUM_COLOURS + 1}",
            MARKS[place % len(MARKS)],
            DASHES[place % len(DASHES)],
            place + 1,
        )
    return styles
