"""Groups of one prompt become one group: equal answers one response, equal comparisons one edge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

from tropism.data.group_keys import PROMPT_EXTRAS, group_key, short_hash
from tropism.groups import Edge, Label, PreferenceGroup, Response, content_key


class Change(NamedTuple):
    """What adding a group did.

    Args:
        made: how many `groups`, `responses`, `edges`, `labels` and `ties` came to those that were there.
        notes: what was changed, one text for each time.
    """

    made: Counter[str]
    notes: list[str]


class Merger:
    """Collects groups from many rows and sources, in the order in which their prompts are first seen."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []
        self._by_key: dict[str, _Draft] = {}
        self._ids: set[str] = set()

    def add(self, group: PreferenceGroup, *, source: int, is_whole: bool) -> Change:
        """Add a group, or join it with the one that asks the same.

        Args:
            group: what a row says.
            source: the place of its source; a note says where sources share a prompt.
            is_whole: True if a row is a group already: two such rows of one source stay two groups.
        """
        key = _merge_key(group)
        draft = self._by_key.get(key)
        if draft is None or (is_whole and draft.source == source):
            return self._open(group, key, source)
        change = draft.add(group)
        if draft.source != source and source not in draft.joined:
            draft.joined.add(source)
            change.notes.append("groups joined with those of an earlier source")
        return change

    def groups(self) -> Iterator[PreferenceGroup]:
        """The groups as they are now."""
        return (draft.group() for draft in self._drafts)

    def _open(self, group: PreferenceGroup, key: str, source: int) -> Change:
        """Start a new group; its id changes where another prompt has it."""
        notes = []
        if group.id in self._ids:
            group = replace(group, id=_free_id(key, self._ids))
            notes.append("group ids that were taken, made anew")
        self._ids.add(group.id)
        draft = _Draft(group, source)
        self._drafts.append(draft)
        self._by_key.setdefault(key, draft)
        made = Counter(groups=1, responses=len(group.responses), edges=len(group.edges), labels=len(group.labels))
        made.update(ties=sum(edge.prob == 0.5 for edge in group.edges) + len(_tied(group)))
        return Change(made, notes)


