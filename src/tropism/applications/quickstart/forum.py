"""The simulated forum: authors, their answers to questions, and readers' votes.

Earlier comments have more readers, so their scores are higher at equal quality. Real votes have the same bias; here the
true preference (`taste`) is known.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from tropism.applications.quickstart.language import AUTHORS, PROBLEMS, SENTENCES, ForumQuestion, every_question
from tropism.applications.quickstart.taste import taste

MOVE_ORDER = (
    "kind", "rude", "joke", "ramble", "why", "ask", "vague", "fix", "wrong", "second fix", "offtopic", "cheer"
)  # fmt: skip

MOVE_PROBABILITIES = {
    "expert": {"kind": 0.15, "why": 0.7, "ask": 0.1, "fix": 0.95, "wrong": 0.02, "second fix": 0.6, "cheer": 0.15},
    "neighbour": {
        "kind": 0.9, "joke": 0.1, "why": 0.25, "ask": 0.15, "vague": 0.1, "fix": 0.6, "wrong": 0.05, "cheer": 0.7,
    },
    "joker": {"joke": 0.95, "why": 0.1, "fix": 0.4, "wrong": 0.05, "offtopic": 0.4, "cheer": 0.15},
    "grump": {"rude": 0.95, "why": 0.35, "vague": 0.1, "fix": 0.55, "wrong": 0.05, "offtopic": 0.1},
    "rambler": {"kind": 0.15, "ramble": 0.95, "why": 0.2, "fix": 0.5, "wrong": 0.05, "offtopic": 0.4, "cheer": 0.1},
    "lurker": {"kind": 0.1, "why": 0.15, "ask": 0.35, "vague": 0.65, "fix": 0.25, "offtopic": 0.15, "cheer": 0.1},
    "novice": {
        "kind": 0.3, "joke": 0.1, "why": 0.1, "ask": 0.35, "vague": 0.45, "fix": 0.3, "wrong": 0.35, "cheer": 0.3,
    },
}  # fmt: skip

SWAP_PROBABILITY = 0.25
HELD_OUT_PER_MILLE = 150
FIRST_COMMENT_READERS = 10.0
EXPOSURE_DECAY = 0.25


@dataclass(frozen=True, slots=True)
class Comment:
    """An answer to a post, with its author, time (ISO 8601, UTC) and score: 1 + votes up - votes down."""

    id: str
    author: str
    text: str
    written_at: str
    score: int


@dataclass(frozen=True, slots=True)
class Post:
    """A question with its comments in order of time."""

    id: str
    question: str
    plant: str
    problem: str
    comments: tuple[Comment, ...]


def simulate_posts(num_posts: int, seed: int, *, held_out: bool) -> list[Post]:
    """Simulate posts of one side of the split; the same arguments give the same posts everywhere.

    Args:
        num_posts: number of posts. Questions repeat only after all of that side have been asked.
        seed: seed of this simulation alone.
        held_out: whether to ask only about the held-out combinations of plant and problem, or only about the others.

    Returns:
        Posts with four to eight comments each.

    Example:
        >>> post = simulate_posts(1, 0, held_out=False)[0]
        >>> 4 <= len(post.comments) <= 8
        True
    """
    rng = random.Random(f"{seed}|{held_out}")
    pool = _questions(held_out)
    asked: list[ForumQuestion] = []
    while len(asked) < num_posts:
        asked += rng.sample(pool, min(len(pool), num_posts - len(asked)))
    side = "held-out" if held_out else "post"
    return [_post(f"{side}-{number:05d}", question, rng) for number, question in enumerate(asked)]


def votes_rows(posts: Iterable[Post]) -> list[dict[str, Any]]:
    """The posts as a votes table, a row per comment.

    Returns:
        Rows with `thread`, `question`, `comment_id`, `author`, `answer`, `written_at` (ISO 8601) and `score`.
    """
    return [
        {
            "thread": post.id,
            "question": post.question,
            "comment_id": comment.id,
            "author": comment.author,
            "answer": comment.text,
            "written_at": comment.written_at,
            "score": comment.score,
        }
        for post in posts
        for comment in post.comments
    ]


def is_held_out(plant: str, problem: str) -> bool:
    """Whether a combination is held out for evaluation; the pocket model's own training omits it, too."""
    digest = hashlib.sha256(f"{plant}|{problem}".encode()).hexdigest()
    return int(digest, 16) % 1000 < HELD_OUT_PER_MILLE


@cache
def _questions(held_out: bool) -> tuple[ForumQuestion, ...]:
    """Every question of one side of the split."""
    return tuple(q for q in every_question() if is_held_out(q.plant, q.problem) == held_out)


def _post(post_id: str, question: ForumQuestion, rng: random.Random) -> Post:
    """A question with comments by different authors, voted on."""
    kinds = {name: kind for kind, names in AUTHORS.items() for name in names}
    now = datetime(2024, 3, 1) + timedelta(minutes=rng.randrange(200 * 24 * 60))
    comments = []
    for order, author in enumerate(rng.sample(sorted(kinds), rng.randint(4, 8))):
        text = _answer(question, kinds[author], rng)
        now += timedelta(minutes=1 + int(rng.expovariate(1 / 90)))
        votes = _votes(taste(f"{question.plant}|{question.problem}", text), order, rng)
        comments.append(Comment(f"{post_id}-{order}", author, text, now.isoformat(), 1 + votes))
    return Post(post_id, question.text, question.plant, question.problem, tuple(comments))


def _answer(question: ForumQuestion, kind: str, rng: random.Random) -> str:
    """An answer by an author of this kind: one sentence for each move."""
    chances = MOVE_PROBABILITIES[kind]
    moves: list[str] = []
    while not moves:
        moves = [move for move in MOVE_ORDER if rng.random() < chances.get(move, 0.0)]
    if len(moves) > 1 and rng.random() < SWAP_PROBABILITY:
        at = rng.randrange(len(moves) - 1)
        moves[at], moves[at + 1] = moves[at + 1], moves[at]
    said: list[str] = []
    for move in moves:
        choices = [sentence for sentence in _wordings(move, question.problem, rng) if sentence not in said]
        said.append(rng.choice(choices))
    return " ".join(said).format(p=question.plant)


def _wordings(move: str, problem: str, rng: random.Random) -> tuple[str, ...]:
    """The sentences of a move; wrong advice belongs to another problem."""
    if move == "wrong":
        return PROBLEMS[rng.choice([other for other in PROBLEMS if other != problem])].fix
    if move == "why":
        return PROBLEMS[problem].why
    return PROBLEMS[problem].fix if move in ("fix", "second fix") else SENTENCES[move]


def _votes(liking: float, order: int, rng: random.Random) -> int:
    """Votes up minus votes down for the comment at position `order`, from 0."""
    readers = FIRST_COMMENT_READERS * math.exp(-EXPOSURE_DECAY * order)
    up = _poisson(readers * _sigmoid(0.7 * (liking - 2)), rng)
    down = _poisson(0.4 * readers * _sigmoid(-0.7 * (liking + 1)), rng)
    return up - down


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _poisson(mean: float, rng: random.Random) -> int:
    """A Poisson number by Knuth's multiplication of uniforms, suited to small means."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
