"""A loss, an alarm, an eval and a reference from a user's file, by public names alone, in one recipe and suite."""

from pathlib import Path

import pytest
import yaml

from tropism.data.group_store import write_groups
from tropism.errors import ConfigError
from tropism.evals.core.items import Task
from tropism.evals.core.suite import load_suite
from tropism.testing import pairs, tiny_policy
from tropism.training.recipe.recipe_file import load_recipe
from tropism.training.runs.run import run_recipe

OWN = '''
from tropism.evals.core.items import Eval, Item, Measured, Settings
from tropism.losses import Positive, preference_loss
from tropism.losses.links import logistic
from tropism.losses.shaping import log_ratio_margin
from tropism.records import EvalWords, Measure
from tropism.references.cached import CachedReference
from tropism.references.reference import ReferenceSettings
from tropism.scores import Feedback, ResponseScores, Terms
from tropism.training.watch import AlarmRule, AlarmSettings, last_metric


@preference_loss(family="pairwise", needs={"edges", "reference"}, honours={"prob"})
def focal(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, gamma: Positive = 2.0) -> Terms:
    """Comparisons that are already ordered count less."""
    margin = beta * log_ratio_margin(scores, feedback)
    terms = logistic(margin, feedback)
    return Terms(terms.value * (1 - margin.sigmoid()) ** gamma, terms.weight)


class QuietSettings(AlarmSettings):
    only_after: int = 0


def words_later(probes, settings):
    return probes[-1].metrics.get("words") if probes[-1].step > settings.only_after else None


quiet = AlarmRule(words_later, ("words",), "below", 1e6, "answers have {value} words", "Ask more.", QuietSettings)


class EverSettings(Settings):
    scale: float = 1.0


def measure(task):
    scale = task.settings_as(EverSettings).scale
    return Measured(items=[Item("one", "one", {"size": scale})])


ever = Eval(
    measure, EverSettings, words=EvalWords(title="Ever"), measures={"size": Measure(label="size", better="higher")},
    needs=frozenset({"groups"}),
)


class StartSettings(ReferenceSettings):
    note: str = "none"


class Start(CachedReference):
    settings_type = StartSettings
'''


def recipe_of(tmp_path, **changes):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    own = f"{tmp_path}/own.py"
    tiny_policy().save(tmp_path / "model")
    write_groups(pairs([f"prompt number {i}" for i in range(12)]), tmp_path / "groups.parquet")
    settings = {
        "model": str(tmp_path / "model"),
        "data": {"train": str(tmp_path / "groups.parquet"), "holdout": 0.3, "max_tokens": 64, "min_response_tokens": 4},
        "loss": {f"{own}:focal": {"gamma": 1.5}},
        "reference": {"kind": f"{own}:Start", "note": "mine"},
        "alarms": {"probe": {"max_new_tokens": 4, "contents": 0}, f"{own}:quiet": {"threshold": 100, "only_after": 1}},
        "train": {"max_steps": 3, "per_device_train_batch_size": 2, "save_steps": 1, "learning_rate": 1e-3},
        "evaluation": {"prompts": 0},
        "output": str(tmp_path / "run"),
        **changes,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def test_one_file_adds_a_loss_an_alarm_a_reference_and_an_eval(tmp_path):
    before = source_state()
    run = run_recipe(load_recipe(recipe_of(tmp_path)), command="test")
    (stage,) = run.stages
    assert stage.name == "focal"
    # at the start policy equals reference: log 2 times (1 - 1/2) to the power of 1.5
    assert stage.first_loss == pytest.approx(0.6931472 * 0.5**1.5, abs=1e-4)
    assert stage.reference == "cached"
    own = [alarm for alarm in stage.alarms if alarm.name.endswith(":quiet")]
    assert [alarm.step for alarm in own] == [2]  # not at step 1, which its own setting excludes
    assert own[0].threshold == 100
    (tmp_path / "suite.yaml").write_text(f"evals:\n- {tmp_path}/own.py:ever: {{scale: 2.5}}\n", encoding="utf-8")
    (one,) = load_suite(str(tmp_path / "suite.yaml")).evals
    assert one.eval.words.title == "Ever"
    assert one.eval.measures["size"].better == "higher"
    task = Task.__new__(Task)
    object.__setattr__(task, "settings", one.settings)
    assert one.eval.function(task).items[0].values == {"size": 2.5}
    assert source_state() == before


def test_own_components_are_checked_as_the_built_in_ones_are(tmp_path):
    own = f"{tmp_path}/own.py"
    with pytest.raises(ConfigError, match=r"focal\.gamma must be greater than 0, got -1"):
        run_recipe(load_recipe(recipe_of(tmp_path, loss={f"{own}:focal": {"gamma": -1}})), command="test")
    with pytest.raises(ConfigError, match=r"takes on, threshold, stop, only_after; loud: Extra inputs"):
        load_recipe(recipe_of(tmp_path, alarms={f"{own}:quiet": {"loud": 1}}))
    with pytest.raises(ConfigError, match="speed"):
        load_recipe(recipe_of(tmp_path, reference={"kind": f"{own}:Start", "speed": 1}))
    with pytest.raises(ConfigError, match="must be an AlarmRule, got Loss"):
        load_recipe(recipe_of(tmp_path, alarms={f"{own}:focal": True}))
    assert load_recipe(recipe_of(tmp_path), ["loss.own.py:focal.gamma=3"]).loss["own.py:focal"] == {"gamma": 3}


def source_state():
    root = Path(__file__).parents[1] / "src"
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.py")}
