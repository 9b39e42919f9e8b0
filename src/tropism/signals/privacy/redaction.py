"""Redaction as Ibis expressions: typed placeholders, salted ids, and tests for deleted, bot and moderator posts.

DuckDB and Spark give equal results. `personal.py` holds the patterns and the equivalent in plain Python.
"""

from __future__ import annotations

import re
import secrets
from typing import TypeAlias

import ibis
from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Value

from tropism.signals.privacy.personal import ANY, MARKS, OPEN, PLACEHOLDERS, SHUT, STEPS, replacements

Hits: TypeAlias = dict[str, IntegerValue]
"""The number of replacements for each kind of `PLACEHOLDERS`."""

_BLANKS = "[ \t\r\n\u0085\u2028\u2029]*"  # includes every line end that Java's $ ignores
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
    """Replace personal data with typed placeholders: [URL], [EMAIL], [USER], [ADDRESS], [PHONE].

    Applying it again changes nothing. For measured precision and recall see docs/privacy.md.

    Args:
        text: the text to redact; null stays null.

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
    """The number of replacements of each kind that `scrub` makes; 0 for null."""
    return gained(text, scrub(text))


def gained(text: StringValue, clean: StringValue) -> Hits:
    """The number of placeholders of each kind that redaction added.

    Args:
        text: the original text.
        clean: the redacted text from `scrub`.
    """
    return {
        name: (_occurrences(clean, placeholder) - _occurrences(text, placeholder)).fill_null(0)
        for name, placeholder in PLACEHOLDERS.items()
    }


def new_salt() -> str:
    """A salt for one build: 128 random bits. It is not stored, so ids cannot be traced back or matched later."""
    return secrets.token_hex(16)


def salted(value: StringValue, salt: str) -> StringValue:
    """An id that is stable within one build: sixteen hexadecimal digits of SHA-256 over salt and value.

    Args:
        value: a name or an id; null stays null.
        salt: from `new_salt`.

    Example:
        >>> salted(ibis.literal("ann"), "s").to_pyarrow().as_py()
        '403c71d26c812450'
    """
    return (ibis.literal(f"{salt}\x1f") + value).hexdigest("sha256").substr(0, _ID_DIGITS)


def is_deleted(author: StringValue | None, text: StringValue) -> BooleanValue:
    """Whether a post or its author's account was deleted or removed; never null.

    Args:
        author: the post's author, or None without such a column; a missing author does not count as deleted.
        text: the post's text.
    """
    gone = text.re_search(_DELETED_TEXT).fill_null(False)
    return gone if author is None else gone | author.strip().lower().isin(_DELETED_AUTHORS).fill_null(False)


def is_bot(author: StringValue) -> BooleanValue:
    """Whether a name ends in `bot` or `-modteam`, or is a well-known bot; never null.

    Reference: the rule /bot$/i and AutoModerator, as for Reddit corpora; it also matches names such as Talbot.
    """
    return author.re_search(_BOT_NAME).fill_null(False)


def is_moderator(flag: Value) -> BooleanValue:
    """Whether a flag is true, a number other than 0, or a word that means yes; never null.

    Args:
        flag: booleans, numbers, or text such as `moderator`, `admin`, `yes`.
    """
    if flag.type().is_boolean():
        return flag.fill_null(False)
    if flag.type().is_numeric():
        return (flag != 0).fill_null(False)
    return flag.cast("string").strip().lower().isin(_YES).fill_null(False)


def _put_back(text: StringValue, regex: str, template: str) -> StringValue:
    """Replace every match with a template in which {1}, {2} and so on are groups.

    RE2 writes a group as \\1 and Java as $1, and each treats the other's notation as plain text. So both are written
    between marks, and the one that remains as text is then removed.
    """
    written = text.re_replace(regex, re.sub("[{]([0-9])[}]", rf"{OPEN}$\1{SHUT}\\\1", template))
    return written.re_replace(f"{OPEN}[$][0-9]{SHUT}|{SHUT}[0-9]|{OPEN}", "")


def _occurrences(text: StringValue, placeholder: str) -> IntegerValue:
    return ((text.length() - text.replace(placeholder, "").length()) / len(placeholder)).cast("int64")
