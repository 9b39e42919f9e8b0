"""The forms that a row can have: one literal table from the columns to the function that reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Any, TypeAlias

from tropism.data import dialogues
from tropism.data.dialogues import said, turns
from tropism.errors import DataError
from tropism.groups import Content, Edge, Label, content_key
from tropism.ingest import Unusable
from tropism.ingest.row_values import check_json, decoded, flag, optional_number, text, weight

Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class FormAnswer:
    """One response of a row."""

    content: Content
    rank: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class RowReading:
    """What one row says: a prompt, answers to it, and what people thought of them."""

    prompt: Content
    answers: tuple[FormAnswer, ...]
    edges: tuple[Edge, ...] = ()
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """A family of columns.

    Args:
        name: what a data card calls it.
        columns: all of them must be there.
        read: turns a row into a reading.
        optional: columns that are read if they are present.
        without: columns that show that the row means something else.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Values], RowReading]
    optional: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def fits(self, given: Iterable[str]) -> bool:
        """Whether a row with these columns has this form."""
        names = set(given)
        return names.issuperset(self.columns) and names.isdisjoint(self.without)


def read_row(form: Form, values: Values) -> tuple[RowReading, dict[str, Any]]:
    """One row as a reading and the `extra` that a chat template needs.

    Raises:
        Unusable: if the row must be left out.
    """
    for name in form.columns:
        if name not in values:
            raise Unusable(f"{name!r} is missing")
    if any(values.get(name) for name in IMAGES):
        raise Unusable("images, which are not read from these forms")
    return form.read(values), _template_extra(values)


def find_form(rows: Sequence[Values], path: str) -> Form:
    """The form that most of a file's first rows have; the earlier one in `FORMS` if two are equally frequent.

    Raises:
        DataError: if no row has the columns of any form.
    """
    found = Counter(form for values in rows if (form := next((f for f in FORMS if f.fits(values)), None)))
    if found:
        return max(FORMS, key=lambda form: found[form])
    given = list(dict.fromkeys(str(name) for values in rows for name in values))
    expected = "; ".join(dict.fromkeys("/".join(form.columns) for form in FORMS))
    guesses = [(name, get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.7)) for name in given if name not in KNOWN]
    guess = next(
        (f"Did you mean {near[0]!r} by {shown_names([name])!r}?" for name, near in guesses if near),
        "Rename the columns.",
    )
    raise DataError(
        f"the columns of {path} fit no form: given {shown_names(given) or 'none'}; expected one of {expected}.",
        remedy=guess,
    )


def shown_names(names: Sequence[str]) -> str:
    """The first few column names, fit to be printed."""
    shown = [name.encode("utf-8", "replace").decode()[:40] for name in names[:12]]
    return ", ".join(shown) + (", ..." if len(names) > 12 else "")


def _pair(values: Values) -> RowReading:
    """`chosen` and `rejected`, with or without `prompt`."""
    both = [dialogues.content(values[name], name) for name in ("chosen", "rejected")]
    if "prompt" in values:
        return _compared(*dialogues.with_prompt(dialogues.content(values["prompt"], "prompt"), both), values)
    return _compared(*dialogues.without_prompt(both), values)


def _conversation_pair(values: Values) -> RowReading:
    """ShareGPT's preferences: the dialogue so far, and two turns that could follow."""
    both = [dialogues.content(values[name], name) for name in ("chosen", "rejected")]
    asked = _after_system(values, turns(values["conversations"], "conversations"))
    return _compared(*dialogues.with_prompt(asked, both), values)


def _instruction_pair(values: Values) -> RowReading:
    """Alpaca's preferences."""
    both = [dialogues.content(values[name], name) for name in ("chosen", "rejected")]
    return _compared(*dialogues.with_prompt(_instruction(values), both), values)


