"""Facts about a row in token ids, and which of them are faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tropism.data.audit.audited_rows import AuditedRow
from tropism.data.audit.findings import Ledger
from tropism.groups import PreferenceGroup


@dataclass(frozen=True)
class TokenFacts:
    """A row in token ids.

    Args:
        refused: why the template cannot write it, or nothing.
        is_too_long: the prompt leaves no room for an answer.
        is_prompt_cut: turns were cut from the prompt.
        cut: indices of the responses that were cut on the right.
        collapsed: indices of the edges whose sides became the same tokens.
        starts_twice: two beginning-of-sequence tokens come first.
        lacks_end: the chat template ends a response without a token at which generation stops.
        merges: a token of the whole text would reach over the boundary between prompt and response.
        is_glued: nothing stands between prompt and response, not even a blank.
        largest_id: the largest token id, -1 where there is none.
    """

    refused: str = ""
    is_too_long: bool = False
    is_prompt_cut: bool = False
    cut: frozenset[int] = frozenset()
    collapsed: frozenset[int] = frozenset()
    starts_twice: bool = False
    lacks_end: bool = False
    merges: bool = False
    is_glued: bool = False
    largest_id: int = -1


class Tokens(Protocol):
    """A model as the audit sees it."""

    @property
    def special_texts(self) -> tuple[str, ...]:
        """Its special tokens, as they would stand in a text."""

    @property
    def num_embeddings(self) -> int:
        """How many token ids it knows."""

    def facts(self, group: PreferenceGroup) -> TokenFacts:
        """What becomes of a row."""


def check_tokens(
    ledger: Ledger, unit: AuditedRow, group: PreferenceGroup, facts: TokenFacts, *, num_embeddings: int
) -> None:
    """Say which facts are faults.

    Args:
        ledger: takes what is found.
        unit: the row.
        group: its group.
        facts: what became of it.
        num_embeddings: how many token ids the model knows.
    """
    place = unit.place
    if facts.refused:
        ledger.found("not-rendered", place, detail=facts.refused)
        ledger.drop_row("not-rendered", place)
    if facts.is_too_long:
        ledger.found("too-long", place)
        ledger.drop_row("too-long", place)
    if facts.collapsed:
        ledger.found("collapsed-pairs", place)
    for index in sorted(facts.collapsed):
        ledger.drop_edge("collapsed-pairs", place, index)
    won, lost = sides_of(group)
    told = {
        "prompt-cut": facts.is_prompt_cut,
        "chosen-cut": bool(facts.cut & won),
        "rejected-cut": bool(facts.cut & lost),
        "double-bos": facts.starts_twice,
        "missing-eos": facts.lacks_end,
        "token-boundary": facts.merges and not facts.is_glued,
        "glued-text": facts.is_glued,
        "beyond-vocabulary": facts.largest_id >= num_embeddings,
    }
    for check, holds in told.items():
        if holds:
            ledger.found(check, place)


def sides_of(group: PreferenceGroup) -> tuple[frozenset[int], frozenset[int]]:
    """The responses that win or are wanted somewhere (all, where there is no feedback), and those that are not."""
    won = {edge.winner for edge in group.edges} | {label.response for label in group.labels if label.desirable}
    lost = {edge.loser for edge in group.edges} | {label.response for label in group.labels if not label.desirable}
    if not group.edges and not group.labels:
        won = set(range(len(group.responses)))
    return frozenset(won), frozenset(lost)
