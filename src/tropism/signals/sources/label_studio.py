"""Label Studio's JSON export: what annotators said about the responses in a task.

A task has `id`, `data` by name, and `annotations`, each with `result`, `completed_by`, `lead_time`, `created_at` and
`was_cancelled`. A result has a `type` and a `value`:

| type | value | becomes |
|---|---|---|
| `pairwise` | `selected`: `left` or `right` | a choice; left is the first response |
| `choices` | `choices`: one label that names a response, or tie, both bad, skip | a choice |
| `rating` | `rating`: stars, of a control whose name or target ends in a response's | a rating |
| `ranker` | `ranker`: one list of ids, best first, of the items in the task's list | a ranking |
| anything else | | passed over |

Predictions come from models and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tropism.ingest import Row, Unusable, read_rows, row_values
from tropism.signals.sources.feedback_rows import Aside, ChoiceRow, Feedback, RankRow, RatingRow, Refused, Verdict
from tropism.signals.sources.names import Fields, Questions, Shown, meaning, prompt_in, rated_by, shown_in

PREDICTION = "prediction of a model"
OTHER = "result that compares nothing"
UNASKED = "answer to another question"
_KINDS = ("pairwise", "choices", "rating", "ranker")
_TEXTS = ("body", "text", "html", "content", "title")


def read_label_studio(
    path: Path,
    *,
    fields: Fields = Fields(),  # noqa: B008
    questions: Questions | None = None,
) -> Iterator[Feedback | Aside | Refused]:
    """Choices, rankings and ratings of every annotator.

    Args:
        path: a JSON list or JSONL of tasks.
        fields: which fields of `data` are the prompt and the responses.
        questions: the controls whose choices and rankings count; None takes all.

    Yields:
        For each result its row (its rows, for a ranking), an aside or one refusal; an aside for each prediction; one
        refusal for an annotation without results, and for a task that cannot be used or without annotations.

    Raises:
        DataError: if the file cannot be read.
    """
    questions = questions or Questions()
    for record in read_rows(path):
        if record.problem:
            yield Refused(record.number, record.problem)
            continue
        try:
            data = row_values.mapping(record.values.get("data"), "data")
            annotations = row_values.listing(record.values.get("annotations"), "annotations")
            prompt_in(data, fields)
        except Unusable as reason:
            yield Refused(record.number, str(reason))
            continue
        predictions = record.values.get("predictions")
        yield from (Aside(record.number, PREDICTION) for _ in (predictions if isinstance(predictions, list) else ()))
        if not annotations:
            yield Refused(record.number, "no annotation")
        for annotation in annotations:
            yield from _annotation(_Task(record, data, fields, questions), annotation)


class _Task(NamedTuple):
    """A task: its record, its data, and which fields of them and which questions count."""

    record: Row
    data: Mapping[str, Any]
    fields: Fields
    questions: Questions

    @property
    def number(self) -> int:
        """Of the record."""
        return self.record.number

    @property
    def group(self) -> str:
        """Key of the prompt."""
        return row_values.key(self.record.values.get("id")) or f"record {self.number}"


class _By(NamedTuple):
    """Who annotated, how long it took, and when."""

    annotator: str | None
    seconds: float | None
    time: float | None


def _annotation(task: _Task, annotation: object) -> Iterator[Feedback | Aside | Refused]:
    """The results of one annotation."""
    try:
        values = row_values.mapping(annotation, "annotation")
        if values.get("was_cancelled"):
            raise Unusable("skipped by the annotator")
        results = row_values.listing(values.get("result"), "result")
        by = _by(values)
        if not results:
            raise Unusable("annotation without a result")
    except Unusable as reason:
        yield Refused(task.number, str(reason))
        return
    for result in results:
        try:
            yield from _rows(task, by, row_values.mapping(result, "result"))
        except Unusable as reason:
            yield Refused(task.number, str(reason))


def _by(annotation: Mapping[str, Any]) -> _By:
    """Who made an annotation, and how; people are numbers, or objects with an address."""
    person, seconds = annotation.get("completed_by"), annotation.get("lead_time")
    if isinstance(person, dict):
        person = person.get("email") or person.get("id")
    return _By(
        row_values.key(person),
        None if seconds is None else row_values.number(seconds, "lead_time"),
        row_values.time(annotation.get("created_at")),
    )


def _rows(task: _Task, by: _By, result: Mapping[str, Any]) -> list[Feedback | Aside]:
    """The rows of one result."""
    kind = result.get("type")
    if kind not in _KINDS:
        return [Aside(task.number, OTHER)]
    value = row_values.mapping(result.get("value"), "value")
    control = row_values.encodable(str(result.get("from_name") or kind))
    if kind == "ranker":
        ranked = [*_ranking(task, by, value)]
        return [*ranked] if task.questions.takes(control, "rankings") else [Aside(task.number, UNASKED)]
    shown = shown_in(task.data, task.fields)
    if kind == "rating":
        return [_rating(task, by, result, shown)]
    if kind == "pairwise":
        label = value.get("selected")
        if label not in ("left", "right"):
            raise Unusable("nothing was selected")
        choice = _choice(task, by, shown, "a" if label == "left" else "b")
    else:
        choice = _choice(task, by, shown, _labelled(value, shown))
    return [choice] if task.questions.takes(control, "choices") else [Aside(task.number, UNASKED)]


def _labelled(value: Mapping[str, Any], shown: Shown) -> Verdict:
    """What the one label of a `choices` result says of two responses."""
    labels = row_values.listing(value.get("choices"), "choices")
    if len(labels) != 1:
        raise Unusable("a choice of other than one label")
    shown.pair()
    meant = meaning(labels[0], shown.names)
    return ("a", "b")[meant] if isinstance(meant, int) else meant


def _choice(task: _Task, by: _By, shown: Shown, choice: Verdict) -> ChoiceRow:
    """A choice between two responses."""
    first, second = shown.pair()
    return ChoiceRow(
        task.number,
        shown.prompt.text,
        first.text,
        second.text,
        choice,
        by.annotator,
        task.group,
        seconds=by.seconds,
        time=by.time,
        prompt_is_json=shown.prompt.is_json,
        response_is_json=first.is_json,
    )


def _rating(task: _Task, by: _By, result: Mapping[str, Any], shown: Shown) -> RatingRow:
    """Stars for a response that the control's name says, or else the name of what it belongs to."""
    score = row_values.number(row_values.mapping(result.get("value"), "value").get("rating"), "rating")
    control, target = (row_values.encodable(str(result.get(name) or "")) for name in ("from_name", "to_name"))
    try:
        place, aspect = rated_by(control, shown.names)
    except Unusable:
        place, aspect = rated_by(target, shown.names)[0], control
    return RatingRow(task.number, *shown.rated(place), task.group, aspect or "rating", score, by.annotator)


