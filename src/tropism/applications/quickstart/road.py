"""The whole road on the embedded default: forum, votes, groups, supervised fine-tuning, DPO, evaluation, record."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tropism.applications.quickstart import taste
from tropism.applications.quickstart.forum import Post, simulate_posts, votes_rows
from tropism.data.group_store import write_tables
from tropism.errors import Interrupted, OutputError
from tropism.records import Run, write_json, write_text
from tropism.signals.build import build_groups
from tropism.signals.kinds.columns import VoteColumns
from tropism.signals.kinds.vote_rules import GapRule
from tropism.signals.kinds.votes import VoteSettings
from tropism.training.recipe.recipe_file import Recipe, parse_recipe
from tropism.training.runs.run import run_recipe

POCKET = Path(__file__).parent / "pocket"
MARK = ".tropism-quickstart"
MADE = ("votes.csv", "votes.parquet", "held_out.csv", "held_out.parquet", "better_half.jsonl", "run")
NUM_HELD_OUT_POSTS = 480
NUM_PROMPTS = 400
MIN_GAP = 2
PAIRS_PER_POST = 2
COLUMNS = VoteColumns(
    prompt="question", response="answer", score="score", group="thread", time="written_at", author="author"
)


def run_quickstart(folder: Path, *, num_posts: int, seed: int, say: Callable[[str], None]) -> Run:
    """Simulate a forum, learn from its votes, and measure what changed.

    Args:
        folder: where everything goes; a folder that holds an earlier quickstart is replaced.
        num_posts: posts to learn from.
        seed: of the forum, of training and of the answers.
        say: prints a line.

    Returns:
        The record of the run, with the exact measures of the hidden taste added to its evaluation.

    Raises:
        OutputError: where the folder holds something else.
    """
    clear(folder)
    torch.set_num_threads(best_thread_count())
    say(f"A forum about gardening: {num_posts:,} posts to learn from, {NUM_HELD_OUT_POSTS:,} held out.")
    posts = simulate_posts(num_posts, seed=seed, held_out=False)
    build(posts, folder / "votes.csv", folder / "votes.parquet")
    write_better_half(posts, folder / "better_half.jsonl")
    held_out = simulate_posts(NUM_HELD_OUT_POSTS, seed=seed, held_out=True)
    build(held_out, folder / "held_out.csv", folder / "held_out.parquet")
    say(f"Votes became preference groups in {folder / 'votes.parquet'}; the pocket model trains on them now.")
    recipe = quickstart_recipe(folder, seed=seed)
    command = shlex.join(
        ["tropism", "quickstart", "--output", str(folder), "--posts", str(num_posts), "--seed", str(seed)]
    )
    try:
        run = run_recipe(recipe, command=command)
    except Interrupted as stopped:
        raise Interrupted(stopped.problem, remedy=f"A quickstart starts over: {command}") from None
    run = run.model_copy(update={"title": "Quickstart"})
    write_json(run, folder / "run" / "run.json")
    return run


def build(posts: Sequence[Post], votes: Path, groups: Path) -> None:
    """Write posts as a votes table, and the groups that `tropism build` makes of it."""
    rows = votes_rows(posts)
    votes.parent.mkdir(parents=True, exist_ok=True)
    with votes.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    settings = VoteSettings(columns=COLUMNS, rule=GapRule(min_gap=MIN_GAP, later=True), cap=PAIRS_PER_POST)
    built = build_groups(votes, settings)
    write_tables(built.groups.tables(), groups, card=built.card)


def write_better_half(posts: Sequence[Post], path: Path) -> None:
    """Write the better-voted half of every post's comments, for supervised fine-tuning."""
    rows = []
    for post in posts:
        by_score = sorted(post.comments, key=lambda comment: (-comment.score, comment.id))
        rows += [{"prompt": post.question, "completion": one.text} for one in by_score[: len(by_score) // 2]]
    write_text("".join(json.dumps(row) + "\n" for row in rows), path)


def quickstart_recipe(folder: Path, *, seed: int) -> Recipe:
    """The settings that a prototype and the runs in docs/decisions/0002 found to hold on three seeds."""
    return parse_recipe({
        "model": str(POCKET),
        "data": {
            "train": str(folder / "votes.parquet"),
            "eval": str(folder / "held_out.parquet"),
            "max_tokens": 256,
            "template": "chat",
        },
        "train": {"per_device_train_batch_size": 16, "weight_decay": 0.0, "max_grad_norm": 1.0, "seed": seed,
                  "save_strategy": "no", "use_cpu": True},
        "stages": [
            {"name": "sft", "loss": "nll", "data": str(folder / "better_half.jsonl"), "train": {
                "max_steps": 80, "learning_rate": 1e-3, "lr_scheduler_type": "cosine"}},
            {"name": "dpo", "loss": {"dpo": {"beta": 0.3}, "nll": {"weight": 1.0}}, "train": {
                "max_steps": 200, "learning_rate": 2e-3, "per_device_train_batch_size": 20}},
        ],
        "evaluation": {
            "prompts": NUM_PROMPTS, "judge": f"{taste.__name__}:score", "temperature": 1.0, "max_new_tokens": 120,
            "seed": seed,
        },
        "output": str(folder / "run"),
    })  # fmt: skip


def best_thread_count() -> int:
    """One thread or all of them, whichever multiplies small matrices faster on this machine right now."""
    available = torch.get_num_threads()
    speeds = {}
    for threads in sorted({1, min(2, available), available}):
        torch.set_num_threads(threads)
        speeds[threads] = multiplications_per_second(seconds=0.3)
    return max(speeds, key=lambda threads: speeds[threads])


def multiplications_per_second(*, seconds: float) -> float:
    """How many products of the pocket model's size this process computes in a second."""
    left, right = torch.randn(1500, 96), torch.randn(96, 256)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        torch.tanh(left @ right)
        done += 1
    return done / (time.perf_counter() - start)


def clear(folder: Path) -> None:
    """Make way for a run: delete an earlier quickstart, refuse anything else."""
    mark = folder / MARK
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.exists() and (not folder.is_dir() or there - {*MADE, MARK} or (there and not mark.exists())):
        raise OutputError(
            f"the output folder {folder} holds something else than a quickstart.", remedy="Give another --output."
        )
    for name in MADE:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    write_text("This folder holds a quickstart of Tropism; the next one replaces it.\n", mark)
