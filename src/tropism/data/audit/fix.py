"""Writes a repaired file of groups from an audit, with an account of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tropism.data.audit.audit import Audit
from tropism.data.audit.audited_rows import AuditedRow, AuditSources, read_units
from tropism.data.audit.marks import escaped, marks_in
from tropism.data.audit.row_faults import images_of, is_local
from tropism.data.group_store import write_groups
from tropism.data.merge import Merger
from tropism.errors import DataError
from tropism.groups import PreferenceGroup
from tropism.records import Account, DataCard

ESCAPED = "texts whose turn marks were escaped"
"""The note on the card for rows that were changed."""


def fix(sources: AuditSources, found: Audit, target: Path) -> DataCard:
    """Write what is trained on again, without what the audit would leave out.

    Rows of one prompt become one group, as they do in training.

    Args:
        sources: the files that were audited; those to evaluate on are left as they are.
        found: the audit.
        target: a `.parquet` file, made whole or not at all.

    Returns:
        The card of the new file: its rows are those of the files to train on.

    Raises:
        DataError: where nothing would be left, or images would no longer be found.
        OutputError: where the file cannot be written.
    """
    repair = _Repair(found)
    merger = Merger()
    for unit in read_units(sources):
        if not unit.is_held:
            repair.num_read += 1
            for group in repair.kept(unit):
                _check_images(unit, group, target)
                change = merger.add(group, source=unit.source, is_whole=unit.is_whole)
                repair.made += change.made
                repair.notes.update(change.notes)
    if not repair.made["groups"]:
        raise DataError(
            f"no row would be left of {', '.join(sources.train)}: {repair.reasons()}.",
            remedy="Omit checks with `skip`, or fix the data at their source.",
        )
    card = DataCard(source=", ".join(sources.train), rule="tropism audit --fix", account=repair.account())
    write_groups(merger.groups(), target, card=card)
    return card


def repaired(group: PreferenceGroup, leave_out: Mapping[str, Mapping[int, str]]) -> PreferenceGroup | str:
    """A group without some of its parts.

    Args:
        group: the group.
        leave_out: for `responses`, `edges` and `labels`, the indices to leave out, each with the check that says so.

    Returns:
        The group, or the check to blame where no response, or no feedback of what there was, is left.

    Example:
        >>> from tropism.groups import Edge, Response
        >>> group = PreferenceGroup("g", ("p",), (Response("a", ""), Response("b", "x")), (Edge(1, 0),))
        >>> repaired(group, {"responses": {0: "empty-responses"}})
        'empty-responses'
    """
    blamed = next((check for part in leave_out.values() for check in part.values()), "")
    if not blamed:
        return group
    gone = {part: leave_out.get(part, {}) for part in ("responses", "edges", "labels")}
    place = {old: new for new, old in enumerate(i for i in range(len(group.responses)) if i not in gone["responses"])}
    edges = tuple(
        replace(edge, winner=place[edge.winner], loser=place[edge.loser])
        for index, edge in enumerate(group.edges)
        if index not in gone["edges"] and edge.winner in place and edge.loser in place
    )
    labels = tuple(
        replace(label, response=place[label.response])
        for index, label in enumerate(group.labels)
        if index not in gone["labels"] and label.response in place
    )
    had_feedback = bool(group.edges or group.labels)
    if not place or (had_feedback and not edges and not labels):
        return blamed
    return replace(group, responses=tuple(group.responses[old] for old in place), edges=edges, labels=labels)


def _check_images(unit: AuditedRow, group: PreferenceGroup, target: Path) -> None:
    """Refuse to write images' paths where they would mean other files."""
    if target.parent.resolve() == unit.folder.resolve():
        return
    for path in images_of(group):
        if is_local(path) and not Path(path).is_absolute():
            raise DataError(
                f"row {unit.place.id} names the image {path!r}, which is not in the folder of {target}.",
                remedy=f"Use `target={unit.folder / target.name}`.",
            )


class _Repair:
    """Applies an audit's repairs row by row, and counts."""

    def __init__(self, found: Audit) -> None:
        self.num_read = 0
        self.dropped: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self._repairs = found.repairs
        self._marks = found.marks
        self._examples: dict[str, list[str]] = {}

    def kept(self, unit: AuditedRow) -> Iterator[PreferenceGroup]:
        """The row as it shall be, or nothing where it is left out."""
        ordinal = unit.place.ordinal
        if unit.group is None:
            return self._drop(unit, unit.problem)
        if ordinal in self._repairs.rows:
            return self._drop(unit, self._repairs.rows[ordinal])
        leave_out = {
            "responses": self._repairs.responses.get(ordinal, {}),
            "edges": self._repairs.edges.get(ordinal, {}),
            "labels": self._repairs.labels.get(ordinal, {}),
        }
        group = repaired(unit.group, leave_out)
        if isinstance(group, str):
            return self._drop(unit, group)
        for part, indices in leave_out.items():
            self.notes.update(f"{part} left out: {check}" for check in indices.values())
        if marks_in(group, self._marks):
            self.notes[ESCAPED] += 1
            group = escaped(group, self._marks)
        return iter([group])

    def _drop(self, unit: AuditedRow, reason: str) -> Iterator[PreferenceGroup]:
        """Count a row that is left out."""
        self.dropped[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < 5:
            examples.append(unit.place.id)
        return iter(())

    def reasons(self) -> str:
        """What was dropped, in one line."""
        return "; ".join(f"{reason}: {count:,}" for reason, count in self.dropped.most_common())

    def account(self) -> Account:
        """The counts as a record."""
        return Account(
            rows_read=self.num_read,
            rows_used=self.num_read - sum(self.dropped.values()),
            dropped=dict(self.dropped),
            notes=dict(self.notes),
            examples=self._examples,
            **{name: self.made[name] for name in ("groups", "responses", "edges", "labels", "ties")},
        )
