"""The quickstart as an application: votes of a simulated forum make a pocket model's answers better liked."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from tropism.applications.application import Application, ApplicationSettings, Claim, GroupSet
from tropism.applications.quickstart import forum_evals, taste
from tropism.applications.quickstart.forum import Post, simulate_posts, votes_rows
from tropism.applications.seed_estimates import change_of, value_of
from tropism.data.formats import Source, load
from tropism.signals.build import build_groups
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.vote_rules import GapRule
from tropism.signals.kinds.votes import VoteSettings

POCKET = Path(__file__).parent / "pocket"
MIN_GAP = 2
PAIRS_PER_POST = 2
COLUMNS = VoteColumns(
    prompt="question", response="answer", score="score", group="thread", time="written_at", author="author"
)


class QuickstartSettings(ApplicationSettings):
    """Settings of the quickstart.

    Args:
        posts: posts of the simulated forum to learn from.
        held_out_posts: posts about other combinations of plant and problem, to measure on.
        sft_steps: optimizer steps of supervised fine-tuning on the better half of the comments.
        dpo_steps: optimizer steps of DPO on the votes.
        prompts: held-out questions that the models answer.
    """

    posts: int = Field(2000, gt=0)
    held_out_posts: int = Field(480, gt=0)
    sft_steps: int = Field(80, gt=0)
    dpo_steps: int = Field(200, gt=0)
    prompts: int = Field(400, gt=0)


def groups(settings: QuickstartSettings, seed: int) -> dict[str, GroupSet]:
    """Groups from the votes on both sides of the split, and the better-voted half of the comments for fine-tuning."""
    posts = simulate_posts(settings.posts, seed=seed, held_out=False)
    held_out = simulate_posts(settings.held_out_posts, seed=seed, held_out=True)
    return {
        "votes": _voted(posts, "votes.csv"),
        "held_out": _voted(held_out, "held_out.csv"),
        "better_half": better_half(posts),
    }


def _voted(posts: Sequence[Post], name: str) -> GroupSet:
    """The groups that `tropism build` makes of posts' votes, by way of a table in a file of that name."""
    rows = votes_rows(posts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        settings = VoteSettings(columns=COLUMNS, rule=GapRule(min_gap=MIN_GAP, later=True), cap=PAIRS_PER_POST)
        built = build_groups(path, settings)
        return GroupSet(list(built.groups), built.card, {name: path.read_text(encoding="utf-8")})


def better_half(posts: Sequence[Post]) -> GroupSet:
    """The better-voted half of every post's comments, as completions without comparisons."""
    rows = []
    for post in posts:
        by_score = sorted(post.comments, key=lambda comment: (-comment.score, comment.id))
        rows += [{"prompt": post.question, "completion": one.text} for one in by_score[: len(by_score) // 2]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "better_half.jsonl"
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
        loaded = load([Source(str(path), 1.0)])
    (card,) = loaded.cards
    return GroupSet(loaded.groups, card.model_copy(update={"source": path.name}), {path.name: text})


def arms(settings: QuickstartSettings, seed: int) -> dict[str, Mapping[str, Any]]:
    """One arm: supervised fine-tuning, then DPO, with settings that hold on three seeds (docs/decisions/0002)."""
    return {"dpo": {
        "model": str(POCKET),
        "data": {"train": "votes", "eval": "held_out", "max_tokens": 256, "template": "chat"},
        "train": {"per_device_train_batch_size": 16, "weight_decay": 0.0, "max_grad_norm": 1.0, "seed": seed,
                  "save_strategy": "no", "use_cpu": True},
        "stages": [
            {"name": "sft", "loss": "nll", "data": "better_half", "train": {
                "max_steps": settings.sft_steps, "learning_rate": 1e-3, "lr_scheduler_type": "cosine"}},
            {"name": "dpo", "loss": {"dpo": {"beta": 0.3}, "nll": {"weight": 1.0}}, "train": {
                "max_steps": settings.dpo_steps, "learning_rate": 2e-3, "per_device_train_batch_size": 20}},
        ],
        "evaluation": {"judge": f"{taste.__name__}:score", "prompts": settings.prompts,
                       "groups": settings.held_out_posts, "temperature": 1.0, "max_new_tokens": 120},
    }}  # fmt: skip


def suite(settings: QuickstartSettings) -> list[str | Mapping[str, Any]]:
    """The evals of every training, and the forum's own measures on the same answers."""
    return [
        "preference",
        "displacement",
        "win_rate",
        {f"{forum_evals.__name__}:forum": {"prompts": settings.prompts}},
        "drift",
    ]


QUICKSTART = Application(
    name="quickstart",
    paper="Rafailov et al. 2023, arXiv:2305.18290 (DPO), on a simulated forum whose taste is known exactly",
    summary="Votes make a small model's answers better liked: supervised fine-tuning, then DPO, in about a minute.",
    settings=QuickstartSettings,
    groups=groups,
    arms=arms,
    suite=suite,
    claims=(
        Claim(
            "preferred",
            "After DPO, the forum's hidden taste prefers the answers to those of the supervised model more often than "
            "not (a tie counts as half).",
            value_of("dpo", "win_rate.rate"),
            0.5,
        ),
        Claim(
            "votes_ordered",
            "The model orders more than half of the held-out votes as people did.",
            value_of("dpo", "preference.pair_accuracy"),
            0.5,
        ),
        Claim(
            "on_topic",
            "The share of answers that are on topic falls by less than 0.05.",
            change_of("dpo", "forum.on_topic"),
            -0.05,
        ),
        Claim(
            "whole_sentences",
            "The share of answers in whole sentences falls by less than 0.05.",
            change_of("dpo", "forum.parsed"),
            -0.05,
        ),
        Claim(
            "variety_kept",
            "Answers stay as varied: the share of distinct word pairs falls by less than 0.01.",
            change_of("dpo", "drift.distinct_2"),
            -0.01,
        ),
    ),
)
