"""Adapters to other evaluation libraries at their boundary: fakes that answer as the real ones did when looked at."""

import contextlib
import importlib.util
import json
import sys
import types

import pytest

from tropism.errors import ConfigError
from tropism.evals.core.answer_store import Answer
from tropism.evals.core.differences import estimates
from tropism.evals.core.items import Task
from tropism.evals.core.subject import Subject, policy_subject
from tropism.evals.harness.capability import CapabilitySettings, capability
from tropism.evals.harness.harness_lm_eval import is_number, outcome
from tropism.testing import tiny_policy

FOUND = {
    "results": {
        "pets": {"alias": "pets", "acc,none": 0.5, "acc_stderr,none": "N/A", "ppl,none": 8.0, "ppl_stderr,none": 0.5,
                 "odd,none": 3.0, "odd_stderr,none": "N/A"},
    },
    "samples": {
        "pets": [
            {"doc_id": 0, "target": 0, "filtered_resps": [-1.0], "filter": "none", "metrics": ["acc", "ppl"],
             "acc": True, "ppl": (1.0, 2.0)},
            {"doc_id": 1, "target": 1, "filtered_resps": [-2.0], "filter": "none", "metrics": ["acc"], "acc": 0.0},
            {"doc_id": 1, "target": 1, "filtered_resps": ["x"], "filter": "strict", "metrics": ["acc"], "acc": 1.0},
        ]
    },
    "higher_is_better": {"pets": {"acc": True, "ppl": False}},
}  # fmt: skip


@contextlib.contextmanager
def silent(title, total):
    yield lambda count: None


class Scripted:
    def __init__(self):
        self.asked = []

    def write(self, prompts, *, num_answers, temperature, max_new_tokens, seed, finished):
        for index, prompt in enumerate(prompts):
            self.asked.append((prompt, temperature, max_new_tokens, seed))
            finished(index, [Answer("meow")])


def task_of(subject, **settings):
    return Task(subject, subject, (), (), None, CapabilitySettings(**settings), 7, silent)


def scripted():
    writer = Scripted()
    return Subject("scripted", "0" * 40, policy=None, writer=writer, fresh=True), writer


def fake_lm_eval(monkeypatch, called):
    def simple_evaluate(**arguments):
        called.update(arguments)
        if arguments["tasks"] == ["nope"]:
            raise KeyError("Spec 'nope' is not registered\nmore")
        return FOUND

    library = types.ModuleType("lm_eval")
    library.simple_evaluate = simple_evaluate
    models, tasks = types.ModuleType("lm_eval.models.huggingface"), types.ModuleType("lm_eval.tasks")
    models.HFLM = lambda **arguments: arguments
    tasks.TaskManager = lambda include_path: include_path
    for module in (library, models, tasks):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_samples_become_items_and_other_metrics_keep_the_harness_error():
    found = outcome(FOUND)
    assert [item.id for item in found.items] == ["pets/0", "pets/1", "pets/1/strict"]
    assert [item.values for item in found.items] == [{"pets.acc": 1.0}, {"pets.acc": 0.0}, {"pets.acc.strict": 1.0}]
    assert estimates(found.items, {})["pets.acc"].value == 0.5
    assert found.metrics["pets.ppl"].low == pytest.approx(8.0 - 1.96 * 0.5, abs=1e-3)
    assert found.metrics["pets.ppl"].n == 3
    assert found.skipped == {"metrics that came without a standard error": 1}
    assert found.notes == ["Higher is better for pets.acc, says lm-evaluation-harness."]


def test_numbers_are_finite():
    assert [is_number(value) for value in (1, True, 0.5, float("nan"), float("inf"), "1", None)] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


def test_lm_eval_is_handed_the_model_at_hand_and_every_seed(monkeypatch):
    called = {}
    fake_lm_eval(monkeypatch, called)
    policy = tiny_policy()
    found = capability(task_of(policy_subject("tiny", policy), tasks=("pets",), include="mine", limit=3, few_shot=1))
    assert called["model"]["pretrained"] is policy.model
    assert called["model"]["max_length"] == 128
    assert (called["tasks"], called["limit"], called["num_fewshot"], called["task_manager"]) == (["pets"], 3, 1, "mine")
    assert {called[f"{name}random_seed"] for name in ("", "numpy_", "torch_", "fewshot_")} == {7}
    assert len(found.items) == 3


