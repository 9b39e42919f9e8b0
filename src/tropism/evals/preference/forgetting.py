"""What a model forgot: how well it predicts held-out plain text, compared with the base."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from tropism.data.group_keys import unit_hash
from tropism.evals.core.items import Item, Measured, Settings, Statistic, Task
from tropism.evals.core.subject import share_tokens
from tropism.policies.reading import Reading, read
from tropism.policies.transformer import TransformerPolicy, language_model, require_language_model
from tropism.records import Measure


class ForgettingSettings(Settings):
    """Settings of the eval.

    Args:
        texts: most held-out texts that are read.
        max_tokens: a text is cut here.
    """

    texts: int = Field(100, gt=0)
    max_tokens: int = Field(256, gt=1)


def forgetting(task: Task) -> Measured:
    """Perplexity and bits per byte of held-out text, and how often the model's likeliest token is still the base's.

    Perplexity compares models of one tokenizer only; bits per byte compares any. `top_1_agreement` needs one tokenizer.
    """
    settings = task.settings_as(ForgettingSettings)
    texts = sorted(set(task.texts), key=lambda text: unit_hash(text, purpose="texts"))[: settings.texts]
    subject = require_language_model(task.subject.policy, what="forgetting")
    base = language_model(task.base.policy)
    rows = [_text_ids(subject, text, settings.max_tokens) for text in texts]
    with task.progress(f"Reading held-out texts ({task.subject.name})", len(texts)) as done:
        readings = read(subject, rows, progress=done)
    one_tokenizer = share_tokens(subject, base)
    others = read(base, rows) if base and one_tokenizer else [None] * len(rows)
    items = [
        _text_item(subject, text, row, reading, other)
        for text, row, reading, other in zip(texts, rows, readings, others, strict=True)
        if reading.logp
    ]
    notes = [] if one_tokenizer else ["The base has another tokenizer: compare bits_per_byte, not perplexity."]
    return Measured(items=items, notes=notes, skipped=_too_short(len(texts) - len(items)))


def _text_ids(policy: TransformerPolicy, text: str, max_tokens: int) -> tuple[int, ...]:
    """The first token ids of a text as a document of its own."""
    ids = policy.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return (*policy.renderer.special_prefix, *ids)[: min(max_tokens, policy.context)]


def _text_item(
    policy: TransformerPolicy, text: str, ids: tuple[int, ...], reading: Reading, other: Reading | None
) -> Item:
    """What one text is to the model; sums only, because every metric is a ratio of sums."""
    name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    read_text = policy.tokenizer.decode(ids[1:], skip_special_tokens=True)
    detail = {
        "text": text[:200],
        "nats": -sum(reading.logp),
        "tokens": len(reading.logp),
        "bytes": len(read_text.encode("utf-8", "surrogatepass")),
    }
    if other is not None:
        detail["agreed"] = sum(one == two for one, two in zip(reading.top, other.top, strict=True))
    return Item(id=name, cluster=name, values={}, detail=detail)


def perplexity(items: Sequence[Item]) -> float:
    """exp of the mean negative log-probability per token."""
    return math.exp(min(700.0, total(items, "nats") / max(1.0, total(items, "tokens"))))


def bits_per_byte(items: Sequence[Item]) -> float:
    """Bits that the model needs for a byte of the text."""
    return total(items, "nats") / math.log(2) / max(1.0, total(items, "bytes"))


def top_1_agreement(items: Sequence[Item]) -> float:
    """Share of positions at which the same token is the most likely one for subject and base."""
    known = [item for item in items if "agreed" in item.detail]
    return total(known, "agreed") / total(known, "tokens") if known else math.nan


def total(items: Sequence[Item], name: str) -> float:
    """Sum of one of the items' numbers."""
    return float(sum(item.detail.get(name, 0) for item in items))


def _too_short(count: int) -> dict[str, int]:
    """Why texts are missing."""
    return {"texts of one token": count} if count else {}


MEASURES: Mapping[str, Measure] = {
    "perplexity": Measure(
        label="Perplexity of plain text",
        better="lower",
        meaning="exp of the mean negative log-probability per token; 1 is perfect prediction.",
    ),
    "bits_per_byte": Measure(
        label="Bits per byte", better="lower", meaning="The same loss, comparable between tokenizers."
    ),
    "top_1_agreement": Measure(
        label="Agreement on the next token",
        unit="share",
        meaning="Share of positions at which the model and the base find the same token most likely.",
    ),
}
STATISTICS: Mapping[str, Statistic] = {
    "perplexity": perplexity,
    "bits_per_byte": bits_per_byte,
    "top_1_agreement": top_1_agreement,
}