def _ranking(task: _Task, by: _By, value: Mapping[str, Any]) -> Iterator[RankRow]:
    """The items of the task's list in the order that they were left in."""
    lists = row_values.mapping(value.get("ranker"), "ranker")
    if len(lists) != 1:
        raise Unusable("items sorted into buckets")
    order = [row_values.key(one) for one in row_values.listing(next(iter(lists.values())), "ranking")]
    items = _items(task)
    if len(order) < 2 or len(set(order)) < len(order):
        raise Unusable("a ranking without two different responses")
    prompt = prompt_in(task.data, task.fields)
    for rank, name in enumerate(order):
        if name is None or name not in items:
            raise Unusable("an answer that names no response")
        response = items[name]
        yield RankRow(
            task.number,
            prompt.text,
            response.text,
            task.group,
            rank,
            by.annotator,
            prompt.is_json,
            response.is_json,
        )


def _items(task: _Task) -> dict[str, row_values.Text]:
    """The items of the task's lists, by their ids; the first of `_TEXTS` that an item has is the response."""
    found = {}
    for value in task.data.values():
        for item in value if isinstance(value, list) else ():
            name = row_values.key(item.get("id")) if isinstance(item, dict) else None
            if name is not None:
                text = next((item[key] for key in _TEXTS if item.get(key)), None)
                found[name] = row_values.text_or_turns(text, "response")
    return found
