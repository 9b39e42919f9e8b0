"""How numbers, flags and times may be written: the patterns by which rows and whole columns are read alike."""

from __future__ import annotations

BLANKS = "\t\n\v\f\r\u00a0"
"""What is stripped around values besides the space."""

NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "nan", "+nan", "-nan")
TRUE_WORDS = ("true", "1", "1.0", "yes", "y", "t")
FALSE_WORDS = ("false", "0", "0.0", "no", "n", "f")

_DATE = r"(0[1-9]|1[0-2]){0}(0[1-9]|[12][0-9]|3[01])"
_CLOCK = (
    r"(([01][0-9]|2[0-3])({0}[0-5][0-9]({0}([0-5][0-9]|60)([.,][0-9]+)?)?)?"
    r"|24({0}00({0}00([.,]0+)?)?)?)"
)
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?$"
BASIC_TIME = rf"^[0-9]{{4}}{_DATE.format('')}T{_CLOCK.format('')}{_ZONE}"
"""ISO 8601 without separators; it has a clock, for eight digits alone may be a number."""

EXTENDED_TIME = rf"^[0-9]{{4}}-{_DATE.format('-')}([T ]{_CLOCK.format(':')})?{_ZONE}"
"""ISO 8601 with separators; 24:00 is the next day, and a leap second the second that follows it."""

BARE_DATE = rf"^(19|20|21)[0-9]{{2}}{_DATE.format('')}$"
"""A date to one reader and a number of seconds to another: it is neither."""
