"""Answers that say one thing in several styles, right and wrong: a set of our own, or held-out answers restyled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from tropism.evals.core.question_turns import as_turns
from tropism.evals.style.restyle import STYLES, restyled
from tropism.groups import Content, PreferenceGroup, Response, content_key, content_text
from tropism.policies.base import Policy
from tropism.policies.generating import GeneratingPolicy


class StyledStates(NamedTuple):
    """States of contents (rows) in styles (columns), and the contents that they belong to."""

    ids: list[str]
    states: Float[NDArray[np.float64], "contents styles width"]


MOST_WORDS = 120
"""Held-out answers longer than this are left out: their seven styles would not fit many a context."""
LEAST_WORDS = 5


@dataclass(frozen=True)
class StyledContent:
    """One answer in several styles.

    Args:
        id: names the content.
        prompt: what it answers.
        right: style to its wordings; every style has equally many.
        wrong: the same with one fact changed; empty where no wrong version is known.
    """

    id: str
    prompt: Content
    right: Mapping[str, tuple[str, ...]]
    wrong: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def group(self, side: Literal["right", "wrong"]) -> PreferenceGroup:
        """One side's wordings as the responses to the prompt, style after style."""
        variants = self.right if side == "right" else self.wrong
        responses = [
            Response(f"{style}/{draw}", text) for style, texts in variants.items() for draw, text in enumerate(texts)
        ]
        return PreferenceGroup(f"{self.id}/{side}", (self.prompt,), tuple(responses))


def own_contents(
    policy: GeneratingPolicy | None,
    *,
    num: int = 40,
    draws: int = 3,
    styles: Sequence[str] = tuple(STYLES),
    seed: int = 0,
) -> list[StyledContent]:
    """Questions of our own with a right and a wrong answer, in several styles.

    Args:
        policy: the model that reads them.
        num: how many; at most 40.
        draws: wordings of each style.
        styles: names in `STYLES`, the plain one first.
        seed: of the choice of wordings.
    """
    lines = resources.files("tropism.evals.style").joinpath("data/style_contents.jsonl").read_text(encoding="utf-8")
    contents = []
    for row in map(json.loads, lines.splitlines()[:num]):
        place = f"{seed}/{row['id']}"
        right, wrong = (
            restyled(row["answer"].format(row[side]), styles=styles, draws=draws, seed=place)
            for side in ("right", "wrong")
        )
        assert right is not None, f"a style changes the facts of {row['id']}"
        assert wrong is not None, f"a style changes the facts of {row['id']}"
        contents.append(StyledContent(row["id"], as_turns(policy, row["prompt"]), right, wrong))
    return contents


def held_out_contents(
    groups: Sequence[PreferenceGroup],
    *,
    num: int,
    draws: int = 3,
    styles: Sequence[str] = tuple(STYLES),
    seed: int = 0,
) -> list[StyledContent]:
    """The preferred answers of held-out groups, restyled; no wrong versions are known of them.

    Only texts of 5 to 120 words whose every style keeps the facts can serve; one for each prompt.

    Args:
        groups: held-out groups.
        num: how many contents at most.
        draws: wordings of each style.
        styles: names in `STYLES`, the plain one first.
        seed: of the choice of wordings.
    """
    contents: dict[str, StyledContent] = {}
    for group in groups:
        if len(contents) == num:
            break
        best = group.responses[group.edges[0].winner if group.edges else 0]
        text = content_text(best.content).strip()
        key = content_key(group.prompts[best.prompt])
        if key in contents or not LEAST_WORDS <= len(text.split()) <= MOST_WORDS:
            continue
        right = restyled(text, styles=styles, draws=draws, seed=f"{seed}/{group.id}")
        if right is not None:
            contents[key] = StyledContent(group.id, group.prompts[best.prompt], right)
    return list(contents.values())


def content_states(policy: Policy, contents: Sequence[StyledContent]) -> StyledStates:
    """The state of each content in each style: mean over the tokens of a response, then over a style's wordings.

    Args:
        policy: the model.
        contents: in equally many styles; one of which any wording would be cut is left out.
    """
    rendered, _ = policy.prepare([content.group("right") for content in contents])
    whole = {one.group.id: one for one in rendered if all(response.complete for response in one.responses)}
    fitting = [content for content in contents if content.group("right").id in whole]
    groups = [whole[content.group("right").id] for content in fitting]
    known = policy.states(groups)
    table = [
        np.array([known[group.response_key(response)] for response in group.responses])
        .reshape(len(content.right), len(group.responses) // len(content.right), -1)
        .mean(axis=1)
        for content, group in zip(fitting, groups, strict=True)
    ]
    return StyledStates([content.id for content in fitting], np.array(table) if table else np.zeros((0, 0, 0)))
