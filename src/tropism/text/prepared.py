"""What a policy makes of groups before training: `Prepared` groups, and an account of those that were dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from tropism.errors import DataError
from tropism.groups import Edge, Label, PreferenceGroup
from tropism.records import Account

MAX_EXAMPLES = 5
"""Ids that an account keeps for each reason."""


Same = TypeVar("Same")


@runtime_checkable
class PreparedResponse(Protocol):
    """One response as a policy scores it."""

    @property
    def num_scored(self) -> int:
        """Number of scored tokens; 1 for a response that is not made of tokens."""

    @property
    def complete(self) -> bool:
        """Whether nothing of the response was truncated."""


@runtime_checkable
class Prepared(Protocol):
    """One group as a policy scores it: what trainer, samplers, references and the memory plan read of it.

    Attributes:
        group: the group that it was prepared from.
        responses: the responses that feedback mentions; `edges`, `labels`, `ranks` and `scores` refer to these.
        baselines: indices of responses that answer another prompt and only serve as a baseline (KTO).
        is_whole: whether a loss reads the whole group, so that it must not be split.
    """

    @property
    def group(self) -> PreferenceGroup: ...
    @property
    def responses(self) -> Sequence[Any]: ...
    @property
    def edges(self) -> tuple[Edge, ...]: ...
    @property
    def labels(self) -> tuple[Label, ...]: ...
    @property
    def ranks(self) -> tuple[int | None, ...]: ...
    @property
    def scores(self) -> tuple[float | None, ...]: ...
    @property
    def baselines(self) -> frozenset[int]: ...
    @property
    def is_whole(self) -> bool: ...

    def num_scored(self, index: int) -> int:
        """Number of tokens of a response whose log-probability can be read; 1 for one not made of tokens."""

    def num_tokens(self, index: int) -> int:
        """Number of tokens of a response with its prompt."""

    def response_key(self, response: Any) -> bytes:
        """Identity of a response after its prompt: equal keys have equal scores under equal weights."""

    def keep(self: Same, wanted: Sequence[bool]) -> Same:
        """The same group with only the wanted responses, and the edges and labels between them."""

    def kept_whole(self: Same) -> Same:
        """The same group, marked as one that must not be split."""

    def without_feedback(self: Same) -> Same:
        """The same responses without edges, labels, ranks and scores."""

    def with_mismatched(self: Same, other: Same, *, max_tokens: int) -> Same:
        """The same group with the first completion of another group as a baseline, truncated to `max_tokens`."""


PreparedGroup = TypeVar("PreparedGroup", bound=Prepared)


def prepare_each(
    groups: Iterable[PreferenceGroup],
    prepare: Callable[[PreferenceGroup, Counter[str]], PreparedGroup],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[PreparedGroup], Account]:
    """Prepare every group that can be prepared, and account for the rest.

    Args:
        groups: the groups, from any source.
        prepare: from a group to its prepared form; it raises `DataError` for one that must be dropped, whose problem
            is the reason, and counts in its second argument what it changed.
        progress: called with the number of groups done since the last call.

    Returns:
        The prepared groups in order, and an account whose rows are groups.
    """
    prepared: list[PreparedGroup] = []
    dropped: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    num_read = 0
    for group in groups:
        num_read += 1
        try:
            prepared.append(prepare(group, notes))
        except DataError as error:
            reason = error.problem.rstrip(".")
            dropped[reason] += 1
            examples.setdefault(reason, [])[:] = [*examples.get(reason, []), group.id][:MAX_EXAMPLES]
        if progress:
            progress(1)
    account = Account(
        rows_read=num_read,
        rows_used=len(prepared),
        dropped=dict(dropped),
        groups=len(prepared),
        responses=sum(len(group.responses) for group in prepared),
        edges=sum(len(group.edges) for group in prepared),
        labels=sum(len(group.labels) for group in prepared),
        ties=sum(edge.prob == 0.5 for group in prepared for edge in group.edges),
        notes=dict(notes),
        examples=examples,
    )
    return prepared, account


def require_groups(prepared: Sequence[Prepared], account: Account, *, what: str) -> None:
    """Refuse to continue without any group.

    Raises:
        DataError: if no group is left, with the reasons.
    """
    if not prepared:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in account.dropped.items()) or "there was none"
        raise DataError(
            f"no group is left for {what}: {reasons}.",
            remedy="Fix the data; if prompts are too long, raise `max_tokens` up to the model's context.",
        )
