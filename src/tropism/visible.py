"""Text from outside made safe to show: control characters become signs that a reader can see."""

from __future__ import annotations

_SIGNS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
_SIGNS |= dict.fromkeys([*range(0xD800, 0xE000), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
"""Control characters become their pictures; lone surrogates and marks that turn the direction of the text that follows
become the replacement character."""


def visible_text(text: str) -> str:
    """A text whose control characters, direction marks and lone surrogates are replaced by visible signs.

    Example:
        >>> visible_text("a\\x1b[31m" + "b" + chr(0x202E) + "c")
        'a␛[31mb�c'
    """
    return text.translate(_SIGNS)