class _Draft:
    """A group in the making; as long as nothing joins it, it stays exactly as it came."""

    def __init__(self, group: PreferenceGroup, source: int) -> None:
        self.source = source
        self.joined: set[int] = set()
        self._first: PreferenceGroup | None = group
        self._shell = group
        self._responses = list(group.responses)
        self._index = {_response_key(response): index for index, response in enumerate(group.responses)}
        self._edges: dict[tuple[int, int, float, float], float] = {}
        self._labels: dict[tuple[int, bool], float] = {}
        self._has_two_rankings = False
        places = list(range(len(group.responses)))
        self._add_edges(group, places)
        self._add_labels(group, places)

    def add(self, group: PreferenceGroup) -> Change:
        """Join another group with this one."""
        made: Counter[str] = Counter()
        if self._first is not None:
            made.update(edges=len(self._edges) - len(self._first.edges))
            made.update(labels=len(self._labels) - len(self._first.labels))
            self._first = None
        notes = self._settle_split(group) + self._settle_ranks(group)
        num_before = len(self._responses)
        places = [self._place(response, notes) for response in group.responses]
        made.update(responses=len(self._responses) - num_before)
        made.update(self._add_edges(group, places, notes))
        made.update(self._add_labels(group, places, notes))
        made.update(ties=sum(max(places[a], places[b]) >= num_before for a, b in _tied(group)))
        if not (group.edges or group.labels) and len(self._responses) == num_before:
            notes.append("repeated answers, kept once")
        return Change(made, notes)

    def group(self) -> PreferenceGroup:
        """The group as it is now."""
        if self._first is not None:
            return self._first
        return replace(
            self._shell,
            responses=tuple(self._responses),
            edges=tuple(
                Edge(winner, loser, weight=weight, margin=margin, prob=prob)
                for (winner, loser, margin, prob), weight in self._edges.items()
            ),
            labels=tuple(
                Label(response, desirable, weight=weight) for (response, desirable), weight in self._labels.items()
            ),
        )

    def _place(self, response: Response, notes: list[str]) -> int:
        """The index of an answer, which is added where it is new."""
        key = _response_key(response)
        known = self._index.get(key)
        if known is None:
            taken = {other.id for other in self._responses}
            name = response.id if response.id not in taken else _free_id(key, taken)
            rank = None if self._has_two_rankings else response.rank
            self._responses.append(replace(response, id=name, rank=rank))
            self._index[key] = len(self._responses) - 1
            return self._index[key]
        old = self._responses[known]
        if None not in (old.score, response.score) and old.score != response.score:
            notes.append("answers with two scores, of which the first is kept")
        score = response.score if old.score is None else old.score
        rank = response.rank if old.rank is None and not self._has_two_rankings else old.rank
        self._responses[known] = replace(old, score=score, rank=rank)
        return known

    def _add_edges(self, group: PreferenceGroup, places: list[int], notes: list[str] | None = None) -> Counter[str]:
        """Add comparisons; equal ones become one with the sum of their weights."""
        made: Counter[str] = Counter()
        for edge in group.edges:
            winner, loser = places[edge.winner], places[edge.loser]
            key = (winner, loser, edge.margin, edge.prob)
            if edge.prob == 0.5 and winner > loser:
                key = (loser, winner, -edge.margin or 0.0, edge.prob)
            if winner == loser:
                problem = "edges between equal answers, left out"
            elif key in self._edges:
                problem = "equal edges, joined by adding their weights"
            else:
                problem = ""
                made.update(edges=1, ties=int(edge.prob == 0.5))
            if winner != loser:
                self._edges[key] = self._edges.get(key, 0.0) + edge.weight
            if problem and notes is not None:
                notes.append(problem)
        return made

    def _add_labels(self, group: PreferenceGroup, places: list[int], notes: list[str] | None = None) -> Counter[str]:
        """Add labels; equal ones become one with the sum of their weights."""
        made: Counter[str] = Counter()
        for label in group.labels:
            key = (places[label.response], label.desirable)
            if key not in self._labels:
                made.update(labels=1)
            elif notes is not None:
                notes.append("equal labels, joined by adding their weights")
            self._labels[key] = self._labels.get(key, 0.0) + label.weight
        return made

    def _settle_ranks(self, group: PreferenceGroup) -> list[str]:
        """Two rankings that differ have no common ranks; their edges say it all."""
        mine, other = _ranks(self._responses), _ranks(group.responses)
        if self._has_two_rankings or not mine or not other or mine == other:
            return []
        self._has_two_rankings = True
        self._responses = [replace(response, rank=None) for response in self._responses]
        return ["groups with different rankings, whose ranks are left out and edges kept"]

    def _settle_split(self, group: PreferenceGroup) -> list[str]:
        """What one source holds out is held out."""
        splits = {self._shell.split, group.split} - {None}
        if len(splits) == 2:
            self._shell = replace(self._shell, split="eval")
            return ["prompts both to train on and held out, now held out"]
        self._shell = replace(self._shell, split=self._shell.split or group.split)
        return []


def _merge_key(group: PreferenceGroup) -> str:
    """Equal where two groups may be joined: one prompt, and one `extra` beyond what belongs to the prompt."""
    rest = {name: value for name, value in group.extra.items() if name not in PROMPT_EXTRAS}
    return short_hash(group_key(group) + (json.dumps(rest, sort_keys=True, default=dict) if rest else ""))


def _response_key(response: Response) -> str:
    """Equal where two answers are; one that is still to be generated equals only itself."""
    name = response.id if response.content is None else ""
    return short_hash(f"{response.prompt}\x1f{name}\x1f{content_key(response.content)}")


def _ranks(responses: list[Response] | tuple[Response, ...]) -> dict[str, Any]:
    """The ranked answers and their ranks."""
    return {_response_key(response): response.rank for response in responses if response.rank is not None}


def _tied(group: PreferenceGroup) -> list[tuple[int, int]]:
    """The pairs of responses that share a rank."""
    ranks = {index: response.rank for index, response in enumerate(group.responses) if response.rank is not None}
    return [(a, b) for a, b in combinations(ranks, 2) if ranks[a] == ranks[b]]


def _free_id(wanted: str, taken: set[str]) -> str:
    """An id that nothing has yet."""
    names = (wanted if n == 0 else f"{wanted}-{n}" for n in range(len(taken) + 1))
    return next(name for name in names if name not in taken)
