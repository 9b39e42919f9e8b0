"""What is personal leaves the data: typed placeholders, salted ids, and whose posts to leave out; as Ibis expressions.

The same on DuckDB and on Spark. `personal.py` has the patterns and says the same in plain Python.
"""

from __future__ import annotations

import re
import secrets
from typing import TypeAlias

import ibis
from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Value

from tropism.signals.privacy.personal import ANY, MARKS, OPEN, PLACEHOLDERS, SHUT, STEPS, replacements

Hits: TypeAlias = dict[str, IntegerValue]
"""Per kind of `PLACEHOLDERS`, the number of spots that were replaced."""

_BLANKS = "[ \t\r\n\u0085\u2028\u2029]*"  # with every line end that Java's $ steps over
_DELETED_TEXT = rf"^{_BLANKS}\[ ?([Dd]eleted|[Rr]emoved)( by [A-Za-z ]{{1,30}})? ?\]{_BLANKS}$"
_DELETED_AUTHORS = ("[deleted]", "[removed]")
_BOTS = (
    "automoderator",
    "autotldr",
    "b0trank",
    "community",
    "converter-bot",
    "decronym",
    "goodbot_badbot",
    "mentioned_videos",
    "mtgcardfetcher",
    "totesmessenger",
    "tweetposter",
    "vredditdownloader",
    "xkcd_transcriber",
)
_BOT_NAME = rf"(?i)(bot|\[bot\]|-modteam)\s*$|^\s*({'|'.join(_BOTS)})\s*$"
_YES = ("true", "t", "1", "yes", "y", "moderator", "mod", "admin", "administrator")
_ID_DIGITS = 16


def scrub(text: StringValue) -> StringValue:
    """Put typed placeholders in the place of what is personal: [URL], [EMAIL], [USER], [ADDRESS], [PHONE].

    Scrubbing again changes nothing. What it finds and misses, with figures: docs/privacy.md.

    Args:
        text: what people wrote; null stays null.

    Example:
        >>> scrub(ibis.literal("Mail jo@example.org or call (555) 123-4567.")).to_pyarrow().as_py()
        'Mail [EMAIL] or call [PHONE].'
    """
    clean = text.re_replace(MARKS, "")
    for step in STEPS:
        for regex, template in replacements(step):
            clean = _put_back(clean, regex, template)
    clean = clean.re_replace(MARKS, "")
    return text.re_search(f"{ANY}|{MARKS}").ifelse(clean, text)


def hits(text: StringValue) -> Hits:
    """How many spots of each kind `scrub` replaces; 0 for null."""
    return gained(text, scrub(text))


def gained(text: StringValue, clean: StringValue) -> Hits:
    """How many placeholders of each kind a scrubbed text has beyond those that it had before.

    Args:
        text: as it was.
        clean: the same from `scrub`, where it has been computed already.
    """
    return {
        name: (_occurrences(clean, placeholder) - _occurrences(text, placeholder)).fill_null(0)
        for name, placeholder in PLACEHOLDERS.items()
    }


def new_salt() -> str:
    """A salt for one build: 128 random bits, to be kept nowhere, so that no id can be traced back or matched later."""
    return secrets.token_hex(16)


def salted(value: StringValue, salt: str) -> StringValue:
    """An id that stands for another within one build: sixteen hexadecimal digits of SHA-256 over salt and value.

    Args:
        value: a name or an id; null stays null.
        salt: from `new_salt`.

    Example:
        >>> salted(ibis.literal("ann"), "s").to_pyarrow().as_py()
        '403c71d26c812450'
    """
    return (ibis.literal(f"{salt}\x1f") + value).hexdigest("sha256").substr(0, _ID_DIGITS)


def is_deleted(author: StringValue | None, text: StringValue) -> BooleanValue:
    """True where a post was deleted or removed, or its author's account was; never null.

    Args:
        author: who wrote it, or None where no column says so; a missing author is no deleted one.
        text: what is left of it.
    """
    gone = text.re_search(_DELETED_TEXT).fill_null(False)
    return gone if author is None else gone | author.strip().lower().isin(_DELETED_AUTHORS).fill_null(False)


def is_bot(author: StringValue) -> BooleanValue:
    """True where a name says that no person writes: it ends in `bot` or `-modteam`, or is a well-known one; never null.

    Reference: the rule /bot$/i and AutoModerator as in Reddit corpora; it takes a Mr Talbot for one, too.
    """
    return author.re_search(_BOT_NAME).fill_null(False)


def is_moderator(flag: Value) -> BooleanValue:
    """True where a flag says so: true, a number that is not 0, or one of the words that stand for it; never null.

    Args:
        flag: booleans, numbers, or text such as `moderator`, `admin`, `yes`.
    """
    if flag.type().is_boolean():
        return flag.fill_null(False)
    if flag.type().is_numeric():
        return (flag != 0).fill_null(False)
    return flag.cast("string").strip().lower().isin(_YES).fill_null(False)


def _put_back(text: StringValue, regex: str, template: str) -> StringValue:
    """Replace every match by a template in which {1}, {2} and so on stand for groups.

    RE2 writes a group as \\1, Java as $1, and each takes the other's name for plain text. So both are written, with
    marks that tell which text to take away again.
    """
    written = text.re_replace(regex, re.sub("[{]([0-9])[}]", rf"{OPEN}$\1{SHUT}\\\1", template))
    return written.re_replace(f"{OPEN}[$][0-9]{SHUT}|{SHUT}[0-9]|{OPEN}", "")


def _occurrences(text: StringValue, placeholder: str) -> IntegerValue:
    return ((text.length() - text.replace(placeholder, "").length()) / len(placeholder)).cast("int64")