def _ranking(column: str) -> Callable[[Values], RowReading]:
    """A reader of ranked answers, best first, in this column; a nested list is a tie."""

    def read(values: Values) -> RowReading:
        ranked = decoded(values[column], column)
        if not isinstance(ranked, list | tuple):
            raise Unusable(f"{column!r} is missing" if ranked is None else f"{column!r} is not a list")
        if not ranked:
            raise Unusable(f"{column!r} is empty")
        places = [_tied(entry) for entry in ranked]
        ranks = [rank for rank, place in enumerate(places) for _ in place]
        contents = [dialogues.content(value, column) for place in places for value in place]
        prompt, answers = dialogues.with_prompt(dialogues.content(values["prompt"], "prompt"), contents)
        if len({content_key(answer) for answer in answers}) < len(answers):
            raise Unusable("an answer occurs twice in the ranking")
        edges = tuple(
            Edge(better, worse, weight=weight(values))
            for better, worse in combinations(range(len(ranks)), 2)
            if ranks[better] < ranks[worse]
        )
        if not edges:
            raise Unusable("a ranking that prefers nothing")
        return RowReading(prompt, tuple(FormAnswer(a, rank) for a, rank in zip(answers, ranks, strict=True)), edges)

    return read


def _labelled(values: Values) -> RowReading:
    """KTO's form: one answer that people wanted or did not."""
    label = Label(0, flag(values["label"], "label"), weight=weight(values))
    answered = _answered(values)
    return RowReading(answered.prompt, answered.answers, labels=(label,))


def _answered(values: Values) -> RowReading:
    """`prompt` and `completion`."""
    completion = dialogues.content(values["completion"], "completion")
    prompt, answers = dialogues.with_prompt(dialogues.content(values["prompt"], "prompt"), [completion])
    return RowReading(prompt, (FormAnswer(answers[0]),))


def _conversation(values: Values) -> RowReading:
    """ShareGPT's dialogues; with a `label`, the last turn is the one that people judged."""
    spoken = _after_system(values, turns(values["conversations"], "conversations"))
    if "label" not in values:
        return _dialogue(spoken)
    if spoken[-1]["role"] != "assistant" or len(spoken) == 1:
        raise Unusable("a labelled dialogue does not end with an assistant's answer")
    label = Label(0, flag(values["label"], "label"), weight=weight(values))
    return RowReading(spoken[:-1], (FormAnswer(spoken[-1:]),), labels=(label,))


def _instructed(values: Values) -> RowReading:
    """Alpaca's instruction and output."""
    return RowReading(_instruction(values), (FormAnswer((said("assistant", text(values["output"], "output")),)),))


def _messages(values: Values) -> RowReading:
    """A dialogue in `messages`."""
    return _dialogue(turns(values["messages"], "messages"))


def _plain(values: Values) -> RowReading:
    """`text` alone: an answer to nothing, or a dialogue as hh-rlhf writes it."""
    words = text(values["text"], "text")
    return _dialogue(dialogues.hh_turns(words)) if dialogues.is_hh(words) else RowReading("", (FormAnswer(words),))


def _dialogue(spoken: dialogues.Turns) -> RowReading:
    """A dialogue to learn from: the prompt is all before the assistant's first turn."""
    prompt = dialogues.before_answer(spoken)
    if len(prompt) == len(spoken):
        raise Unusable("a dialogue without an assistant's turn")
    if not prompt:
        raise Unusable("a dialogue that begins with the assistant")
    return RowReading(prompt, (FormAnswer(spoken[len(prompt) :]),))


def _compared(prompt: Content, answers: Sequence[Content], values: Values) -> RowReading:
    """Two answers, the first preferred, with the optional columns of a pair."""
    chosen, rejected = answers
    if content_key(chosen) == content_key(rejected):
        raise Unusable("chosen and rejected are equal")
    if any(isinstance(answer, str) and not answer.strip() for answer in answers):
        raise Unusable("an answer is empty")
    prob = 0.5 if flag(values.get("tie") or False, "tie") else optional_number(values, "prob", 1.0)
    if not 0 <= prob <= 1:
        raise Unusable("'prob' is outside [0, 1]")
    margin = optional_number(values, "margin", 0.0)
    edge = Edge(0, 1, weight=weight(values), margin=margin, prob=prob) if prob >= 0.5 else None
    swapped = Edge(1, 0, weight=weight(values), margin=-margin, prob=1 - prob) if prob < 0.5 else None
    notes = ("rejected is the likelier winner, by 'prob'",) if swapped else ()
    scored = tuple(
        FormAnswer(answer, score=_score(values, name))
        for answer, name in zip(answers, ("chosen", "rejected"), strict=True)
    )
    return RowReading(prompt, scored, tuple(filter(None, (edge, swapped))), notes=notes)


