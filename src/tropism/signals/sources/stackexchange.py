"""Stack Exchange posts, questions and answers in one file in any order, to answers with their votes.

A line is a post: `post_id`, `type` (`question` or `answer`), `parent_id` of an answer, `accepted_answer_id` and
`title` of a question, `created`, `score`, `body_html`, `owner_user_id`, and `site` if a file holds several.

The file is read twice: once for where each question lies, once for the answers, each of which looks its question up.
So what is held in memory is an entry per question, not its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tropism.ingest import Row, Unusable, read_rows, row_values
from tropism.ingest.json_records import parse_line
from tropism.ingest.text_bytes import unpacked
from tropism.signals.sources.feedback_rows import AnswerRow, Aside, Refused
from tropism.signals.sources.markdown import TooLongError, to_markdown

QUESTION = "question"
_RECENT = 10_000


def read_stack_exchange(path: Path) -> Iterator[AnswerRow | Aside | Refused]:
    """Answers joined to their questions: the prompt is title and body, both sides Markdown.

    Args:
        path: a JSONL file of posts; `.gz` may follow.

    Yields:
        One row, aside (a question) or refusal for each record, in the order of the file. Keys of groups and authors
        begin with the site if the file names one.

    Raises:
        DataError: if the file cannot be read.
    """
    with unpacked(path) as lines:
        questions = _find_questions(lines)
        with lines.open("rb") as file:
            library = _Library(file, questions)
            for record in read_rows(lines):
                yield Refused(record.number, record.problem) if record.problem else _post(record, library)


class _Question(NamedTuple):
    """A question's record, without its values if its line can be read again, and what its answers need of it."""

    record: Row
    accepted: str | None
    asker: str | None


class _Library:
    """The questions of a file; those that were asked for last stay at hand as Markdown."""

    def __init__(self, file: BinaryIO, questions: Mapping[str, _Question]) -> None:
        self.questions = questions
        self._file = file
        self._recent: dict[str, str] = {}

    def prompt(self, key: str) -> str:
        """Title and body of a question."""
        if key not in self._recent:
            record = self.questions[key].record
            values = record.values
            if record.size:
                self._file.seek(record.offset)
                values = parse_line(self._file.read(record.size))
            if len(self._recent) == _RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[key] = _question_text(values)
        return self._recent[key]


def _find_questions(path: Path) -> dict[str, _Question]:
    """Where the questions of a file lie; the first of several with one key counts."""
    found: dict[str, _Question] = {}
    for record in read_rows(path):
        if record.values.get("type") == "question":
            values = record.values
            key = _key(values, "post_id")
            if key is not None and key not in found:
                accepted, asker = _key(values, "accepted_answer_id"), _key(values, "owner_user_id")
                found[key] = _Question(record._replace(values={}) if record.size else record, accepted, asker)
    return found


def _post(record: Row, library: _Library) -> AnswerRow | Aside | Refused:
    """What becomes of one record."""
    try:
        if record.values.get("type") == "question":
            return _question(record, library)
        return _answer(record, library)
    except Unusable as reason:
        return Refused(record.number, str(reason))


def _question(record: Row, library: _Library) -> Aside:
    """A question is the prompt of others, once."""
    key = _key(record.values, "post_id")
    if key is None:
        raise Unusable("missing post_id")
    if library.questions[key].record.number != record.number:
        raise Unusable("question with the post_id of another")
    return Aside(record.number, QUESTION)


def _answer(record: Row, library: _Library) -> AnswerRow:
    """An answer beside its question."""
    values = record.values
    if values.get("type") != "answer":
        raise Unusable("neither question nor answer")
    group = _key(values, "parent_id")
    if group is None:
        raise Unusable("missing parent_id")
    if group not in library.questions:
        raise Unusable("its question is not in the file")
    question, author = library.questions[group], _key(values, "owner_user_id")
    post = _key(values, "post_id")
    return AnswerRow(
        number=record.number,
        prompt=library.prompt(group),
        response=_markdown(row_values.text(values.get("body_html"), "response"), "response"),
        group=group,
        score=row_values.number(values.get("score"), "score"),
        time=row_values.time(values.get("created")),
        author=author,
        accepted=post is not None and post == question.accepted,
        by_asker=author is not None and author == question.asker,
    )


def _question_text(values: Mapping[str, Any]) -> str:
    """Title, an empty line, and the body as Markdown; either may be missing."""
    title, body = values.get("title"), values.get("body_html")
    parts = [
        " ".join(row_values.encodable(title).split()) if isinstance(title, str) else "",
        _markdown(row_values.encodable(body), "", may_be_empty=True) if isinstance(body, str) else "",
    ]
    return row_values.text("\n\n".join(part for part in parts if part), "prompt")


def _markdown(html: str, name: str, *, may_be_empty: bool = False) -> str:
    """HTML as Markdown with something in it."""
    try:
        text = to_markdown(html)
    except TooLongError:
        raise Unusable("a text longer than any post") from None
    return text if may_be_empty else row_values.text(text, name)


def _key(values: Mapping[str, Any], name: str) -> str | None:
    """A key of a post or a person, with its site."""
    key, site = row_values.key(values.get(name)), row_values.key(values.get("site"))
    return f"{site}/{key}" if key and site else key
