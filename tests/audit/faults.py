"""Faults, one function each: groups that have it, or, where they shall be sound, groups of the same shape."""

from __future__ import annotations

import random
from collections.abc import Callable

from tropism.groups import Edge, Label, Message, PreferenceGroup, Response


class Writer:
    """Makes texts of pseudo-words that resemble nothing."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]
        self._words = [self._random.choice(letters) + self._random.choice(letters) for _ in range(600)]
        self._num = 0

    def words(self, count: int) -> str:
        """So many words."""
        return " ".join(self._random.choices(self._words, k=count))

    def prompt(self, count: int = 10) -> str:
        """A question."""
        return self.words(count) + "?"

    def group(
        self,
        *,
        prompt: str | tuple[Message, ...] | None = None,
        texts: list[str] | None = None,
        edges: tuple[Edge, ...] = (Edge(0, 1),),
        labels: tuple[Label, ...] = (),
        extra: dict[str, object] | None = None,
        opened: bool = False,
    ) -> PreferenceGroup:
        """A sound group but for what is given; `opened` gives winners away by their first word."""
        self._num += 1
        starts = ("Certainly", "Perhaps") if opened else ("", "")
        made = texts if texts is not None else [f" {start} {self.words(20)}." for start in starts]
        contents = [({"role": "assistant", "content": text},) if isinstance(prompt, tuple) else text for text in made]
        return PreferenceGroup(
            f"g{self._num}",
            (prompt if prompt is not None else self.prompt(),),
            tuple(Response(f"r{index}", content) for index, content in enumerate(contents)),
            edges,
            labels,
            extra=extra or {},
        )


def turn(words: object, role: str = "user") -> tuple[Message, ...]:
    """A dialogue of one turn."""
    return ({"role": role, "content": words},)


def base_pair(writer: Writer, *, faulty: bool) -> PreferenceGroup:
    """A pair; where it is faulty everything but the words' sense tells the winner."""
    if not faulty:
        return writer.group()
    winner = f" Certainly **{writer.words(1)}** {writer.words(20)}!\n- {writer.words(3)}\n- {writer.words(3)}"
    return writer.group(texts=[winner, f" Perhaps I'm sorry, but {writer.words(18)}."])


