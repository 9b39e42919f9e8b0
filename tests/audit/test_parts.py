"""The pieces of the audit, by hand-worked numbers and beside slow twins."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from tropism.data.audit.audit import audit
from tropism.data.audit.audited_rows import AuditedRow, AuditSources, row_names
from tropism.data.audit.contract import CHECKS
from tropism.data.audit.contradictions import RowVerdicts, find_circle
from tropism.data.audit.findings import Ledger, RowPlace
from tropism.data.audit.fix import repaired
from tropism.data.audit.marks import KNOWN_MARKS, escaped, marks_in
from tropism.data.audit.row_texts import normal, runs
from tropism.data.audit.separability import held_out_margins
from tropism.data.audit.shortcuts import BULLET, MARKDOWN, REFUSAL
from tropism.data.group_store import write_groups
from tropism.errors import ConfigError, DataError
from tropism.groups import Edge, Label, PreferenceGroup, Response, Split
from tropism.metrics.bootstrap import wilson
from tropism.metrics.near_duplicates import is_near
from tropism.testing import pair


def unit(ordinal: int, group: PreferenceGroup) -> AuditedRow:
    return AuditedRow(RowPlace(ordinal, f"row{ordinal}"), group, "", None, False, True, Path(), 0)


def verdicts_on(*groups: PreferenceGroup) -> Ledger:
    ledger, verdicts = Ledger(), RowVerdicts()
    for ordinal, group in enumerate(groups):
        ledger.register(RowPlace(ordinal, f"row{ordinal}"))
        verdicts.add(unit(ordinal, group), group)
    verdicts.report(ledger)
    return ledger


def three(*edges: Edge, labels: tuple[Label, ...] = ()) -> PreferenceGroup:
    return PreferenceGroup("g", ("p",), tuple(Response(name, name) for name in "abc"), edges, labels)


def test_the_lighter_of_two_verdicts_is_left_out_wherever_it_stands() -> None:
    ledger = verdicts_on(three(Edge(0, 1)), three(Edge(1, 0, weight=0.5)), three(Edge(1, 0, weight=0.4)))
    assert ledger.repairs.edges == {1: {0: "contradictory-edges"}, 2: {0: "contradictory-edges"}}
    assert [(found.count, found.n, found.examples) for found in ledger.findings()] == [(1, 1, ("row1",))]


def test_soft_verdicts_weigh_by_how_sure_they_are() -> None:
    ledger = verdicts_on(three(Edge(0, 1, prob=0.6), Edge(1, 0, weight=0.3)))  # 0.2 against 0.3
    assert ledger.repairs.edges == {0: {0: "contradictory-edges"}}


def test_even_verdicts_are_both_left_out_and_ties_contradict_nothing() -> None:
    assert verdicts_on(three(Edge(0, 1), Edge(1, 0))).repairs.edges == {
        0: {0: "contradictory-edges", 1: "contradictory-edges"}
    }
    assert verdicts_on(three(Edge(0, 1), Edge(1, 0, prob=0.5))).findings() == []


def test_the_lightest_comparison_of_a_circle_is_left_out() -> None:
    ledger = verdicts_on(three(Edge(0, 1, weight=3), Edge(1, 2, weight=1), Edge(2, 0, weight=2)))
    assert ledger.repairs.edges == {0: {1: "preference-cycles"}}


def test_labels_that_differ_are_settled_by_weight() -> None:
    ledger = verdicts_on(three(labels=(Label(0, True), Label(0, False, weight=2), Label(1, True))))
    assert ledger.repairs.labels == {0: {0: "contradictory-labels"}}
    assert [(found.count, found.n) for found in ledger.findings()] == [(1, 2)]


def test_a_circle_is_found_exactly_where_no_order_exists() -> None:
    random_ = random.Random(0)
    for _ in range(300):
        size = random_.randint(2, 6)
        arcs = dict.fromkeys((arc for arc in permutations(range(size), 2) if random_.random() < 0.3), 1.0)
        circle = find_circle(arcs)
        assert bool(circle) == (not has_order(set(arcs), set(range(size))))
        assert set(circle) <= arcs.keys()
        assert [below for _, below in circle[1:]] == [above for above, _ in circle[:-1]]
        assert not circle or circle[0][1] == circle[-1][0]


def has_order(arcs: set[tuple[int, int]], nodes: set[int]) -> bool:
    """The slow twin: take away nodes that nothing beats."""
    while free := {node for node in nodes if not any(loser == node for _, loser in arcs)}:
        nodes = nodes - free
        arcs = {arc for arc in arcs if arc[0] in nodes}
    return not nodes


@dataclass(frozen=True)
class Told:
    """A row of the slow twin: its side, its prompt, winner and loser, as words."""

    side: Split
    prompt: tuple[str, ...]
    winner: tuple[str, ...]
    loser: tuple[str, ...]

    def answers(self) -> set[tuple[str, ...]]:
        """The runs of both, marked by how they fared."""
        return {("won", *run) for run in plain_runs(self.winner)} | {("lost", *run) for run in plain_runs(self.loser)}


def plain_runs(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {words[start : start + 5] for start in range(max(1, len(words) - 4))}


def alike(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> bool:
    return 5 * len(one & other) >= 4 * len(one | other)


def test_near_rows_prompts_and_leaks_are_those_that_comparing_all_pairs_finds(tmp_path: Path) -> None:
    """Three hundred rows in families of edited copies, on two sides."""
    draw = random.Random(0)

    def edited(words: tuple[str, ...]) -> tuple[str, ...]:
        copy = list(words)
        for _ in range(draw.choice([0, 0, 0, 1, 1, 2])):
            copy[draw.randrange(len(copy))] = f"x{draw.randrange(9)}"
        return tuple(copy)

    def noise() -> tuple[str, ...]:
        return tuple(f"w{draw.randrange(500)}" for _ in range(draw.randrange(40, 90)))

    rows: list[Told] = []
    for _ in range(60):
        texts = noise(), noise(), noise()
        for _ in range(5):
            shown = tuple(edited(text) if draw.random() < 0.9 else noise() for text in texts)
            rows.append(Told("eval" if draw.random() < 0.2 else "train", *shown))
    draw.shuffle(rows)
    path = tmp_path / "rows.parquet"
    groups = (
        replace(pair(f"g{n}", " ".join(row.prompt), " ".join(row.winner), " ".join(row.loser)), split=row.side)
        for n, row in enumerate(rows)
    )
    write_groups(groups, path)
    found = audit(AuditSources((str(path),)))

    near_rows, near_prompts, leaked, dropped = set(), set(), set(), set()
    prompts = [plain_runs(row.prompt) for row in rows]
    sides = defaultdict(set)
    for row in rows:
        sides[row.prompt].add(row.side)
    first = {row.prompt: number for number, row in reversed(list(enumerate(rows)))}
    for later, row in enumerate(rows):
        for earlier, other in enumerate(rows[:later]):
            if not alike(prompts[later], prompts[earlier]):
                continue
            if row.side == other.side and row != other and alike(row.answers(), other.answers()):
                near_rows.add(later)
            if row.prompt != other.prompt and sides[row.prompt] & sides[other.prompt]:
                near_prompts.add(max(row.prompt, other.prompt, key=first.__getitem__))
            if row.prompt != other.prompt and row.side != other.side:
                held, trained = (later, earlier) if row.side == "eval" else (earlier, later)
                if "train" not in sides[rows[held].prompt]:
                    leaked.add(held)
                    dropped.add(trained)
    counts = {finding.check: finding.count for finding in found.findings}
    assert min(map(len, (near_rows, near_prompts, leaked, dropped))) >= 10
    assert len({row.prompt for row in rows}) < len(rows)
    assert counts["near-duplicate-rows"] == len(near_rows)
    assert counts["near-duplicate-prompts"] == len(near_prompts)
    assert counts["leaked-near-prompts"] == len(leaked)
    assert found.repairs.rows.keys() >= near_rows | dropped
    assert {row for row, check in found.repairs.rows.items() if check == "near-duplicate-rows"} == near_rows


def test_every_one_of_many_near_prompts_is_taken_from_training(tmp_path: Path) -> None:
    long = " ".join(f"w{n}" for n in range(60))
    groups = [replace(pair(f"g{n}", f"{long} {n}", f"yes {n}", f"no {n}"), split="train") for n in range(40)]
    groups.append(replace(pair("held", f"{long} held", "yes", "no"), split="eval"))
    path = tmp_path / "rows.parquet"
    write_groups(groups, path)
    found = audit(AuditSources((str(path),)))
    assert found.repairs.rows == dict.fromkeys(range(40), "leaked-near-prompts")


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(3 / 5, 5) == pytest.approx((0.23072, 0.88238), abs=1e-5)  # by hand: 0.5566 -+ 0.3258
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)


def test_words_that_tell_nothing_separate_half_of_the_pairs() -> None:
    random_ = random.Random(0)
    sides = [[frozenset(random_.choices("abcdefghijklmnopqrst", k=5)) for _ in range(600)] for _ in range(2)]
    folds = [index % 2 for index in range(600)]
    low, high = wilson(float((held_out_margins(*sides, folds) > 0).mean()), 600)
    assert low < 0.5 < high


def test_a_word_that_tells_all_separates_all_pairs_by_equal_margins() -> None:
    margins = held_out_margins([frozenset(["yes"])] * 40, [frozenset(["no"])] * 40, [index % 2 for index in range(40)])
    assert (margins > 0).all()
    assert np.ptp(margins) < 1e-6


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (BULLET, "Do:\n- this\n- that", True),
        (BULLET, "1. this", True),
        (BULLET, "a - b", False),
        (MARKDOWN, "a **bold** word", True),
        (MARKDOWN, "2 ** 3", False),
        (REFUSAL, "I'm sorry, but I can't help with that.", True),
        (REFUSAL, "As an AI, I have no taste.", True),
        (REFUSAL, "I am sorry for your loss.", False),
    ],
)
def test_styles_are_told_by_their_marks(pattern: object, text: str, matches: bool) -> None:
    assert bool(pattern.search(text)) == matches  # type: ignore[attr-defined]


def test_normal_forms_differ_only_where_words_do() -> None:
    assert normal("ＡＢＣ  def\n") == normal("abc DEF")
    assert normal("2 + 2") != normal("2 - 2")
    assert is_near(runs(""), runs(""))
    assert not is_near(runs(""), runs("a"))


def test_repair_leaves_indices_that_still_point_at_their_responses() -> None:
    group = three(Edge(0, 2), Edge(1, 2), labels=(Label(2, True), Label(1, False)))
    mended = repaired(group, {"responses": {0: "empty-responses"}, "labels": {1: "contradictory-labels"}})
    assert isinstance(mended, PreferenceGroup)
    assert [response.id for response in mended.responses] == ["b", "c"]
    assert (mended.edges, mended.labels) == ((Edge(0, 1),), (Label(1, True),))
    assert repaired(group, {}) is group


def test_escaping_leaves_no_mark_and_changes_nothing_else() -> None:
    dialogue = ({"role": "user", "content": [{"type": "text", "text": "<|im_start|>hi"}], "n": 1},)
    group = PreferenceGroup("g", (dialogue,), (Response("a", "x\n\nHuman: y"), Response("b", "plain")))
    mended = escaped(group, KNOWN_MARKS)
    assert marks_in(mended, KNOWN_MARKS) == []
    assert mended.prompts == (({"role": "user", "content": [{"type": "text", "text": "< |im_start|>hi"}], "n": 1},),)
    assert [response.content for response in mended.responses] == ["x\n \nHuman: y", "plain"]


def test_the_order_of_rows_changes_no_count(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, random_ = tmp_path_factory.mktemp("order"), random.Random(0)
    groups = [pair(f"g{n}", f"prompt {n % 70}", f"yes {n % 50} and more", f"no {n % 30}") for n in range(200)]
    counts = []
    for number in range(2):
        path = folder / f"{number}.parquet"
        write_groups(groups, path)
        found = audit(AuditSources((str(path),))).findings
        counts.append([(finding.check, finding.count, finding.n, finding.interval) for finding in found])
        random_.shuffle(groups)
    assert counts[0] == counts[1]
    assert {"shortcut-length", "separable-by-words", "separable-by-first-word"} <= {check for check, *_ in counts[0]}


def test_the_page_on_the_audit_lists_every_check_as_the_contract_has_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    for name, check in CHECKS.items():
        share = f" * {check.note_below:.0%}" if check.note_below else ""
        assert f"| `{name}` | {check.severity}{share} |" in page
        assert check.fix in page


def test_rows_of_several_files_carry_their_files_names() -> None:
    assert row_names(["a/x.jsonl"]) == [""]
    assert row_names(["a/x.jsonl", "b/x.jsonl", "y.csv"]) == ["a/x.jsonl:", "b/x.jsonl:", "y.csv:"]


def test_wrong_settings_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="unknown check 'lenght' in `skip`"):
        audit(AuditSources(("x.jsonl",)), skip=frozenset(["lenght"]))
    with pytest.raises(ConfigError, match="both to train and to evaluate on"):
        AuditSources(("x",), ("x",))
    with pytest.raises(DataError, match="`train` must hold at least one file"):
        AuditSources(())
