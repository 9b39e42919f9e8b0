"""Suites: what they may name, what is kept and found again, and how models are compared."""

import contextlib

import pytest

from tropism.errors import ConfigError, DataError
from tropism.evals.core.differences import compare_results, corrected, estimates
from tropism.evals.core.eval_folder import EvalFolder, Kept
from tropism.evals.core.items import Eval, Item, Measured
from tropism.evals.core.subject import policy_subject
from tropism.evals.core.suite import SUITES, load_suite, parse_entry
from tropism.evals.core.suite_run import Material, run_suite
from tropism.evals.core.suite_samples import suite_samples
from tropism.evals.eval_table import EVALS
from tropism.records import Comparison, Estimate, EvalResult, Measure
from tropism.testing import pairs, tiny_llama, tiny_policy

OWN = """
from tropism.evals.core.items import Item, Measured

def politeness(task):
    with open({calls!r}, "a") as file:
        file.write(task.subject.name + "\\n")
    shift = 0.0 if task.is_base else {shift}
    return [Item(str(k), str(k // 2), {{"polite": float(k % 3) + shift, "fixed": 1.0}}) for k in range(20)]

def broken(task):
    return 3

def whole(task):
    return Measured(items=[Item("a", "a", {{"x": float("nan")}})])
"""


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


@pytest.fixture
def own(tmp_path):
    """A user's file of evals that writes down which models it was called on."""
    path = tmp_path / "own.py"
    path.write_text(OWN.format(calls=str(tmp_path / "calls"), shift=0.5))
    return path


def suite_of(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return load_suite(str(path))


def two_subjects():
    return [policy_subject(name, tiny_policy(tiny_llama(seed=seed))) for seed, name in enumerate(("base", "tuned"))]


def run(suite, folder, **settings):
    base, tuned = two_subjects()
    material = settings.pop("material", Material(pairs(["a", "b", "c"]), ["some text"]))
    return run_suite(
        suite, [tuned], base=base, material=material, folder=EvalFolder(folder), progress=silent, **settings
    )


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_suite_that_is_shipped_can_be_loaded(path):
    suite = load_suite(path.stem)
    assert suite.evals
    assert all(entry.name in EVALS for entry in suite.evals)


def test_every_eval_that_is_shipped_has_words_and_every_measure_a_label():
    assert all(row.words and row.words.title for row in EVALS.values())
    assert all(measure.label for row in EVALS.values() for measure in row.measures.values())


def test_only_a_direction_makes_a_metric_better_or_worse():
    preference = EVALS["preference"].measures
    assert preference["pair_accuracy"].better == "higher"
    assert preference["log_loss"].better == "lower"
    assert EVALS["drift"].measures["kl"].better == "neither"


def test_an_own_eval_may_be_a_row_with_words(tmp_path):
    path = tmp_path / "row.py"
    path.write_text(
        "from tropism.evals.core.items import Eval, Measured\n"
        "from tropism.records import EvalWords, Measure\n"
        "rhyme = Eval(lambda task: Measured(()), words=EvalWords(title='Rhyme'),\n"
        "             measures={'share': Measure(label='Rhymes', unit='share')})\n"
    )
    entry = parse_entry({f"{path}:rhyme": {"better": {"share": "higher", "lines": "lower"}}})
    assert entry.name == "rhyme"
    assert entry.eval.words.title == "Rhyme"
    assert entry.eval.measures["share"] == Measure(label="Rhymes", unit="share", better="higher")
    assert entry.eval.measures["lines"] == Measure(label="Lines", better="lower")


def test_the_holistic_suite_holds_all_that_needs_no_endpoint():
    names = {entry.name for entry in load_suite("holistic").evals}
    assert names >= {"preference", "displacement", "drift", "forgetting", "win_rate"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nothing", "unknown eval 'nothing'; available: preference"),
        ({"drift": {"promts": 3}}, "setting 'promts' of eval 'drift' is not valid, got 3"),
        ({"drift": {"prompts": 0}}, "setting 'prompts' of eval 'drift' is not valid, got 0"),
        ({"drift": {"better": {"kl": "up"}}}, "must map metrics to higher, lower or neither"),
        ({"drift": {}, "style": {}}, "an entry of a suite must be an eval"),
        ("nowhere.py:eval", "cannot be loaded"),
        ("math:pi", "must be a function or an Eval"),
    ],
)
def test_a_wrong_entry_is_a_plain_error(entry, message):
    with pytest.raises(ConfigError, match=message):
        parse_entry(entry)


