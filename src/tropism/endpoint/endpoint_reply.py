"""What an endpoint sent, read with suspicion: whatever it is, it becomes a reply or a reason why there is none."""

from __future__ import annotations

import datetime
import email.utils
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_TOKENS = 10**9
"""A `usage` beyond this is no count of tokens."""

AGAIN = frozenset([408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529])
"""Statuses after which the same request may well succeed."""
NO_USE = frozenset([401, 402, 403, 404, 405, 410])
"""Statuses that every other request would get too: the key, the money, the address."""


class Reply(NamedTuple):
    """One answer.

    Attributes:
        text: the words, valid UTF-8; nothing is ever done with them but to be stored, shown escaped, and compared.
        tokens_in: of the request, as the endpoint counts them; 0 where it does not say.
        tokens_out: of the answer.
    """

    text: str
    tokens_in: int
    tokens_out: int


class Unanswered(Exception):  # noqa: N818  (a reason for a table of counts, not an error of anybody's)
    """Why a request has no answer.

    Args:
        reason: one of a small number of fixed reasons, so that requests can be counted by it; no words of the endpoint.
        again: whether asking again may help.
        for_all: whether every other request would fail in the same way.
        wait_seconds: how long the endpoint asks to wait, if it says.
    """

    def __init__(
        self, reason: str, *, again: bool = True, for_all: bool = False, wait_seconds: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.for_all = for_all
        self.wait_seconds = wait_seconds


def check_status(status: int, headers: Mapping[str, str], *, now: datetime.datetime) -> None:
    """Let a 200 pass.

    Args:
        status: of HTTP.
        headers: of the response, lower-case names.
        now: with a time zone; a `retry-after` may be a date.

    Raises:
        Unanswered: for every other status, or an encoded body.
    """
    if status == 200:
        if headers.get("content-encoding", "identity") != "identity":
            raise Unanswered("a compressed body that was not asked for")
        return
    if 300 <= status < 400:
        raise Unanswered(f"status {status}, a redirect, which is not followed", again=False, for_all=True)
    wait = wait_of(headers.get("retry-after", ""), now=now)
    raise Unanswered(f"status {status}", again=status in AGAIN, for_all=status in NO_USE, wait_seconds=wait)


def wait_of(value: str, *, now: datetime.datetime) -> float | None:
    """Seconds that a `Retry-After` asks for, which may be a number or a date.

    Example:
        >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
        >>> [wait_of(value, now=noon) for value in ("7", "Thu, 01 Jan 2026 12:00:09 GMT", "soon")]
        [7.0, 9.0, None]
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(value)
            seconds = (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp() - now.timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def read_reply(body: bytes) -> Reply:
    """The first choice of a chat completion.

    Raises:
        Unanswered: where the body is anything else.
    """
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unanswered("a body that is not UTF-8") from None
    except (ValueError, RecursionError):
        start = body[:200].lstrip().lower()
        raise Unanswered("HTML in place of JSON" if start.startswith(b"<") else "a body that is not JSON") from None
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list):
        raise Unanswered("JSON without choices")
    if not choices:
        raise Unanswered("an empty list of choices")
    usage = value.get("usage")
    return Reply(_text_of(choices[0]), count(usage, "prompt_tokens"), count(usage, "completion_tokens"))


def _text_of(choice: Any) -> str:
    """The text of a choice; one that was cut, or filtered, before its first word is an empty answer.

    Raises:
        Unanswered: where there is none.
    """
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise Unanswered("a choice without a message")
    content, end = message.get("content"), choice.get("finish_reason")
    if isinstance(content, str):
        return content.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if content is None and end in ("length", "content_filter"):
        return ""
    raise Unanswered("a message without text")


def count(usage: Any, name: str) -> int:
    """A number of tokens, 0 where the endpoint gives none that could be true."""
    value = usage.get(name) if isinstance(usage, dict) else None
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if is_count else 0  # type: ignore[return-value]
