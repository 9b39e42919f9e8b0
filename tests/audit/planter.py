"""Plants faults of every audit kind into data, a known number of each; its clean twin has the same shape and none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, PreTrainedTokenizerFast

from tropism.data.store import write_groups
from tropism.groups import Edge, Label, Message, PreferenceGroup, Response

NUM_BASE = 240
NUM_HELD = 24
MAX_TOKENS = 300
SPECIALS = ["<|pad|>", "<|end|>", "<|bos|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role not in ('user', 'assistant') %}{{ raise_exception('no such role') }}{% endif %}"
    "<|{{ message.role }}|>{{ message.content }}"
    "{% if not (bare is defined and message.role == 'assistant') %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

EXPECTED = {
    "unreadable-rows": 3,
    "empty-responses": 3,
    "equal-responses": 3,
    "near-equal-responses": 2,
    "ties-only": 2,
    "special-tokens": 4,
    "turn-marks": 2,
    "missing-images": 2,
    "contradictory-edges": 2,
    "preference-cycles": 2,
    "contradictory-labels": 2,
    "duplicate-rows": 3,
    "near-duplicate-rows": 2,
    "near-duplicate-prompts": 2,
    "leaked-prompts": 3,
    "leaked-near-prompts": 2,
    "leaked-authors": 2,
    "shortcut-length": NUM_BASE + 3,
    "shortcut-bullets": NUM_BASE,
    "shortcut-markdown": NUM_BASE,
    "shortcut-exclamation": NUM_BASE,
    "shortcut-refusal": NUM_BASE,
    "stock-winners": 12,
    "stock-losers": 13,
    "not-rendered": 2,
    "token-boundary": 2,
    "glued-text": 2,
    "double-bos": 2,
    "missing-eos": 2,
    "prompt-cut": 2,
    "chosen-cut": 4,
    "rejected-cut": 5,
    "too-long": 2,
    "collapsed-pairs": 2,
    "beyond-vocabulary": 2,
}
"""How many of each are planted. Two of the cut responses of each side are those of the collapsed pairs. Longer by their
words are also the winners over two of the empty responses, and one that spells a special token. The counts of models of
words are no exact numbers and stand in the test."""


@dataclass(frozen=True)
class Planted:
    """Files with or without faults."""

    groups: Path
    rows: Path
    evaluation: Path
    model: Path
    num_rows: int


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


def plant(folder: Path, *, faulty: bool) -> Planted:
    """Write the files.

    Args:
        folder: where to.
        faulty: with the faults of `EXPECTED`, or without any.
    """
    folder.mkdir(parents=True)
    (folder / "here.png").write_bytes(b"an image")
    writer = Writer(seed=0)
    base = [_base(writer, faulty=faulty) for _ in range(NUM_BASE)]
    groups = base + [group for made in (*INSIDE, *IN_TOKENS) for group in made(writer, faulty)]
    groups += _copies(writer, base, faulty=faulty)
    held, leaks = _sides(writer, faulty=faulty)
    rows = [_row(writer, opened=faulty) for _ in range(10)] + (_bad_rows(writer) if faulty else [])
    write_groups(groups + leaks, folder / "groups.parquet")
    write_groups(held, folder / "held.parquet")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    save_model(folder / "model")
    return Planted(
        folder / "groups.parquet",
        folder / "rows.jsonl",
        folder / "held.parquet",
        folder / "model",
        len(groups + leaks) + len(held) + len(rows),
    )


def save_model(folder: Path) -> None:
    """A tokenizer of bytes in which two blanks are one token, and a configuration with one embedding too few."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIALS, *alphabet, "ĠĠ"])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "Ġ")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIALS)
    core.post_processor = processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        bos_token="<|bos|>",
    )
    LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512).save_pretrained(folder)
    tokenizer.add_tokens([AddedToken("☃", normalized=False)])
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)


def turn(words: object, role: str = "user") -> tuple[Message, ...]:
    """A dialogue of one turn."""
    return ({"role": role, "content": words},)


def _base(writer: Writer, *, faulty: bool) -> PreferenceGroup:
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


def _copies(writer: Writer, base: list[PreferenceGroup], *, faulty: bool) -> list[PreferenceGroup]:
    """Three exact copies, two near copies, and two prompts that are nearly another's."""
    if not faulty:
        return []
    made = [
        writer.group(prompt=str(group.prompts[0]), texts=[str(response.content) for response in group.responses])
        for group in base[:3]
    ]
    for group in base[3:5]:
        texts = [f"{response.content} more" for response in group.responses]
        made.append(writer.group(prompt=str(group.prompts[0]), texts=texts))
    for _ in range(2):
        start = writer.words(29)
        made += [writer.group(prompt=f"{start} {last}?", opened=True) for last in ("one", "two")]
    return made


def _sides(writer: Writer, *, faulty: bool) -> tuple[list[PreferenceGroup], list[PreferenceGroup]]:
    """What is held out, and what is trained on although it is held out: prompts, near prompts, an author."""
    held = [writer.group(opened=faulty) for _ in range(NUM_HELD - 4)]
    leaks = []
    for index in range(3):
        prompt = str(held[index].prompts[0]) if faulty else writer.prompt()
        leaks.append(writer.group(prompt=prompt, opened=faulty))
    for _ in range(2):
        start = writer.words(29)
        held.append(writer.group(prompt=f"{start} one?", opened=faulty))
        leaks.append(writer.group(prompt=f"{start} two?" if faulty else writer.prompt(), opened=faulty))
    author: dict[str, object] = {"author": "ann"}
    held += [writer.group(extra=author, opened=faulty) for _ in range(2)]
    leaks.append(writer.group(extra=author if faulty else {"author": "bo"}, opened=faulty))
    return held, leaks


def _row(writer: Writer, *, opened: bool = False) -> dict[str, object]:
    """A sound row of a file of pairs."""
    chosen, rejected = ("Certainly", "Perhaps") if opened else ("", "")
    return {
        "prompt": writer.prompt(),
        "chosen": f" {chosen} {writer.words(20)}.",
        "rejected": f" {rejected} {writer.words(20)}.",
    }


def _bad_rows(writer: Writer) -> list[dict[str, object]]:
    """Rows that a reader leaves out."""
    return [
        _row(writer) | {"chosen": 5},
        _row(writer) | {"weight": -1},
        _row(writer) | {"prompt": None},
        _row(writer) | {"rejected": ""},
        {"prompt": writer.prompt(), "chosen": " same", "rejected": " same"},
    ]