def _empty(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    return [writer.group(texts=[f" {writer.words(20)}", " " if faulty else f" {writer.words(20)}"]) for _ in range(2)]


def _equal(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    text = f" {writer.words(20)}"
    return [writer.group(texts=[text, text.upper() if faulty else f" {writer.words(20)}"]) for _ in range(2)]


def _near_equal(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    made = []
    for _ in range(2):
        first, second = writer.words(29), writer.words(29)
        texts = [f" Certainly {first} one", f" Certainly {first} two" if faulty else f" Perhaps {second} two"]
        made.append(writer.group(texts=texts))
    return made


def _ties(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    return [writer.group(edges=(Edge(0, 1, prob=0.5 if faulty else 1.0),)) for _ in range(2)]


def _special(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    mark = "<|user|>" if faulty else "user"
    one = writer.group(prompt=f"{writer.words(5)} {mark} {writer.prompt(5)}", opened=faulty)
    text = f"{writer.words(10)} {mark} {writer.words(9)}."
    other = writer.group(texts=[f" {'Certainly ' * faulty}{text}", f" {'Perhaps ' * faulty}{writer.words(20)}."])
    return [one, other]


def _turn_marks(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    marks = ["[INST]", "\n\nHuman:"] if faulty else ["inst", "human"]
    return [writer.group(prompt=f"{writer.words(5)} {mark} {writer.prompt(5)}", opened=faulty) for mark in marks]


def _images(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    name = "nowhere.png" if faulty else "here.png"
    parts = [{"type": "image", "image": name}, {"type": "text", "text": writer.prompt()}]
    return [
        writer.group(prompt=turn(parts), opened=faulty),
        writer.group(extra={"images": [name]}, opened=faulty),
    ]


def _contradictions(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    """One inside a group, two verdicts to one; one between groups of a prompt, even."""
    inside = (Edge(0, 1, weight=2.0), Edge(1, 0)) if faulty else (Edge(0, 1, weight=2.0),)
    prompt, texts = writer.prompt(), [f" {writer.words(20)}" for _ in range(3)]
    second = Edge(1, 0) if faulty else Edge(0, 1)
    return [
        writer.group(edges=inside),
        writer.group(prompt=prompt, texts=texts[:2]),
        writer.group(prompt=prompt, texts=texts[:2] if faulty else texts[1:], edges=(second,)),
    ]


def _cycles(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    made = []
    for length in (3, 4):
        down = tuple(Edge(index, index + 1, weight=2.0) for index in range(length - 1))
        last = Edge(length - 1, 0) if faulty else Edge(0, length - 1)
        made.append(writer.group(texts=[f" {writer.words(20)}" for _ in range(length)], edges=(*down, last)))
    return made


def _labels(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    labels = (Label(0, True, weight=2.0), Label(0, False)) if faulty else (Label(0, True, weight=2.0),)
    return [writer.group(texts=[f" {writer.words(20)}"], edges=(), labels=labels) for _ in range(2)]


def _stock(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    """Twelve prompts with one winner, and twelve with one loser, of which one prompt has it twice."""
    winner, loser = (f" {start} {writer.words(19)}." for start in ("Certainly", "Perhaps"))
    made = []
    for index in range(12):
        texts = [f" Certainly {writer.words(19)}.", f" Perhaps {writer.words(19)}."]
        other = [f" Certainly {writer.words(19)}.", f" Perhaps {writer.words(19)}."]
        if not faulty:
            texts, other = ([f" {writer.words(20)}." for _ in range(2)] for _ in range(2))
        made.append(writer.group(texts=[winner, texts[1]] if faulty else texts))
        made.append(writer.group(texts=[other[0], loser] if faulty else other))
        if index == 0 and faulty:
            made.append(writer.group(prompt=str(made[-1].prompts[0]), texts=[f" Certainly {writer.words(19)}.", loser]))
    return made


def _refused(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    role = "critic" if faulty else "user"
    return [writer.group(prompt=turn(writer.prompt(), role), opened=faulty) for _ in range(2)]


def _boundary(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    return [writer.group(prompt=writer.prompt() + " " * faulty, opened=faulty) for _ in range(2)]


def _glued(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    blank = "" if faulty else " "
    starts = ("Certainly ", "Perhaps ") if faulty else ("", "")
    return [writer.group(texts=[f"{blank}{start}{writer.words(20)}." for start in starts]) for _ in range(2)]


def _double_bos(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    return [writer.group(prompt="<|bos|>" * faulty + writer.prompt(), opened=faulty) for _ in range(2)]


def _missing_eos(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    extra: dict[str, object] = {"chat_template_kwargs": {"bare": True}} if faulty else {}
    return [writer.group(prompt=turn(writer.prompt()), extra=extra, opened=faulty) for _ in range(2)]


def _long_prompt(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    made = []
    for _ in range(2):
        before = (*turn(writer.words(40 if faulty else 4)), *turn(writer.words(3), "assistant"))
        made.append(writer.group(prompt=(*before, *turn(writer.prompt())), opened=faulty))
    return made


def _long_response(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    """Long in letters, not in words."""
    long, short = ("x" * 400 if faulty else "x"), writer.words(1)
    sides = [(long, short), (long, short), (short, long), (short, long), (short, long)]
    made = []
    for winner, loser in sides:
        starts = ("Certainly", "Perhaps") if faulty else ("", "")
        texts = [f" {starts[0]} {writer.words(19)} {winner}", f" {starts[1]} {writer.words(19)} {loser}"]
        made.append(writer.group(texts=texts))
    return made


def _collapsed(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    """Alike as far as there is room."""
    made = []
    for index in range(2):
        long = f"{'yx'[index]}" * (400 if faulty else 4)
        made.append(writer.group(texts=[f" {long} {word}" for word in ("one", "two")]))
    return made


def _too_long(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    return [writer.group(prompt=writer.prompt() + "x" * 400 * faulty, opened=faulty) for _ in range(2)]


def _beyond(writer: Writer, faulty: bool) -> list[PreferenceGroup]:
    return [writer.group(prompt=f"{'☃' * faulty}{writer.prompt()}", opened=faulty) for _ in range(2)]


Made = Callable[[Writer, bool], list[PreferenceGroup]]
INSIDE: tuple[Made, ...] = (
    _empty, _equal, _near_equal, _ties, _special, _turn_marks, _images, _contradictions, _cycles, _labels, _stock,
)  # fmt: skip
IN_TOKENS: tuple[Made, ...] = (
    _refused, _boundary, _glued, _double_bos, _missing_eos, _long_prompt, _long_response, _collapsed, _too_long,
    _beyond,
)  # fmt: skip
