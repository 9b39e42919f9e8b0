"""Safety gates: rules for texts that a model must not be trained to prefer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tropism.errors import ConfigError, DataError
from tropism.functions import load_function

GateVerdict: TypeAlias = bool | str | None
"""False, None or an empty text lets a text pass; True stops it; any other text stops it and is the reason."""


@dataclass(frozen=True)
class SafetyGate:
    """A named rule that stops texts.

    Args:
        name: the gate's name in errors and reasons.
        rule: a function from a text to a verdict.
    """

    name: str
    rule: Callable[[str], GateVerdict]

    def reason(self, text: str) -> str | None:
        """The reason if the text is stopped, or None if it passes.

        Raises:
            DataError: if the rule fails or returns anything else, which never lets a text pass.
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
                f"the safety gate {self.name} must return True, False or a reason, got {verdict!r}; "
                f"the text was {text[:60]!r}.",
                remedy="Compare a score with a threshold in the function itself.",
            )
        if verdict is True:
            return f"stopped by {self.name}"
        return verdict or None


def load_gate(name: str) -> SafetyGate:
    """Load a gate: `file.py:function` or `module:function`, which is run as code, or a text file of phrases.

    Each line of a text file is a phrase, found as whole words and regardless of case, or a regular expression between
    slashes. Empty lines and lines that start with `#` are ignored.

    Raises:
        ConfigError: if the gate cannot be loaded, or a line is not a valid regular expression.
    """
    path = Path(name)
    if path.suffix != ".py" and path.is_file():
        return SafetyGate(name, _any_of(_read_lines(path)))
    if ":" not in name:
        raise ConfigError(
            f"`gate` must be file.py:function, module:function or an existing text file of phrases, got {name!r}.",
            remedy="Check the path, or add the function's name after a colon.",
        )
    return SafetyGate(name, load_function(name, role="safety gate", remedy="Check `gate`."))


def gate_texts(texts: Sequence[str], gate: SafetyGate) -> list[str | None]:
    """Each text's reason, or None if it passes; equal texts are judged once.

    Example:
        >>> gate_texts(["fine", "so there", "fine"], SafetyGate("g", lambda text: "so" in text))
        [None, 'stopped by g', None]
    """
    reasons = {text: gate.reason(text) for text in dict.fromkeys(texts)}
    return [reasons[text] for text in texts]


@dataclass(frozen=True)
class _Line:
    """One phrase of a file, with the file and line that it is from."""

    origin: str
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
            origin = f"{path.name}:{number}"
            lines.append(_Line(origin, phrase, _compile(phrase, origin)))
    if not lines:
        raise ConfigError(f"{path} holds no phrases.", remedy="Write one word or phrase on each line.")
    return lines


def _compile(phrase: str, origin: str) -> re.Pattern[str]:
    """A phrase as whole words with any blanks between them, or the expression between its slashes."""
    if len(phrase) > 2 and phrase[0] == phrase[-1] == "/":
        try:
            return re.compile(phrase[1:-1], re.IGNORECASE)
        except re.error as error:
            raise ConfigError(
                f"{origin}: {phrase!r} is not a valid regular expression: {error}.",
                remedy="Correct it, or remove the slashes to match the words literally.",
            ) from error
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _any_of(lines: Sequence[_Line]) -> Callable[[str], GateVerdict]:
    """A rule whose reason is the first line that matches."""

    def rule(text: str) -> str | None:
        return next((f"{line.origin}: {line.phrase}" for line in lines if line.regex.search(text)), None)

    return rule
