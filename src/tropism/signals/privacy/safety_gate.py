"""A safety gate on the chosen side: which texts no model shall be trained to prefer, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tropism.errors import ConfigError, DataError
from tropism.functions import load_function

GateVerdict: TypeAlias = bool | str | None
"""False, None or an empty text let a text pass; True stops it; another text stops it and says why."""

_OPTION = "--gate"


@dataclass(frozen=True)
class SafetyGate:
    """A rule from a text to what speaks against it.

    Args:
        name: how it was named.
        rule: from a text to a verdict.
    """

    name: str
    rule: Callable[[str], GateVerdict]

    def reason(self, text: str) -> str | None:
        """Why the text is stopped, or None where it passes.

        Raises:
            DataError: where the rule fails, or says what is no verdict: an unclear answer never lets a text pass.
        """
        try:
            verdict = self.rule(text)
        except Exception as error:
            raise DataError(
                f"the safety gate {self.name} failed with {type(error).__name__}: {error} on the text {text[:60]!r}.",
                remedy="Make it return True, False or a reason for every text.",
            ) from error
        if not (verdict is None or isinstance(verdict, bool | str)):
            raise DataError(
                f"the safety gate {self.name} must return True, False or a reason, not {verdict!r}; "
                f"the text was {text[:60]!r}.",
                remedy="Compare a score with a threshold in the function itself.",
            )
        if verdict is True:
            return f"stopped by {self.name}"
        return verdict or None


def load_gate(name: str) -> SafetyGate:
    """Load a gate by `file.py:function` or `module:function`, which is run as code, or a list of words in a text file.

    In such a file every line is a phrase that is looked for as whole words, whatever its case; between slashes it is a
    regular expression. Empty lines and those that start with `#` are left out.

    Raises:
        ConfigError: where it cannot be loaded, or a line is no regular expression.
    """
    path = Path(name)
    if path.suffix != ".py" and path.is_file():
        return SafetyGate(name, _any_of(_read_lines(path)))
    if ":" not in name:
        raise ConfigError(
            f"{_OPTION} names `file.py:function`, `module:function` or a text file of words, and {name!r} is no file.",
            remedy="Check the path, or add the function's name after a colon.",
        )
    return SafetyGate(name, load_function(name, role="safety gate", remedy=f"Check {_OPTION}."))


def gate_texts(texts: Sequence[str], gate: SafetyGate) -> list[str | None]:
    """Why each text is stopped, or None; equal texts are judged once.

    Example:
        >>> gate_texts(["fine", "so there", "fine"], SafetyGate("g", lambda text: "so" in text))
        [None, 'stopped by g', None]
    """
    reasons = {text: gate.reason(text) for text in dict.fromkeys(texts)}
    return [reasons[text] for text in texts]


@dataclass(frozen=True)
class _Line:
    """One line of a list of words, and where it stands."""

    where: str
    phrase: str
    regex: re.Pattern[str]


def _read_lines(path: Path) -> list[_Line]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}.", remedy="Save it again in UTF-8.") from error
    lines = []
    for number, line in enumerate(content.splitlines(), start=1):
        phrase = line.strip()
        if phrase and not phrase.startswith("#"):
            where = f"{path.name}:{number}"
            lines.append(_Line(where, phrase, _compile(phrase, where)))
    if not lines:
        raise ConfigError(f"{path} has no word in it.", remedy="Write a word or phrase on each line.")
    return lines


def _compile(phrase: str, where: str) -> re.Pattern[str]:
    """A phrase as whole words with any blanks between them, or the expression between its slashes."""
    if len(phrase) > 2 and phrase[0] == phrase[-1] == "/":
        try:
            return re.compile(phrase[1:-1], re.IGNORECASE)
        except re.error as error:
            raise ConfigError(
                f"{where}: {phrase!r} is no regular expression: {error}.",
                remedy="Correct it, or leave the slashes away to look for the words as they are.",
            ) from error
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _any_of(lines: Sequence[_Line]) -> Callable[[str], GateVerdict]:
    """The first line that a text matches is its reason."""

    def rule(text: str) -> str | None:
        return next((f"{line.where}: {line.phrase}" for line in lines if line.regex.search(text)), None)

    return rule
