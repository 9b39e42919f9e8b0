"""Argilla's exports: what annotators answered about the responses in a record.

A record as `dataset.records.to_json` writes it has `id`, `fields` by name, and `responses`: for each question a list
of `{value, user_id, status}`. Flattened, as `to_datasets` and `to_list(flatten=True)` give it, it has the fields
themselves, and for each question `NAME.responses`, `NAME.responses.users` and `NAME.responses.status`.

| value of an answer | becomes |
|---|---|
| a text that names one of two responses, or tie, both bad, skip | a choice |
| a list of responses, best first, or of `{value, rank}` | a ranking (its ties are lost if Argilla writes no ranks) |
| a number, of a question whose name ends in a response's | a rating; the rest of the name is its aspect |

Which fields are the prompt and the responses: `argilla_fields.py`. Suggestions come from models and are passed over.
A record does not say whether a text was picked from labels or written freely ("A is better"); `Questions` says which
questions became choices, so that no comment is taken for one unasked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tropism.ingest import Row, Unusable, read_rows, row_values
from tropism.signals.sources.argilla_fields import Question, shown_of
from tropism.signals.sources.feedback_rows import Aside, ChoiceRow, Feedback, RankRow, RatingRow, Refused
from tropism.signals.sources.names import Fields, Questions, Shown, meaning, rated_by

SUGGESTION = "suggestion of a model"
UNASKED = "answer to another question"
_ANSWERS = ".responses"
_OWN = ("id", "_server_id", "status", "metadata", "vectors", "suggestions", "responses", "score")


def read_argilla(
    path: Path,
    *,
    fields: Fields = Fields(),  # noqa: B008
    questions: Questions | None = None,
) -> Iterator[Feedback | Aside | Refused]:
    """Choices, rankings and ratings of every annotator.

    Args:
        path: a JSON list or JSONL.
        fields: which fields are the prompt and the responses.
        questions: whose choices and rankings count; None takes all.

    Yields:
        For each answer its row (its rows, for a ranking) or one refusal; an aside for each suggestion, and for each
        answer that does not count; one refusal for a record that cannot be used, or that has no answer.

    Raises:
        DataError: if the file cannot be read.
    """
    questions = questions or Questions()
    for record in read_rows(path):
        if record.problem:
            yield Refused(record.number, record.problem)
            continue
        try:
            answers = _answers(record.values)
            asked = [Question(answer.question, answer.value) for answer in answers]
            is_flat = "fields" not in record.values
            shown = shown_of(_fields(record.values), asked, fields, is_flat=is_flat)
        except Unusable as reason:
            yield Refused(record.number, str(reason))
            continue
        suggestions = record.values.get("suggestions")
        yield from (Aside(record.number, SUGGESTION) for _ in (suggestions if isinstance(suggestions, dict) else ()))
        if not answers:
            yield Refused(record.number, "no response")
        for answer in answers:
            try:
                yield from _counted(_rows(record, shown, answer), answer.question, questions)
            except Unusable as reason:
                yield Refused(record.number, str(reason))


class _Answer(NamedTuple):
    """What one annotator answered to one question."""

    question: str
    value: object
    annotator: str | None
    status: object


def _counted(rows: list[Feedback], question: str, questions: Questions) -> list[Feedback | Aside]:
    """The rows of one answer, or an aside if its question does not count; ratings are chosen later."""
    first = rows[0]
    if isinstance(first, ChoiceRow | RankRow):
        kind: Literal["choices", "rankings"] = "choices" if isinstance(first, ChoiceRow) else "rankings"
        if not questions.takes(question, kind):
            return [Aside(first.number, UNASKED)]
    return [*rows]


def _fields(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a record: nested, or flat with its metadata."""
    if "fields" in values:
        return row_values.mapping(values["fields"], "fields")
    return {name: value for name, value in values.items() if name not in _OWN and "." not in name}


def _answers(values: Mapping[str, Any]) -> list[_Answer]:
    """The answers of a record, nested or flat."""
    if values.get("responses") is not None:
        nested = row_values.mapping(values["responses"], "responses")
        return [_nested(name, one) for name, all_of in nested.items() for one in _listed(all_of)]
    found = []
    for name in values:
        if not name.endswith(_ANSWERS):
            continue
        given = _listed(values[name])
        users, statuses = (_as_long(values.get(f"{name}.{part}"), given) for part in ("users", "status"))
        question = name.removesuffix(_ANSWERS)
        found += [_Answer(question, *one) for one in zip(given, map(row_values.key, users), statuses, strict=True)]
    return found


def _nested(question: str, answer: object) -> _Answer:
    """One entry of `responses`; one that is no object has no value that could be used."""
    if not isinstance(answer, dict):
        return _Answer(question, None, None, None)
    return _Answer(question, answer.get("value"), row_values.key(answer.get("user_id")), answer.get("status"))


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _as_long(value: object, given: Sequence[object]) -> Sequence[object]:
    """A column beside the answers; nothing if it does not fit them."""
    return value if isinstance(value, list) and len(value) == len(given) else [None] * len(given)


def _rows(record: Row, shown: Shown, answer: _Answer) -> list[Feedback]:
    """The rows of one answer."""
    if answer.status not in (None, "submitted"):
        raise Unusable("answer that was not submitted")
    group = row_values.key(record.values.get("id")) or f"record {record.number}"
    if isinstance(answer.value, str):
        return [_choice(record.number, shown, answer, group)]
    if isinstance(answer.value, list):
        return [*_ranking(record.number, shown, answer.value, group, answer.annotator)]
    score = row_values.number(answer.value, "answer")
    place, aspect = rated_by(row_values.text(answer.question, "name of a question"), shown.names)
    return [RatingRow(record.number, *shown.rated(place), group, aspect, score, answer.annotator)]


def _choice(number: int, shown: Shown, answer: _Answer, group: str) -> ChoiceRow:
    """A label about two responses."""
    first, second = shown.pair()
    meant = meaning(answer.value, shown.names)
    return ChoiceRow(
        number,
        shown.prompt.text,
        first.text,
        second.text,
        ("a", "b")[meant] if isinstance(meant, int) else meant,
        answer.annotator,
        group,
        prompt_is_json=shown.prompt.is_json,
        response_is_json=first.is_json,
    )


def _ranking(
    number: int, shown: Shown, value: Sequence[object], group: str, annotator: str | None
) -> Iterator[RankRow]:
    """A list of responses, best first, or with their ranks."""
    with_ranks = all(isinstance(one, dict) and one.get("rank") is not None for one in value)
    labels = [one.get("value") if isinstance(one, dict) else one for one in value]
    ranks = (
        [row_values.rank(one["rank"]) for one in value if isinstance(one, dict)] if with_ranks else range(len(value))
    )
    places = [meaning(label, shown.names) for label in labels]
    if len(places) < 2 or len(set(places)) < len(places):
        raise Unusable("a ranking without two different responses")
    for place, rank in zip(places, ranks, strict=True):
        if not isinstance(place, int):
            raise Unusable("an answer that names no response")
        response = shown.responses[place]
        yield RankRow(
            number, shown.prompt.text, response.text, group, rank, annotator, shown.prompt.is_json, response.is_json
        )
