"""The nouns: a group holds the responses to one prompt and what people thought of them.

Every object here is frozen and validated where it is made, so later code can rely on it. No torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tropism.errors import DataError

Message: TypeAlias = Mapping[str, Any]
"""One turn of a dialogue: at least `role` and `content`."""

Content: TypeAlias = str | tuple[Message, ...] | int | None
"""Text, the turns of a dialogue, the id of an item, or None if it is generated on policy."""

Split: TypeAlias = Literal["train", "eval"]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    Args:
        id: stable inside its group.
        content: text, messages or an item id; None if it is generated on policy.
        prompt: index into its group's `prompts`.
        rank: place in a ranking, 0 is best; equal ranks are ties.
        score: the raw number that people gave it (votes, stars), if any.
    """

    id: str
    content: Content
    prompt: int = 0
    rank: int | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            raise DataError(
                f"the score of response {self.id!r} must be finite, got {self.score}.",
                remedy="Remove the row or give it a number.",
            )


@dataclass(frozen=True, slots=True)
class Edge:
    """One comparison.

    Args:
        winner: index of the preferred response.
        loser: index of the other one.
        weight: how much the comparison counts, >= 0.
        margin: unscaled offset (delta) that the winner's log-ratio should lead by.
        prob: probability that the winner is the better one, in [0.5, 1]; a tie is 0.5.
    """

    winner: int
    loser: int
    weight: float = 1.0
    margin: float = 0.0
    prob: float = 1.0

    def __post_init__(self) -> None:
        if self.winner == self.loser:
            raise DataError(
                f"an edge must have two different responses, got {self.winner} twice.", remedy="Remove the edge."
            )
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise DataError(
                f"an edge's weight must be finite and >= 0, got {self.weight}.", remedy="Use 0 to switch an edge off."
            )
        if not math.isfinite(self.margin):
            raise DataError(
                f"an edge's margin must be finite, got {self.margin}.", remedy="Use 0 for a plain comparison."
            )
        if not 0.5 <= self.prob <= 1.0:
            raise DataError(
                f"an edge's prob must be in [0.5, 1], got {self.prob}.",
                remedy="Swap winner and loser if the probability is below one half.",
            )


@dataclass(frozen=True, slots=True)
class Label:
    """Unpaired feedback: one response is wanted or not.

    Args:
        response: index of the response.
        desirable: True if people wanted it.
        weight: how much the label counts, >= 0.
    """

    response: int
    desirable: bool
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise DataError(
                f"a label's weight must be finite and >= 0, got {self.weight}.", remedy="Use 0 to switch it off."
            )


@dataclass(frozen=True, slots=True)
class PreferenceGroup:
    """All that is known about the responses to one prompt.

    Args:
        id: the key that the group was built from.
        prompts: at least one; more if variants of a prompt are compared (a cropped image).
        responses: at least one.
        edges: comparisons between responses of this group.
        labels: unpaired feedback on responses of this group.
        source: where the group came from (a file, a community).
        split: `train`, `eval`, or None if it is not decided yet.
        extra: what an application or a chat template needs (`tools`, `chat_template_kwargs`, levels, styles).

    Example:
        >>> group = PreferenceGroup("q1", ("2 + 2?",), (Response("a", "4"), Response("b", "5")), (Edge(0, 1),))
        >>> group.responses[group.edges[0].winner].content
        '4'
    """

    id: str
    prompts: tuple[Content, ...]
    responses: tuple[Response, ...]
    edges: tuple[Edge, ...] = ()
    labels: tuple[Label, ...] = ()
    source: str = ""
    split: Split | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        num_responses = len(self.responses)
        if not self.prompts or not num_responses:
            raise DataError(
                f"group {self.id!r} must have a prompt and a response, got {len(self.prompts)} and {num_responses}.",
                remedy="Remove the group.",
            )
        if len({response.id for response in self.responses}) != num_responses:
            raise DataError(
                f"group {self.id!r} has two responses with one id.", remedy="Give each response its own id."
            )
        for response in self.responses:
            if not 0 <= response.prompt < len(self.prompts):
                raise DataError(
                    f"response {response.id!r} of group {self.id!r} points at prompt {response.prompt} "
                    f"of {len(self.prompts)}.",
                    remedy="Count prompts from 0.",
                )
        pointed = [(edge.winner, "an edge") for edge in self.edges] + [(edge.loser, "an edge") for edge in self.edges]
        pointed += [(label.response, "a label") for label in self.labels]
        for index, owner in pointed:
            if not 0 <= index < num_responses:
                raise DataError(
                    f"{owner} of group {self.id!r} points at response {index} of {num_responses}.",
                    remedy="Count responses from 0.",
                )
        if self.split not in (None, "train", "eval"):
            raise DataError(
                f"the split of group {self.id!r} must be 'train', 'eval' or None, got {self.split!r}.",
                remedy="Leave it empty to let the recipe decide.",
            )


def content_key(content: Content) -> str:
    """A text that is equal if and only if two contents are equal.

    Example:
        >>> content_key("a") == content_key(({"role": "user", "content": "a"},))
        False
    """
    return json.dumps(content, ensure_ascii=False, sort_keys=True, default=dict)


def content_text(content: Content) -> str:
    """The words of a content, for counting, judging and showing: the last turn of a dialogue.

    Example:
        >>> content_text(({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}))
        'Hello'
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, int):
        return str(content)
    return str(content[-1].get("content") or "") if content else ""


def gravity_margin(
    winner_level: int, loser_level: int, *, num_levels: int = 5, schedule: Literal["linear", "bilateral"] = "linear"
) -> float:
    """Margin of an edge between an answer that obeys one instruction level and one that obeys a lower one.

    Args:
        winner_level: i, the level that must win; 0 has the most authority.
        loser_level: j > i.
        num_levels: k.
        schedule: `linear` j - i; `bilateral` (j - i) (k - 1 - i).

    Returns:
        The unscaled offset; 0 if both obey the same level (a calibration row).

    Reference: gravity-weighted DPO, the authors' released code.

    Example:
        >>> gravity_margin(0, 4), gravity_margin(0, 4, schedule="bilateral"), gravity_margin(2, 2)
        (4.0, 16.0, 0.0)
    """
    if not 0 <= winner_level <= loser_level < num_levels:
        raise DataError(
            f"levels must be 0 <= winner <= loser < {num_levels}, got {winner_level} and {loser_level}.",
            remedy="Swap them: the level with more authority (the smaller number) must win.",
        )
    gap = loser_level - winner_level
    return float(gap * (num_levels - 1 - winner_level) if schedule == "bilateral" else gap)