@pytest.mark.parametrize("text", ["evals: 3", "[]", "evals: [drift]\nmore: 1", "evals: [drift, drift]", "a: [", "- b"])
def test_a_wrong_suite_is_a_plain_error(tmp_path, text):
    with pytest.raises(ConfigError, match="the suite"):
        suite_of(tmp_path, text)


def test_an_unknown_suite_names_those_that_are_known():
    with pytest.raises(ConfigError, match="chat, community, holistic, reward, security"):
        load_suite("everything")


def test_a_users_own_function_is_an_eval(tmp_path, own):
    suite = suite_of(
        tmp_path, f"evals:\n- {own}:politeness: {{better: {{polite: higher}}, same_within: {{fixed: 0.1}}}}\n"
    )
    outcome = run(suite, tmp_path / "out")
    polite, fixed = outcome.comparisons
    assert (polite.eval, polite.metric, polite.model, polite.better) == ("politeness", "polite", "tuned", "higher")
    assert polite.difference.value == pytest.approx(0.5)
    assert (polite.verdict, fixed.verdict) == ("better", "unsure")
    assert fixed.p_value is None
    (note,) = outcome.results[1].notes
    assert note == "fixed differs by less than 0.1 from base's (two one-sided tests, p < 0.0001)."


def test_what_is_kept_is_not_run_again_until_something_changes(tmp_path, own):
    suite = suite_of(tmp_path, f"evals: ['{own}:politeness']")
    calls = tmp_path / "calls"
    first = run(suite, tmp_path / "out")
    assert run(suite, tmp_path / "out").num_found == 2
    assert calls.read_text().split() == ["base", "tuned"]
    assert run(suite, tmp_path / "out").comparisons == first.comparisons
    assert run(suite, tmp_path / "out", material=Material(pairs(["a"]), ["some text"])).num_found == 0
    assert run(suite, tmp_path / "out", material=Material(pairs(["a"]), ["some text"]), fresh=True).num_found == 0
    own.write_text(OWN.format(calls=str(calls), shift=0.75))
    changed = suite_of(tmp_path, f"evals: ['{own}:politeness']")
    assert run(changed, tmp_path / "out", material=Material(pairs(["a"]), ["some text"])).num_found == 0
    assert len(calls.read_text().split()) == 8


def test_a_result_that_is_damaged_is_run_again(tmp_path, own):
    suite = suite_of(tmp_path, f"evals: ['{own}:politeness']")
    run(suite, tmp_path / "out")
    (tmp_path / "out" / "items" / "politeness--tuned.jsonl").write_text("{")
    assert run(suite, tmp_path / "out").num_found == 1


def test_an_eval_that_cannot_run_is_left_out_with_its_reason(tmp_path, own):
    suite = suite_of(tmp_path, f"evals: [win_rate, forgetting, '{own}:broken', '{own}:whole', '{own}:politeness']")
    outcome = run(suite, tmp_path / "out", material=Material(pairs(["a"])))
    assert outcome.left_out["win_rate"] == "there is no judge"
    assert outcome.left_out["forgetting"] == "there are no held-out texts"
    assert "must return Measured or a list of Item, got int" in outcome.left_out["broken"]
    assert "must be finite, got nan for 'x' of item 'a'" in outcome.left_out["whole"]
    assert {result.eval for result in outcome.results} == {"politeness"}


