"""From a matplotlib figure to an SVG inside the page: the page's colours and fonts, and ids of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from tropism.reporting.model_styles import NUM_COLOURS
from tropism.visible import visible_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASE, INK, LINE = "#010202", "#010203", "#010204"
"""Placeholders that matplotlib draws with; the page replaces each by a CSS variable, so that themes apply."""

MODELS = {f"m{number}": f"#0102{16 + number:02x}" for number in range(1, NUM_COLOURS + 1)}
"""The same for the models' colours, by the name of their CSS variable."""

_VARIABLES = {BASE: "var(--before)", INK: "var(--muted)", LINE: "var(--line)"}
_VARIABLES |= {placeholder: f"var(--{name})" for name, placeholder in MODELS.items()}
_FONT_SIZE = 11
_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tropism",
    "font.size": _FONT_SIZE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.unicode_minus": True,
}


def draw(paint: Callable[[Axes], None], *, name: str, label: str, width: int, height: int, left: int = 48) -> Markup:
    """Paint one pair of axes and return it as an `<svg>` element.

    Args:
        paint: draws on the axes with the colours of this module; all text in it must be our own.
        name: prefix of the ids inside, different for every figure of a page.
        label: what the figure shows, for readers who cannot see it.
        width, height: in CSS pixels at natural size.
        left: room for the numbers of the upright axis, in the same pixels.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        axes = figure.add_axes((left / width, 36 / height, 1 - (left + 14) / width, 1 - 48 / height))
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.tick_params(length=0, pad=6)
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        paint(axes)
        return Markup(_themed(_written(figure), name=name, label=label))  # noqa: S704  (label is escaped, text is ours)


def colour_of(name: str) -> str:
    """The placeholder of a model's colour; a base has the neutral one."""
    return BASE if name == "before" else MODELS[name]


def _written(figure: Figure) -> str:
    """The figure as matplotlib writes it, without date and other metadata."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue()


def _themed(svg: str, *, name: str, label: str) -> str:
    """Remove what a page does not need, and insert the page's colours, fonts and label."""
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None, "matplotlib wrote an SVG without a viewBox"
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r" ?font(-family)?: [^;\"]*'DejaVu Sans'[^;\"]*;?", f"font-size: {_FONT_SIZE}px;", body)
    body = re.sub(r"font-size: \d+px;\s*font-size", "font-size", body)
    body = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", body)
    body = re.sub(r"xlink:href", "href", body)
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, variable)
    body = re.sub(r'\bd="[^"]*"', _rounded, body)
    body = re.sub(r">\s+<", "><", _own_ids(body, name))
    return f'<svg {view[0]} role="img" aria-label="{escape(visible_text(label))}">{body.strip()}'


def _rounded(match: re.Match[str]) -> str:
    """A path's data with one digit after the point, a tenth of a pixel."""
    path = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), match[0])
    return re.sub(r"\s+", " ", path)


def _own_ids(body: str, name: str) -> str:
    """Keep only the ids that are referred to, with this figure's prefix."""
    wanted = set(re.findall(r"#([\w.]+)", body))

    def own(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in wanted else ""

    body = re.sub(r' id="([^"]*)"', own, body)
    return re.sub(r"(url\(|href=\")#([\w.]+)", rf"\1#{name}-\2", body)