def _score(values: Values, name: str) -> float | None:
    """The number that an answer was given, under either name that hub data use."""
    column = next((c for c in (f"{name}_score", f"score_{name}") if values.get(c) not in (None, "")), None)
    return optional_number(values, column, 0.0) if column else None


def _instruction(values: Values) -> dialogues.Turns:
    """Alpaca's instruction, input, system and history as turns."""
    words = text(values["instruction"], "instruction")
    if values.get("input") not in (None, ""):
        words += "\n" + text(values["input"], "input")
    before: list[dialogues.Message] = []
    history = decoded(values.get("history") or [], "history")
    for exchange in history if isinstance(history, list | tuple) else [history]:
        if not (isinstance(exchange, list | tuple) and len(exchange) == 2):
            raise Unusable("'history' is not a list of pairs")
        question, answer = (text(item, "history") for item in exchange)
        before += [said("user", question), said("assistant", answer)]
    return _after_system(values, (*before, said("user", words)))


def _after_system(values: Values, spoken: dialogues.Turns) -> dialogues.Turns:
    """A dialogue behind the row's `system` text, if it has one."""
    if values.get("system") in (None, ""):
        return spoken
    return (said("system", text(values["system"], "system")), *spoken)


def _tied(entry: object) -> Sequence[object]:
    """The answers of one place of a ranking: several if the entry is a list but not a dialogue."""
    is_tie = isinstance(entry, list) and bool(entry) and not isinstance(entry[0], dict)
    return entry if is_tie and isinstance(entry, list) else [entry]


def _template_extra(values: Values) -> dict[str, Any]:
    """`tools` and `chat_template_kwargs`, checked."""
    extra: dict[str, Any] = {}
    for name, kind in (("tools", list), ("chat_template_kwargs", dict)):
        value = decoded(values.get(name) or None, name)
        if not value:
            continue
        check_json(value)
        if not isinstance(value, kind):
            raise Unusable(f"{name!r} is not {'a list' if kind is list else 'an object'}")
        extra[name] = value
    return extra


IMAGES = ("image", "images")
TEMPLATE = ("tools", "chat_template_kwargs", *IMAGES)
SCORES = ("chosen_score", "score_chosen", "rejected_score", "score_rejected")
PAIR = ("weight", "margin", "prob", "tie", *SCORES, *TEMPLATE)
ALPACA = ("input", "system", "history")
UNRANKED = ("labels", "scores", "ranks", "ratings")

FORMS = (
    Form(
        "sharegpt pairs",
        ("conversations", "chosen", "rejected"),
        _conversation_pair,
        ("system", *PAIR),
        without=("prompt",),
    ),
    Form(
        "alpaca pairs", ("instruction", "chosen", "rejected"), _instruction_pair, (*ALPACA, *PAIR), without=("prompt",)
    ),
    Form("pairs", ("chosen", "rejected"), _pair, ("prompt", *PAIR)),
    *(
        Form("ranking", ("prompt", column), _ranking(column), ("weight", *TEMPLATE), without=UNRANKED)
        for column in ("responses", "ranking", "completions", "ranked")
    ),
    Form("kto", ("prompt", "completion", "label"), _labelled, ("weight", *TEMPLATE)),
    Form("sft", ("prompt", "completion"), _answered, TEMPLATE),
    Form("sharegpt", ("conversations",), _conversation, ("label", "weight", "system", *TEMPLATE)),
    Form("alpaca", ("instruction", "output"), _instructed, (*ALPACA, *TEMPLATE)),
    Form("messages", ("messages",), _messages, TEMPLATE),
    Form("text", ("text",), _plain, TEMPLATE),
)
KNOWN = tuple(dict.fromkeys(name for form in FORMS for name in (*form.columns, *form.optional)))