def test_what_the_harness_raises_is_told_in_one_line(monkeypatch):
    fake_lm_eval(monkeypatch, {})
    with pytest.raises(ConfigError, match=r"failed with KeyError: \"Spec 'nope' is not registered") as error:
        capability(task_of(policy_subject("tiny", tiny_policy()), tasks=("nope",)))
    assert "Check the names of the tasks" in str(error.value)


@pytest.mark.parametrize(("harness", "module"), [("lm-eval", "lm_eval"), ("inspect-ai", "inspect_ai")])
def test_without_the_extra_the_error_names_it(harness, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"pip install \"tropism\[harness\]\""):
        capability(task_of(policy_subject("tiny", tiny_policy()), tasks=("pets",), harness=harness))


def test_no_task_and_an_endpoint_for_lm_eval_are_errors():
    subject, _ = scripted()
    with pytest.raises(ConfigError, match="needs `tasks`"):
        capability(task_of(subject))
    with pytest.raises(ConfigError, match="needs a causal language model of transformers"):
        capability(task_of(subject, tasks=("pets",)))


def score(value):
    return types.SimpleNamespace(value=value, answer="meow")


def fake_inspect(monkeypatch):
    class ModelAPI:
        def __init__(self, model_name):
            self.model_name = model_name

    kept = {}
    models = types.ModuleType("inspect_ai.model")
    models.ModelAPI = ModelAPI
    models.ModelOutput = types.SimpleNamespace(from_content=lambda name, text: text)
    models.modelapi = lambda name: lambda kind: kept.update({name: kind})
    models.get_model = lambda name, memoize: kept[name.split("/")[0]](name)

    def evaluate(tasks, *, model, limit, display, log_dir):
        message = types.SimpleNamespace(role="user", text="What does a cat say?")
        config = types.SimpleNamespace(temperature=None, max_tokens=None, seed=None)
        running = model.generate([message], [], None, config)
        with pytest.raises(StopIteration) as ended:
            running.send(None)
        right = "C" if ended.value.value == "meow" else "I"
        samples = [
            types.SimpleNamespace(id="cat", epoch=1, scores={"includes": score(right)}),
            types.SimpleNamespace(id="cow", epoch=1, scores={"includes": score("P"), "size": score(0.25)}),
            types.SimpleNamespace(id="fish", epoch=1, scores={"includes": score("?")}),
        ]
        named = types.SimpleNamespace(task="pets")
        return [
            types.SimpleNamespace(eval=named, samples=samples, status="success", error=None),
            types.SimpleNamespace(eval=named, samples=None, status="error", error="no file"),
        ]

    library = types.ModuleType("inspect_ai")
    library.eval = evaluate
    for module in (library, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_inspect_asks_the_subject_and_its_scores_become_items(monkeypatch):
    fake_inspect(monkeypatch)
    subject, writer = scripted()
    found = capability(task_of(subject, tasks=("pets.py@pets",), harness="inspect-ai", max_new_tokens=9))
    assert writer.asked == [(({"role": "user", "content": "What does a cat say?"},), 0.0, 9, 7)]
    assert [item.values for item in found.items] == [
        {"pets.includes": 1.0},
        {"pets.includes": 0.5, "pets.size": 0.25},
    ]
    assert found.skipped == {"samples without a score that is a number": 1}
    assert found.notes == ["pets ended as error: no file."]


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="the extra `harness` is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_task_of_the_users_own_runs_on_the_real_lm_eval(tmp_path):
    rows = [{"q": "Who says meow?", "c": ["the cat", "the cow"], "a": 0}] * 3
    (tmp_path / "pets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "pets.yaml").write_text(
        f"task: pets\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'pets.jsonl'}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{q}}'\ndoc_to_choice: '{{c}}'\n"
        "doc_to_target: a\nmetric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    found = capability(task_of(policy_subject("tiny", tiny_policy()), tasks=("pets",), include=str(tmp_path)))
    assert [set(item.values) for item in found.items] == [{"pets.acc"}] * 3
