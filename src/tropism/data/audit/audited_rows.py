"""Reads the rows to audit: each row of each file as a group of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tropism.data.audit.findings import RowPlace
from tropism.data.formats import open_rows
from tropism.errors import ConfigError, DataError
from tropism.groups import PreferenceGroup, Split


@dataclass(frozen=True)
class AuditSources:
    """The files of an audit.

    Args:
        train: what is trained on (and perhaps held out of it, by `split` in a file of groups).
        evaluation: what is only evaluated on.
    """

    train: tuple[str, ...]
    evaluation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        same = set(self.train) & set(self.evaluation)
        if not self.train:
            raise DataError("`train` must hold at least one file, got none.", remedy="Add a file.")
        if same:
            raise ConfigError(
                f"{sorted(same)[0]} is named both to train and to evaluate on.", remedy="Name another file with --eval."
            )


@dataclass(frozen=True)
class AuditedRow:
    """One row.

    Args:
        place: where it stands.
        group: what it says; None where it cannot be read.
        problem: why it cannot be read.
        side: whether it is trained or evaluated on, where that is known.
        is_held: True where it comes from a file that is only evaluated on.
        is_whole: True where it is a finished group.
        folder: what paths in it are relative to.
        source: the position of its file.
    """

    place: RowPlace
    group: PreferenceGroup | None
    problem: str
    side: Split | None
    is_held: bool
    is_whole: bool
    folder: Path
    source: int


def read_units(sources: AuditSources) -> Iterator[AuditedRow]:
    """All rows of all files, in order; files to evaluate on come last.

    Raises:
        DataError: where a file is missing or in no known form.
    """
    paths = [*sources.train, *sources.evaluation]
    names = row_names(paths)
    ordinal = 0
    for index, path in enumerate(paths):
        opened = open_rows(path, {})
        is_held = index >= len(sources.train)
        folder = Path(path).parent if Path(path).is_file() else Path()
        for number, found, _ in opened.found:
            group = None if isinstance(found, str) else found
            name = group.id if group and opened.is_whole else str(number)
            side: Split | None = "eval" if is_held else group.split if group and group.split else None
            yield AuditedRow(
                RowPlace(ordinal, names[index] + name),
                group,
                found if isinstance(found, str) else "",
                side or ("train" if sources.evaluation else None),
                is_held,
                opened.is_whole,
                folder,
                index,
            )
            ordinal += 1


def row_names(paths: Sequence[str]) -> list[str]:
    """What stands before a row's number: nothing for one file, else its name, or its path where names are equal."""
    if len(paths) == 1:
        return [""]
    short = [Path(path).name for path in paths]
    return [f"{name if short.count(name) == 1 else path}:" for name, path in zip(short, paths, strict=True)]
