"""Alarms: what trips them, what they leave untouched, and what follows from them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from tests.training.test_trainer import PROMPTS, StopAfter, make_trainer, python_path, steps, weights
from tropism.data.group_store import write_pairs
from tropism.errors import ConfigError
from tropism.policies.loading import add_lora
from tropism.records import Estimate, Probe
from tropism.references.cached import CachedReference
from tropism.references.weight_swap import KeptWeights
from tropism.testing import pairs, tiny_llama, tiny_policy
from tropism.training.loop.callbacks import JsonlLog
from tropism.training.loop.checkpoint import last_checkpoint
from tropism.training.recipe.composite import parse_composite
from tropism.training.recipe.recipe_file import parse_recipe
from tropism.training.recipe.sections import AlarmsRecipe, ProbeRecipe
from tropism.training.runs.run import run_recipe
from tropism.training.watch.alarms import ALARMS, PROBED, AlarmSettings, alarms_of
from tropism.training.watch.probe import Prober
from tropism.training.watch.watch_training import WatchTraining


def at(step, **values) -> Probe:
    """A probe whose intervals reach a tenth to both sides."""
    return Probe(step=step, metrics={k: Estimate(value=v, low=v - 0.1, high=v + 0.1, n=16) for k, v in values.items()})


def names(probes, settings=None) -> list[str]:
    on = AlarmsRecipe().settings() if settings is None else settings
    return [alarm.name for alarm in alarms_of(probes, on)]


START = at(0, pair_accuracy=0.5, margin=0.0, kl=0.0)


@pytest.mark.parametrize(
    ("name", "values", "near"),
    [
        ("displacement", {"winners_logp_change_per_token": -0.3}, {"winners_logp_change_per_token": -0.2}),
        ("length", {"length_ratio": 1.75}, {"length_ratio": 1.65}),
        ("length", {"length_ratio": 0.5}, {"length_ratio": 0.6}),
        ("kl", {"kl": 15.2}, {"kl": 15.05}),
        ("diversity", {"distinct_2_ratio": 0.7}, {"distinct_2_ratio": 0.8}),
        ("diversity", {"distinct_2_ratio": 1.2, "own_distinct_2_ratio": 0.7}, {"own_distinct_2_ratio": 0.8}),
        ("refusal", {"refusal_rise": 0.35}, {"refusal_rise": 0.25}),
        ("style", {"style_tdi_ratio": 1.4}, {"style_tdi_ratio": 1.3}),
    ],
)
def test_an_alarm_trips_where_the_whole_interval_is_beyond_the_threshold(name, values, near):
    assert names([START, at(10, **values)]) == [name]
    assert names([START, at(10, **near)]) == []
    assert names([START, at(10, **values)], {}) == []


def test_a_growing_margin_is_an_alarm_only_where_accuracy_stays():
    grown = [START, at(10, margin=4.0, pair_accuracy=0.8), at(20, margin=12.0, pair_accuracy=0.8)]
    assert names(grown) == ["margin"]
    (alarm,) = alarms_of(grown, AlarmsRecipe().settings())
    assert (alarm.step, alarm.value) == (20, 3.0)
    assert "3 times [2.98, 3.02; n = 16]" in alarm.sentence
    learning = [START, at(10, margin=4.0, pair_accuracy=0.8), at(20, margin=12.0, pair_accuracy=0.9)]
    assert names(learning) == []
    assert names([START, at(10, margin=0.5, pair_accuracy=0.8), at(20, margin=2.0, pair_accuracy=0.8)]) == []


def test_an_alarm_is_raised_once_with_its_numbers_and_a_remedy():
    probes = [START, at(10, kl=12.0), at(20, kl=50.0), at(30, kl=80.0)]
    (alarm,) = alarms_of(probes, AlarmsRecipe().settings())
    assert (alarm.name, alarm.step, alarm.value, alarm.threshold) == ("kl", 20, 50.0, 15.0)
    assert alarm.sentence.startswith("the model is 50 nats per answer [49.9, 50.1; n = 16] away from its start")
    assert alarm.remedy.startswith("Raise beta")
    assert alarms_of(probes[:3], AlarmsRecipe().settings()) == [alarm]


def test_a_threshold_of_ones_own_replaces_the_default():
    probes = [START, at(10, kl=20.0)]
    assert names(probes, {"kl": AlarmSettings(threshold=10)}) == ["kl"]
    assert names(probes, {"kl": AlarmSettings(threshold=20)}) == []


def test_every_alarm_is_a_key_of_the_recipe_and_reads_what_is_probed():
    assert set(AlarmsRecipe().settings()) == set(ALARMS)
    assert all(PROBED.values())


def test_a_composite_is_arithmetic():
    formula = parse_composite("2 * (pair_accuracy - 0.01 * kl) / -4 + 1", known=PROBED)
    assert formula.names == {"pair_accuracy", "kl"}
    assert formula.value({"pair_accuracy": 0.8, "kl": 20.0, "words": 3.0}) == pytest.approx(0.7)
    assert parse_composite("1 / kl", known=PROBED).value({"kl": 0.0}) == float("-inf")
    with pytest.raises(ConfigError, match=r"reads 'kl', which is not measured in this run\. Measured here: words"):
        parse_composite("kl", known=PROBED).value({"words": 1.0})


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('id')", "kl ** 9 ** 9", "kl if kl else 1", "kl.value", "[kl]", "'kl'", "True", "kl < 3",
     "kl; kl", "", "1j * kl", "(" * 300 + "kl" + ")" * 300, "kl" + " + kl" * 200, "lambda: kl", "{}[kl]", "f'{kl}'"],
)  # fmt: skip
def test_a_composite_runs_no_code(text):
    with pytest.raises(ConfigError, match=r"alarms\.choose"):
        parse_composite(text, known=PROBED)


def test_a_composite_names_the_nearest_monitor(tmp_path):
    with pytest.raises(ConfigError, match=r"reads 'pair_acuracy', which is unknown\. Did you mean 'pair_accuracy'\?"):
        parse_recipe(settings(tmp_path, {"choose": "pair_acuracy"}))


def prober(policy, **given) -> Prober:
    rendered, _ = policy.prepare(pairs([f"other {i}" for i in range(6)]))
    probe = ProbeRecipe(**{"max_new_tokens": 8, **given})
    return Prober(policy, groups=rendered, asked=rendered[:4], settings=probe, tokens_per_batch=None)


def test_the_start_comes_and_goes_bit_by_bit():
    policy = tiny_policy()
    start = KeptWeights(policy.model, on_cpu=True)
    before = {name: one.clone() for name, one in policy.model.state_dict().items()}
    for parameter in policy.model.parameters():
        parameter.data = torch.randn_like(parameter)
    after = {name: one.clone() for name, one in policy.model.state_dict().items()}
    with start.in_place():
        assert all(torch.equal(one, before[name]) for name, one in policy.model.state_dict().items())
    assert all(torch.equal(one, after[name]) for name, one in policy.model.state_dict().items())


def test_a_probe_equals_what_two_models_side_by_side_say():
    policy, start = tiny_policy(), tiny_policy()
    measure = prober(policy)
    assert measure.measure(0).metrics["kl"] == Estimate(value=0, low=0, high=0, n=4)
    moved = tiny_llama(seed=3).state_dict()
    policy.model.load_state_dict(moved)
    seen = measure.measure(7).metrics
    asked = list(measure.asked)
    rows = [row for (row,) in policy.sample(asked, temperature=1.0, max_new_tokens=8, seed=0)]
    groups = [policy.sampled_group(str(i), one, row) for i, (one, row) in enumerate(zip(asked, rows, strict=True))]
    sides = []
    for one in (policy, start):
        scores = CachedReference(one, keep=False)
        scores.prepare(groups)
        sides.append([scores.known[group.response_key(group.responses[0])] for group in groups])
    assert seen["kl"].value == pytest.approx(sum(a - b for a, b in zip(*sides, strict=True)) / 4, rel=1e-6)
    winners = [(group, group.responses[0]) for group in measure.groups]
    sides = []
    for one in (policy, start):
        scores = CachedReference(one, keep=False)
        scores.prepare(measure.groups)
        sides.append(sum(scores.known[group.response_key(response)] for group, response in winners))
    tokens = sum(response.num_scored for _, response in winners)
    assert seen["winners_logp_change_per_token"].value == pytest.approx((sides[0] - sides[1]) / tokens, rel=1e-6)
    assert seen.keys() <= PROBED.keys()
    assert all(torch.equal(one, moved[name]) for name, one in policy.model.state_dict().items())


class Probing(TrainerCallback):
    """Probes after every step."""

    def __init__(self, prober) -> None:
        self.prober = prober
        self.seen = []

    def on_train_begin(self, args, state, control, **kwargs):
        self.seen.append(self.prober.measure(0))

    def on_step_end(self, args, state, control, **kwargs):
        self.seen.append(self.prober.measure(state.global_step))


@pytest.mark.parametrize("kind", ["whole", "adapter with dropout", "recomputed"])
def test_probing_leaves_training_as_it_is_to_the_last_bit(tmp_path, kind):
    def policy():
        if kind != "adapter with dropout":
            return tiny_policy()
        torch.manual_seed(1)
        return tiny_policy(add_lora(tiny_llama(), {"r": 4, "alpha": 8, "dropout": 0.5, "targets": "all-linear"}))

    more = {"activation_checkpointing": True} if kind == "recomputed" else {}
    plain = make_trainer(tmp_path / "a", policy=policy(), loss={"dpo": {}}, **more)
    plain.train()
    probed = policy()
    probing = Probing(prober(probed))
    watched = make_trainer(tmp_path / "b", policy=probed, loss={"dpo": {}}, callbacks=[probing], **more)
    watched.train()
    assert steps(watched) == steps(plain)
    wanted, given = weights(plain), weights(watched)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)
    assert len(probing.seen) == 6
    assert probing.seen[-1].metrics["kl"].value > 0


def settings(folder: Path, alarms, **changes):
    """A recipe of ten steps of DPO that soon runs away."""
    if not (folder / "pairs.jsonl").exists():
        write_pairs(pairs([*PROMPTS, *(f"more {i}" for i in range(30))]), folder / "pairs.jsonl")
        tiny_policy().save(folder / "model")
    probe = {"prompts": 3, "groups": 4, "contents": 0, "max_new_tokens": 6, "every": 2}
    alarms = alarms if isinstance(alarms, bool) else {"probe": probe, **alarms}
    return {
        "model": str(folder / "model"),
        "data": {"train": str(folder / "pairs.jsonl"), "holdout": 0.3, "max_tokens": 128, "min_response_tokens": 4},
        "loss": {"dpo": {"beta": 0.01}},
        "train": {"per_device_train_batch_size": 4, "learning_rate": 1e-2, "max_steps": 10, "use_cpu": True,
                  "lr_scheduler_type": "constant", "save_steps": 3},
        "evaluation": {"prompts": 2, "max_new_tokens": 6},
        "alarms": alarms,
        "output": str(folder / "run"),
        **changes,
    }  # fmt: skip


def lines(run) -> list[dict]:
    return [json.loads(line) for line in (Path(run) / "dpo" / "log.jsonl").read_text().splitlines()]


def test_a_run_that_runs_away_is_announced_logged_and_recorded(tmp_path, capsys):
    run = run_recipe(parse_recipe(settings(tmp_path, {})), command="test")
    (stage,) = run.stages
    assert [alarm.name for alarm in stage.alarms] == ["margin"]
    assert [probe.step for probe in stage.probes] == [0, 2, 4, 6, 8, 10]
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("Alarm 'margin' at step 6") == 1
    assert "Train for fewer steps" in said
    logged = lines(run.recipe["output"])
    assert [line["step"] for line in logged if "probe_kl" in line] == [0, 2, 4, 6, 8, 10]
    assert {"probe_kl_low", "probe_kl_high", "probe_kl_n"} <= logged[0].keys()
    assert sum("alarm_margin" in line for line in logged) == 1
    assert stage.chosen_step is None


def test_alarms_that_are_off_cost_nothing(tmp_path):
    run = run_recipe(parse_recipe(settings(tmp_path, False)), command="test")
    assert run.stages[0].probes == []
    assert not any("probe_kl" in line for line in lines(tmp_path / "run"))
    with pytest.raises(ConfigError, match="alarms that are off take no other settings"):
        parse_recipe(settings(tmp_path, {"on": False}))


def test_an_alarm_may_stop_the_stage_which_is_evaluated_on_what_no_probe_saw(tmp_path):
    stop = settings(tmp_path, {"margin": {"stop": True}})
    run = run_recipe(parse_recipe(stop), command="test")
    (stage,) = run.stages
    (alarm,) = stage.alarms
    assert (alarm.name, stage.steps) == ("margin", alarm.step)
    assert alarm.step < 10
    assert (tmp_path / "run" / "dpo" / f"checkpoint-{alarm.step}").is_dir()
    assert run.evaluation is not None
    assert run.split["groups held out for the probes that decide"] == 4
    assert run.evaluation["preference.pair_accuracy"].n == run.split["groups held out"]


def test_the_state_with_the_best_composite_becomes_the_model(tmp_path):
    chosen = parse_recipe(settings(tmp_path, {"choose": "-(winners_logp_change + 3) * (winners_logp_change + 3)"}))
    run = run_recipe(chosen, command="test")
    (stage,) = run.stages
    values = {p.step: -((p.metrics["winners_logp_change"].value + 3) ** 2) for p in stage.probes if p.step}
    best = max(values, key=values.get)
    assert best < 10, "the test needs a composite whose best is not the last"
    assert stage.chosen_step == best
    short = settings(tmp_path, False, output=str(tmp_path / "short"))
    short["train"]["max_steps"] = best
    assert not list((tmp_path / "run" / "dpo").glob("chosen-*"))
    again = run_recipe(parse_recipe(short), command="test")
    from safetensors.torch import load_file

    mine, theirs = (load_file(f"{one}/model.safetensors") for one in (stage.model, again.stages[0].model))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_a_resumed_stage_has_the_alarms_of_one_that_never_stopped(tmp_path):
    watches = []
    for name, callbacks in (("straight", []), ("broken", [StopAfter(2)]), ("broken", [])):
        policy = tiny_policy()
        alarms = AlarmsRecipe(probe=ProbeRecipe(every=1), displacement=AlarmSettings(threshold=-1e-4), choose="-kl")
        log = JsonlLog(tmp_path / name / "log.jsonl")
        watch = WatchTraining(prober(policy), alarms, folder=tmp_path / name, log=log)
        trainer = make_trainer(
            tmp_path / name, policy=policy, loss={"dpo": {"beta": 0.01}}, callbacks=[log, watch, *callbacks],
            save_strategy="steps", save_steps=2, learning_rate=1e-2,
        )  # fmt: skip
        trainer.train(
            resume_from_checkpoint=str(checkpoint) if (checkpoint := last_checkpoint(tmp_path / name)) else None
        )
        watches.append(watch)
    straight, broken, resumed = watches
    assert [probe.step for probe in broken.probes] == [0, 1, 2]
    assert resumed.probes == straight.probes
    assert resumed.alarms == straight.alarms != []
    assert resumed.chosen_step() == straight.chosen_step() is not None


def test_one_of_two_processes_probes_and_both_stop(tmp_path):
    script = Path(__file__).parent / "two_processes_watched.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29641", str(script)]
    done = subprocess.run(
        [*command, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert first == {"step": 2, "alarms": ["displacement"]}
    assert second == {"step": 2, "alarms": []}
    assert len((tmp_path / "probes.jsonl").read_text().splitlines()) == 3
