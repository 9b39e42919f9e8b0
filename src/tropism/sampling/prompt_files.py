"""Prompts to answer, from a file of any known form, or from one that holds prompts and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TypeAlias

from tropism.data import dialogues
from tropism.data.formats import open_rows
from tropism.data.forms import FORMS
from tropism.data.group_keys import PROMPT_EXTRAS
from tropism.errors import DataError
from tropism.groups import Content, PreferenceGroup, content_key
from tropism.ingest import NotRead, Row, Unusable, read_rows
from tropism.ingest.row_values import text

NUM_ROWS_TO_FIND_FORM = 100
ALONE = ("messages", "text")
"""Forms that read a dialogue to learn from; here it is one to go on with."""


@dataclass(frozen=True)
class Prompts:
    """Distinct prompts, and what became of every row.

    Args:
        source: where they came from.
        contents: in the order in which they first came.
        num_rows: for each prompt, how many rows asked it.
        dropped: reason to number of rows.
        examples: a few row numbers of each reason.
    """

    source: str
    contents: tuple[Content, ...]
    num_rows: tuple[int, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)


Found: TypeAlias = tuple[int, Content | Unusable]
"""A row's number, and its prompt or the reason why it has none."""


def read_prompts(path: str) -> Prompts:
    """Read the prompts of a file, folder or hub data set.

    Answers, ranks and labels beside a prompt are not read. Rows with a `prompt` (text or messages) and no answer will
    do, and so will `messages` that end with what is to be answered.

    Raises:
        DataError: if it is missing, in no known form, or leaves no usable prompt.
    """
    first = list(islice((row for row in read_rows(path) if not row.problem), NUM_ROWS_TO_FIND_FORM))
    forms = {form.name for form in FORMS if any(form.fits(row.values) for row in first)}
    asked = {name for row in first for name in row.values} & {"prompt", "messages"}
    if asked and forms <= set(ALONE):
        return collect(path, _asked(read_rows(path)))
    return collect(path, _answered(path))


def prompts_of(groups: Iterable[PreferenceGroup], *, source: str) -> Prompts:
    """The prompts of groups; a row is a group."""
    return collect(source, ((number, _of_group(group)) for number, group in enumerate(groups, 1)))


def collect(source: str, found: Iterable[Found]) -> Prompts:
    """Each distinct prompt once, with an account of the rows.

    Raises:
        DataError: if there is none.
    """
    prompts: dict[str, Content] = {}
    num_rows: Counter[str] = Counter()
    dropped = NotRead()
    for number, prompt in found:
        if isinstance(prompt, Unusable):
            dropped.add(str(prompt), number)
        else:
            key = content_key(prompt)
            prompts.setdefault(key, prompt)
            num_rows[key] += 1
    if not prompts:
        reasons = str(dropped) or "it holds no rows"
        raise DataError(
            f"{source} holds no prompt that can be answered ({reasons}).", remedy='Write one {"prompt": ...} per line.'
        )
    counts = tuple(num_rows[key] for key in prompts)
    return Prompts(source, tuple(prompts.values()), counts, dict(dropped.counts), dropped.examples)


def _asked(rows: Iterable[Row]) -> Iterator[Found]:
    """The prompts of rows that hold prompts alone."""
    for row in rows:
        try:
            yield row.number, _of_row(row)
        except Unusable as reason:
            yield row.number, reason


def _of_row(row: Row) -> Content:
    """The prompt of a row without answers."""
    if row.problem:
        raise Unusable(row.problem)
    if any(row.values.get(name) for name in PROMPT_EXTRAS):
        raise Unusable(WITH_EXTRAS)
    if row.values.get("prompt") is None and row.values.get("messages") is not None:
        return _to_answer(dialogues.turns(row.values["messages"], "messages"))
    prompt = dialogues.content(row.values.get("prompt"), "prompt")
    if isinstance(prompt, str):
        text(prompt, "prompt")
        return dialogues.hh_turns(prompt)[:-1] if _awaits_answer(prompt) else prompt
    assert isinstance(prompt, tuple)
    return _to_answer(prompt)


def _awaits_answer(prompt: str) -> bool:
    """Whether a text is hh-rlhf's dialogue with the mark of an answer that is to come."""
    return dialogues.is_hh(prompt) and prompt.rstrip().endswith("\n\nAssistant:")


def _to_answer(spoken: dialogues.Turns) -> Content:
    """A dialogue without the assistant's turns at its end: what they answered is asked again."""
    behind = len(list(takewhile(lambda turn: turn["role"] == "assistant", reversed(spoken))))
    if behind == len(spoken):
        raise Unusable("a dialogue without a question")
    return spoken[: len(spoken) - behind]


def _answered(path: str) -> Iterator[Found]:
    """The prompts of rows in any form that `load` reads."""
    for number, group, _ in open_rows(path, {}).found:
        yield number, Unusable(group) if isinstance(group, str) else _of_group(group)


def _of_group(group: PreferenceGroup) -> Content | Unusable:
    """The prompt of a group, or why it cannot be answered."""
    prompt = group.prompts[0]
    if len(group.prompts) > 1:
        return Unusable("several prompts in one group")
    if not isinstance(prompt, str | tuple) or not prompt:
        return Unusable("no text to answer")
    if any(group.extra.get(name) for name in PROMPT_EXTRAS):
        return Unusable(WITH_EXTRAS)
    return prompt


WITH_EXTRAS = "tools or template arguments, which sampling does not write"
