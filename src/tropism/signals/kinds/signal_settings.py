"""Settings that every kind of signal shares: columns, exclusions, privacy, safety gate, split and engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, TypeAlias

from ibis import Table

from tropism.errors import ConfigError
from tropism.signals.kinds.answers import Cleaning
from tropism.signals.kinds.columns import SignalColumns
from tropism.signals.kinds.exclusions import Exclusions
from tropism.signals.kinds.signal_kind import SignalKind
from tropism.signals.parameter_checks import require_share
from tropism.signals.privacy import redaction
from tropism.signals.privacy.safety_gate import GateVerdict, SafetyGate, load_gate

Form: TypeAlias = Literal["auto", "table", "posts", "oasst", "imagereward", "argilla", "label-studio", "label-page"]
"""The form of a file: found by its contents, a table with a column for everything, or that of another tool."""

Gate: TypeAlias = str | SafetyGate | Callable[[str], GateVerdict]
"""A safety gate: its name (a file of words, or `file.py:function`), or a function from a text to a verdict."""


@dataclass(frozen=True, kw_only=True)
class SignalSettings(ABC):
    """Settings of a build that all kinds of signal share.

    Args:
        columns: the names of the columns; ignored for a file of another tool.
        form: of a file.
        exclude: which usable rows are excluded.
        private: replace personal data by placeholders, and hash keys.
        salt: of the hashes, so that builds with the same salt have the same keys; None draws a new one.
        gate: which texts no edge may prefer and no label may call desirable; None lets all pass.
        holdout: share of groups to mark as held out, by a hash of the prompt; None marks none.
        skip_bad: drop and count rows with a value that cannot be read, which is an error otherwise.
        engine: `duckdb`, `spark` (this machine), or the address of a Spark cluster.
        seed: of random choices.
        source: the name of the data, for groups and card; None is the name of the file.

    Raises:
        ConfigError: for a setting that is out of range or has no effect.
    """

    columns: SignalColumns
    form: Form = "auto"
    exclude: Exclusions = field(default_factory=Exclusions)
    private: bool = False
    salt: str | None = None
    gate: Gate | None = None
    holdout: float | None = None
    skip_bad: bool = False
    engine: str = "duckdb"
    seed: int = 0
    source: str | None = None

    name: ClassVar[str]
    forms: ClassVar[Mapping[Form, SignalColumns]] = {}
    """Forms of other tools that hold this kind of signal, with the columns of their flat rows."""

    def __post_init__(self) -> None:
        if self.salt == "":
            raise ConfigError("`salt` must not be empty.", remedy="Omit it to draw a new salt.")
        if self.salt is not None and not self.private:
            raise ConfigError("`salt` has no effect without `private=True`.", remedy="Add `private=True`.")
        require_share("holdout", self.holdout, example=0.1)
        forms = ("auto", "table", *self.forms)
        if self.form not in forms:
            raise ConfigError(
                f"`form` must be one of {', '.join(forms)} for {self.name}, got {self.form!r}.",
                remedy="Omit it: the form is found by the contents of the file.",
            )

    @abstractmethod
    def kind(self, columns: SignalColumns, *, is_json: bool = False) -> SignalKind:
        """What makes groups of a table with the given columns; `is_json` says that contents are JSON text."""

    def asked(self) -> Mapping[str, float] | None:
        """Which questions or aspects of a file of another tool count, with weights; None for its only one."""
        return None

    def check(self, table: Table, columns: SignalColumns, *, source: str) -> None:  # noqa: B027  (most have none)
        """Refuse settings that have no effect on the rows of a table.

        Raises:
            ConfigError: naming the setting.
        """

    def refuse_named(self, form: Form, source: str) -> None:
        """Refuse names of columns for a file of another tool, whose columns are known.

        Raises:
            ConfigError: naming the first.
        """
        people = {"asker": self.exclude.asker, "parent": self.exclude.parent}
        named = [*self.columns.renamed(), *(role for role, name in people.items() if name is not None)]
        if named:
            raise ConfigError(
                f"`{named[0]}` has no effect on {source}: a file of the form {form} has known columns.",
                remedy="Omit it, or set `form='table'` to read the file as a table.",
            )

    def cleaning(self) -> Cleaning:
        """What is done to texts, keys, authors and winners."""
        salt = self.salt or redaction.new_salt()
        gate = load_gate(self.gate) if isinstance(self.gate, str) else self.gate
        return Cleaning(
            scrub=redaction.scrub if self.private else None,
            hash_key=(lambda key: redaction.salted(key, salt)) if self.private else None,
            is_bot=redaction.is_bot,
            gate=gate if gate is None or isinstance(gate, SafetyGate) else SafetyGate("the safety gate", gate),
            exclude=self.exclude,
        )


@dataclass(frozen=True, kw_only=True)
class AnswerSettings(SignalSettings):
    """Settings of a kind of signal whose rows hold one answer each.

    Args:
        keep_bots: keep answers whose author is a bot.
    """

    keep_bots: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_bots and "author" not in self.columns.given():
            raise ConfigError("`keep_bots` has no effect without `author`.", remedy="Name the column with `author`.")

    def cleaning(self) -> Cleaning:
        cleaning = super().cleaning()
        return replace(cleaning, is_bot=None) if self.keep_bots else cleaning
