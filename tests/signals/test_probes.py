"""Words, near-duplicates and large threads that could pass for taste are found, and their absence is."""

import json
import random
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tropism.signals.statistics.probes import (
    ProbeEdge,
    bag_of_words_accuracy,
    near_duplicates,
    pairs_per_thread,
    topic_leak,
)


def noise(draw: random.Random, num_words: int, vocabulary: int = 300) -> str:
    return " ".join(f"w{draw.randrange(vocabulary)}" for _ in range(num_words))


def planted(rate: float, *, threads: int, per_thread: int, seed: int) -> list[ProbeEdge]:
    """Edges whose winner holds the word `thanks` with this probability, the loser otherwise."""
    draw = random.Random(seed)
    edges = []
    for thread in range(threads):
        for _ in range(per_thread):
            told, other = f"thanks {noise(draw, 8)}", f"well {noise(draw, 8)}"
            sides = (told, other) if draw.random() < rate else (other, told)
            edges.append(ProbeEdge(str(thread), f"prompt {thread}", *sides))
    return edges


def test_a_word_that_gives_the_winner_away_is_found() -> None:
    found = bag_of_words_accuracy(planted(1.0, threads=60, per_thread=3, seed=0), seed=0)
    assert found.value > 0.98
    assert found.n == 180
    assert found.low > 0.9


def test_labels_by_chance_score_one_half() -> None:
    found = bag_of_words_accuracy(planted(0.5, threads=200, per_thread=3, seed=1), seed=0)
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.2


def test_interval_covers_what_other_samples_would_score() -> None:
    """60 samples of 40 threads; in 1,000 of 80 threads it was 97 %."""
    found = [bag_of_words_accuracy(planted(0.7, threads=40, per_thread=2, seed=seed), seed=0) for seed in range(60)]
    truth = np.mean([one.value for one in found])
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.9


def test_no_thread_is_on_both_sides() -> None:
    """Every thread has a word of its own that gives its winners away: known in training, it would score 1."""
    draw = random.Random(0)
    edges = [
        ProbeEdge(str(thread), "p", f"own{thread} {noise(draw, 4)}", noise(draw, 4))
        for thread in range(60)
        for _ in range(5)
    ]
    assert bag_of_words_accuracy(edges, seed=0).value < 0.65


def test_order_of_the_edges_has_no_effect_and_seed_has() -> None:
    edges = planted(0.7, threads=50, per_thread=3, seed=2)
    shuffled = random.Random(3).sample(edges, len(edges))
    assert bag_of_words_accuracy(edges, seed=0) == bag_of_words_accuracy(shuffled, seed=0)
    assert near_duplicates(edges) == near_duplicates(shuffled)
    assert topic_leak(edges) == topic_leak(shuffled)
    assert bag_of_words_accuracy(edges, seed=0) != bag_of_words_accuracy(edges, seed=1)


def test_edges_without_words_count_one_half() -> None:
    edges = [ProbeEdge(str(thread), "p", "!", "?") for thread in range(10)]
    assert bag_of_words_accuracy(edges, seed=0).value == 0.5


def test_nothing_gives_the_whole_interval() -> None:
    for found in (bag_of_words_accuracy([], seed=0), topic_leak([]), near_duplicates([]).edges):
        assert (found.low, found.high, found.n) == (0.0, 1.0, 0)
    assert pairs_per_thread(np.array([], np.int64)).edges == 0


def test_near_duplicates_by_hand() -> None:
    """Two threads share one answer but for its case; one edge of three compares a text with nearly itself."""
    long = " ".join(f"word{i}" for i in range(60))
    edges = [
        ProbeEdge("1", "p", "Try to sleep more.", "no"),
        ProbeEdge("2", "q", "try to sleep MORE", "a wholly different answer here"),
        ProbeEdge("2", "q", long, long + " end"),
    ]
    found = near_duplicates(edges)
    assert (found.responses.value, found.responses.n) == (pytest.approx(2 / 6), 6)
    assert (found.edges.value, found.edges.n) == (pytest.approx(1 / 3), 3)


def test_words_are_compared_without_case_and_punctuation_but_in_order() -> None:
    told = ["Take, a deep breath NOW", "take a deep breath now!", "now breath deep a take", "?"]
    edges = [ProbeEdge(str(i), "p", text, "?") for i, text in enumerate(told)]
    found = near_duplicates(edges).responses  # of eight responses the first two are alike; "?" has no words
    assert (found.value, found.n) == (pytest.approx(2 / 7), 7)


def test_topic_leak_finds_prompts_that_differ_in_a_word() -> None:
    """Every prompt has nine twins with another last word, so every held-out one has one among the others."""
    draw = random.Random(0)
    stems = [noise(draw, 40, 5_000) for _ in range(40)]
    leaky = [ProbeEdge(f"{i}.{k}", f"{stem} v{k}", "a", "b") for i, stem in enumerate(stems) for k in range(10)]
    clean = [ProbeEdge(str(i), noise(draw, 40, 5_000), "a", "b") for i in range(400)]
    found = topic_leak(leaky)
    assert 20 < found.n < 60
    assert found.value == 1.0
    assert topic_leak(clean).value == 0.0
    assert topic_leak(clean).high < 0.2


def test_equal_prompts_of_two_threads_leak_nothing() -> None:
    """They are one prompt for every split, which goes by the prompt's hash."""
    edges = [ProbeEdge(f"{i}", f"prompt number {i // 2} asks something", "a", "b") for i in range(100)]
    assert topic_leak(edges).value == 0.0


def test_pairs_per_thread_by_hand() -> None:
    """200 threads: 198 of one edge, two of 51; the hundredth with most holds 102 of 300."""
    found = pairs_per_thread(np.array([1] * 198 + [51] * 2))
    assert (found.threads, found.edges, found.max, found.median) == (200, 300, 51, 1.0)
    assert (found.mean, found.top_share) == (1.5, pytest.approx(0.34))


@pytest.mark.parametrize(("min_gap", "published"), [(1, 0.635), (2, 0.715)])
def test_counsel_chat_is_told_by_its_words_as_published(real_data: Path, min_gap: int, published: float) -> None:
    """At most ten pairs a question, five draws of the folds; ours is a 70 % draw of the questions' answers."""
    votes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for line in (real_data / "data" / "counsel_chat.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        question = (row["questionID"], f"{row['questionTitle']}\n{row['questionText']}")
        if (row["answerText"] or "").strip():
            votes[question][row["answerText"]] = int(row["upvotes"])
    edges = []
    for (key, prompt), answers in votes.items():
        pairs = [(a, b) for a in answers for b in answers if answers[a] - answers[b] >= min_gap]
        some = sorted(pairs, key=lambda pair: zlib.crc32("\n".join(pair).encode()))[:10]
        edges += [ProbeEdge(f"{key} {prompt}", prompt, *pair) for pair in some]
    found = [bag_of_words_accuracy(edges, seed=seed).value for seed in range(5)]
    assert np.mean(found) == pytest.approx(published, abs=0.07)
