"""How numbers are written: no more digits than the interval supports, and a dash for a number that is not finite."""

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
        value: the number; an infinite or undefined one becomes a dash.
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
    """A number to about three digits, if no interval says how many are meant.

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
    """The value of an estimate, in percent if it is a share.

    Example:
        >>> value_text(Estimate(value=0.77, low=0.73, high=0.81, n=400), "share").replace(SPACE, " ")
        '77.0 %'
    """
    if unit == "share":
        text = plain(100 * estimate.value, 1 if decimals is None else decimals, signed=signed)
        return text if text == MISSING else f"{text}{SPACE}%"
    return plain(estimate.value, decimals_of(estimate) if decimals is None else decimals, signed=signed)


def interval_text(estimate: Estimate, unit: Unit, *, decimals: int | None = None, signed: bool = False) -> str:
    """The 95 % interval of an estimate in brackets; that of a share ends at 0 and 1.

    Example:
        >>> interval_text(Estimate(value=0.77, low=0.73, high=0.81, n=400), "share", decimals=0)
        '[73, 81]'
        >>> interval_text(Estimate(value=0.936, low=0.825, high=1.047, n=40), "share")
        '[82.5, 100.0]'
    """
    if unit == "share":
        low, high = 100 * max(0.0, estimate.low), 100 * min(1.0, estimate.high)
        return _brackets(low, high, 1 if decimals is None else decimals, signed=signed)
    digits = decimals_of(estimate) if decimals is None else decimals
    return _brackets(estimate.low, estimate.high, digits, signed=signed)


def change_text(change: Estimate, unit: Unit, *, decimals: int | None = None) -> tuple[str, str]:
    """A change and its 95 % interval, with signs; the change of a share is in percentage points.

    Example:
        >>> change_text(Estimate(value=0.262, low=0.221, high=0.303, n=400), "share")
        ('+26.2', '[+22.1, +30.3]')
    """
    scale, digits = (100, 1) if unit == "share" else (1, decimals_of(change) if decimals is None else decimals)
    value = plain(scale * change.value, digits, signed=True)
    return value, _brackets(scale * change.low, scale * change.high, digits, signed=True)


def p_text(p_value: float | None) -> str:
    """A p-value to four digits; a smaller one is never written as 0.

    Example:
        >>> p_text(0.0123), p_text(1e-9), p_text(None)
        ('0.0123', '< 0.0001', '–')
    """
    if p_value is None:
        return MISSING
    return "< 0.0001" if p_value < 0.0001 else plain(p_value, 4)


def counted(count: int, noun: str) -> str:
    """A count with its noun in the right number.

    Example:
        >>> counted(1, "error"), counted(1200, "step"), counted(0, "alarm")
        ('1 error', '1,200 steps', '0 alarms')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def inside(label: str) -> str:
    """A label inside a sentence: its first letter in lower case, unless it begins an abbreviation.

    Example:
        >>> inside("Pair accuracy"), inside("KL from the base")
        ('pair accuracy', 'KL from the base')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def duration(seconds: float) -> str:
    """A time in units of its size.

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


def _brackets(low: float, high: float, digits: int, *, signed: bool) -> str:
    """Two bounds in brackets."""
    return f"[{plain(low, digits, signed=signed)}, {plain(high, digits, signed=signed)}]"
