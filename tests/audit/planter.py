"""Plants faults of every audit kind into data, a known number of each; its clean twin has the same shape and none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, PreTrainedTokenizerFast

from tests.audit.faults import IN_TOKENS, INSIDE, Writer, base_pair
from tropism.data.group_store import write_groups
from tropism.groups import PreferenceGroup

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


def plant(folder: Path, *, faulty: bool) -> Planted:
    """Write the files.

    Args:
        folder: where to.
        faulty: with the faults of `EXPECTED`, or without any.
    """
    folder.mkdir(parents=True)
    (folder / "here.png").write_bytes(b"an image")
    writer = Writer(seed=0)
    base = [base_pair(writer, faulty=faulty) for _ in range(NUM_BASE)]
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
