"""How numbers are written for people: no more digits than the interval supports, and a word where there is none."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from tropism.records import Estimate

Unit: TypeAlias = Literal["share", "number"]
"""A share of a whole is written in percent; anything else as it is."""

SPACE = "\u00a0"
MINUS = "\u2212"
MISSING = "\u2013"
HUGE = 1e7
"""Numbers from here on are written with an exponent."""


def plain(value: float, decimals: int = 2, *, signed: bool = False) -> str:
    """A number with thousands separators and a true minus sign.

    Args:
        value: the number; an unbounded or undefined one becomes a dash.
        decimals: digits after the point.
        signed: write a plus sign before positive numbers.

    Example:
        >>> plain(1234.5678, 1), plain(float("nan")), plain(8.4e9)
        ('1,234.6', '–', '8.4e9')
    """
    if not math.isfinite(value):
        return MISSING
    text = (
        f"{abs(value):,.{decimals}f}"
        if abs(value) < HUGE
        else f"{abs(value):.1e}".replace("e+0", "e").replace("e+", "e")
    )
    if not any(digit in text for digit in "123456789"):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def compact(value: float) -> str:
    """A number to about three digits, where no interval says how many are meant.

    Example:
        >>> compact(0.69314), compact(0.00002), compact(48.23), compact(16384)
        ('0.693', '2.0e-05', '48.2', '16,384')
    """
    if not math.isfinite(value):
        return MISSING
    size = abs(value)
    if 0 < size < 0.001:
        return f"{value:.1e}".replace("-", MINUS, 1) if value < 0 else f"{value:.1e}"
    return plain(value, 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0)


def decimals_of(*estimates: Estimate) -> int:
    """Digits after the point that the narrowest interval supports: its last digit stands for a third of it or less.

    Example:
        >>> decimals_of(Estimate(value=52.1, low=50.1, high=54.1, n=9))
        1
    """
    widths = [e.high - e.low for e in estimates if math.isfinite(e.high - e.low) and e.high > e.low]
    if not widths:
        return 2
    return min(4, max(0, math.ceil(-math.log10(min(widths) / 6))))


def value_text(estimate: Estimate, unit: Unit, *, decimals: int | None = None, signed: bool = False) -> str:
    """The value of an estimate, in percent where it is a share.

    Example:
        >>> value_text(Estimate(value=0.77, low=0.73, high=0.81, n=400), "share").replace(SPACE, " ")
        '77.0 %'
    """
    if unit == "share":
        text = plain(100 * estimate.value, 1 if decimals is None else decimals, signed=signed)
        return text if text == MISSING else f"{text}{SPACE}%"
    return plain(estimate.value, decimals_of(estimate) if decimals is None else decimals, signed=signed)


def interval_text(estimate: Estimate, unit: Unit, *, decimals: int | None = None, signed: bool = False) -> str:
    """The 95 % interval of an estimate in brackets.

    Example:
        >>> interval_text(Estimate(value=0.77, low=0.73, high=0.81, n=400), "share", decimals=0)
        '[73, 81]'
    """
    scale, usual = (100, 1) if unit == "share" else (1, decimals_of(estimate))
    digits = usual if decimals is None else decimals
    low, high = (plain(scale * bound, digits, signed=signed) for bound in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def inside(label: str) -> str:
    """A label inside a sentence: its first letter small, unless it begins an abbreviation.

    Example:
        >>> inside("Pair accuracy"), inside("KL from the base")
        ('pair accuracy', 'KL from the base')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def duration(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> duration(48.21), duration(3725)
        ('48.2 s', '1 h 2 min')
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(megabytes: float) -> str:
    """An amount of memory.

    Example:
        >>> size(812.3), size(20480)
        ('812 MB', '20.0 GB')
    """
    if not math.isfinite(megabytes):
        return MISSING
    return f"{megabytes:,.0f} MB" if megabytes < 1024 else f"{megabytes / 1024:,.1f} GB"