def test_real_evals_run_in_a_suite_and_samples_are_taken_from_their_answers(tmp_path):
    suite = suite_of(tmp_path, "evals: [preference, displacement, drift: {prompts: 3, max_new_tokens: 5}, forgetting]")
    outcome = run(suite, tmp_path / "out")
    assert outcome.left_out == {}
    names = {(one.eval, one.metric) for one in outcome.comparisons}
    assert names >= {
        ("preference", "pair_accuracy"),
        ("drift", "distinct_2"),
        ("forgetting", "perplexity"),
        ("drift", "kl"),
    }
    samples = suite_samples(outcome.results, EvalFolder(tmp_path / "out"))
    assert [set(sample.answers) for sample in samples] == [{"base", "tuned"}] * 3
    assert suite_samples([], EvalFolder(tmp_path / "out")) == []


def kept(model, values, *, metrics=None):
    items = [Item(str(k), str(k), {"x": value}, {"y": 2 * value}) for k, value in enumerate(values)]
    row = estimates(items, {"double": double})
    return Kept(EvalResult(eval="e", model=model, metrics=row | (metrics or {})), items)


def double(items):
    return sum(item.detail["y"] for item in items) / len(items)


def test_differences_are_paired_by_item_and_by_statistic():
    row = Eval(lambda task: Measured(()), statistics={"double": double})
    own = [{"own": Estimate(value=value, low=value - 1.0, high=value + 1.0, n=5)} for value in (1.0, 3.0)]
    before, after = kept("a", [1.0, 5.0, 3.0], metrics=own[0]), kept("b", [1.5, 5.5, 3.5], metrics=own[1])
    found = {one.metric: one for one in compare_results(before, after, row)}
    assert (found["x"].difference.value, found["x"].difference.low) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found["double"].difference.value == pytest.approx(1.0)
    assert found["double"].difference.high == pytest.approx(1.0)
    assert found["own"].difference.low == pytest.approx(2.0 - 2**0.5)
    assert 0.001 < found["own"].p_value < 0.01


def test_only_items_that_both_models_have_are_compared():
    row = Eval(lambda task: Measured(()))
    (found,) = [
        one for one in compare_results(kept("a", [1.0, 2.0]), kept("b", [2.0, 2.0, 100.0]), row) if one.metric == "x"
    ]
    assert (found.before.value, found.after.value, found.difference.value, found.after.n) == (1.5, 2.0, 0.5, 2)


def comparison(p_value, better="higher", low=0.1):
    one = Estimate(value=0.2, low=low, high=0.3, n=9)
    return Comparison(
        eval="e", metric="m", model="b", before=one, after=one, difference=one, better=better, p_value=p_value
    )


def test_what_is_judged_is_corrected_apart_from_what_is_described():
    found = corrected([comparison(0.02), comparison(0.03, "lower"), comparison(0.01, "neither"), comparison(None)])
    assert [one.p_adjusted for one in found] == [0.04, 0.04, 0.01, None]
    assert [one.verdict for one in found] == ["better", "worse", "changed", "better"]
    assert [one.verdict for one in corrected([comparison(0.2), comparison(0.001, low=-0.1)])] == ["unsure", "unsure"]


def test_items_go_to_disk_and_back(tmp_path):
    folder = EvalFolder(tmp_path / "out")
    items = [Item("ü\u2028", "c", {"x": 0.1}, {"prompt": "a\nb"})]
    result = EvalResult(eval="an eval/..", model="../../m", metrics={})
    made = folder.keep(result, items, "key")
    assert folder.find("an eval/..", "../../m", "key") == made
    assert folder.find("an eval/..", "../../m", "other") is None
    assert {path.parent.parent for path in tmp_path.rglob("*.json*")} == {tmp_path / "out"}
    with pytest.raises(DataError, match="detail of item 'i' of eval e is not JSON"):
        folder.keep(EvalResult(eval="e", model="m", metrics={}), [Item("i", "c", {}, {"x": object()})], "key")
