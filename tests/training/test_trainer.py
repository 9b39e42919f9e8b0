"""The trainer's contract: one gradient however a step is cut, resume equals straight, the reference is the start."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback, TrainingArguments

from tropism.errors import DataError, OutputError, ReferenceMismatchError
from tropism.losses import make_mixture
from tropism.references.adapter import AdapterReference
from tropism.references.cached import CachedReference
from tropism.references.reference import NoReference
from tropism.testing import pairs, tiny_llama, tiny_policy
from tropism.training.loop.callbacks import JsonlLog, StopOnInterrupt
from tropism.training.loop.checkpoint import last_checkpoint
from tropism.training.loop.steps import StepSampler
from tropism.training.loop.trainer import PreferenceTrainer

PROMPTS = [f"question {i} {'x' * (5 * i % 13)}" for i in range(18)]


def python_path() -> str:
    """Where another process finds these tests and the package that they test."""
    root = Path(__file__).parents[2]
    return os.pathsep.join([str(root), str(root / "src")])


def make_trainer(
    folder: Path,
    *,
    batch=4,
    accumulation=2,
    loss=None,
    policy=None,
    reference=None,
    callbacks=(),
    groups=None,
    tokens_per_batch=4096,
    **settings,
) -> PreferenceTrainer:
    policy = policy or tiny_policy()
    rendered, _ = policy.prepare(groups or pairs(PROMPTS))
    losses = make_mixture(loss or {"dpo": {"beta": 0.1}, "nll": {"weight": 0.5}})
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        **{
            "learning_rate": 1e-3,
            "max_steps": 5,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "seed": 0,
            **settings,
        },
    )
    reference = reference or CachedReference(policy)
    return PreferenceTrainer(
        policy, losses, reference, args, train_groups=rendered, eval_groups=rendered[:5], callbacks=callbacks,
        tokens_per_batch=tokens_per_batch,
    )  # fmt: skip


def steps(trainer: PreferenceTrainer) -> list[tuple[float, float]]:
    return [(line["loss"], line["grad_norm"]) for line in trainer.state.log_history if "loss" in line]


def weights(trainer: PreferenceTrainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.policy.model.state_dict().items()}


@pytest.mark.parametrize("layout", ["forest", "padded"])
@pytest.mark.parametrize(("batch", "accumulation", "tokens"), [(4, 2, 300), (2, 4, 150), (1, 8, 110)])
def test_the_gradient_does_not_depend_on_the_cut_into_micro_batches(tmp_path, batch, accumulation, tokens, layout):
    policies = [tiny_policy(layout=layout) for _ in range(2)]
    whole = make_trainer(tmp_path / "a", batch=8, accumulation=1, policy=policies[0])
    settings = {"batch": batch, "accumulation": accumulation, "tokens_per_batch": tokens}
    cut = make_trainer(tmp_path / "b", policy=policies[1], **settings)
    whole.train()
    cut.train()
    assert len(cut._collate(cut.train_dataset[:8])) > len(whole._collate(whole.train_dataset[:8])) == 1
    for mine, theirs in zip(steps(cut), steps(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=2e-5)


def test_two_processes_follow_the_same_gradient_as_one(tmp_path):
    alone = make_trainer(tmp_path / "alone", batch=8, accumulation=1)
    alone.train()
    script = Path(__file__).parent / "two_processes.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29617", str(script)]
    done = subprocess.run(
        [*command, str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads((tmp_path / "two" / "steps.json").read_text())
    for mine, theirs in zip(two, steps(alone), strict=True):
        assert mine == pytest.approx(theirs, rel=2e-5)


def test_first_dpo_loss_is_log2_and_the_reference_is_the_start(tmp_path):
    trainer = make_trainer(tmp_path, loss={"dpo": {"beta": 0.3}})
    trainer.train()
    assert steps(trainer)[0][0] == pytest.approx(math.log(2), abs=1e-6)
    assert trainer.step_zero_gap is not None
    assert trainer.step_zero_gap <= 1e-3


def test_first_ipo_loss_is_its_value_at_zero_log_ratio(tmp_path):
    trainer = make_trainer(tmp_path, loss={"ipo": {"tau": 0.5}})
    trainer.train()
    assert steps(trainer)[0][0] == pytest.approx(1.0, rel=1e-4)


def test_another_reference_than_the_start_is_refused(tmp_path):
    policy = tiny_policy(tiny_llama(seed=1))
    trainer = make_trainer(tmp_path, policy=policy, reference=CachedReference(tiny_policy(tiny_llama(seed=2))))
    with pytest.raises(ReferenceMismatchError, match=r"a log-ratio at step 0 is .* nats \(at most 0.001"):
        trainer.train()


def test_the_reference_stays_the_start_state_while_the_policy_moves(tmp_path):
    trainer = make_trainer(tmp_path, loss={"dpo": {}})
    trainer.train()
    assert steps(trainer)[-1][0] < math.log(2) - 0.05
    assert trainer.state.log_history[-2]["winners_logp_change"] > 0.1


@pytest.mark.parametrize("strategy", ["middle of an epoch", "end of an epoch"])
def test_resume_gives_the_same_bits_as_an_uninterrupted_run(tmp_path, strategy):
    save = {"save_strategy": "steps", "save_steps": 2 if strategy == "middle of an epoch" else 3, "max_steps": 7}
    straight = make_trainer(tmp_path / "straight", **save)
    straight.train()
    broken = make_trainer(tmp_path / "broken", callbacks=[StopAfter(save["save_steps"])], **save)
    broken.train()
    assert broken.state.global_step < 7
    resumed = make_trainer(tmp_path / "broken", **save)
    resumed.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "broken")))
    assert resumed.state.global_step == 7
    wanted, given = weights(straight), weights(resumed)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)


class StopAfter(TrainerCallback):
    """Ends training after a step, as a kill would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_save(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


def test_ctrl_c_keeps_a_checkpoint_and_resume_gives_the_same_bits(tmp_path):
    class PressCtrlC(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    straight = make_trainer(tmp_path / "straight")
    straight.train()
    interrupt = StopOnInterrupt()
    broken = make_trainer(tmp_path / "broken", callbacks=[PressCtrlC(), interrupt])
    broken.train()
    interrupt.close()
    assert interrupt.interrupted_at == 3
    checkpoint = last_checkpoint(tmp_path / "broken")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-3"
    resumed = make_trainer(tmp_path / "broken")
    resumed.train(resume_from_checkpoint=str(checkpoint))
    wanted, given = weights(straight), weights(resumed)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)


def test_a_checkpoint_cut_short_or_of_the_last_step_is_not_the_one_to_go_on_from(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text('{"global_step": 2, "max_steps": 12}')
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-12").mkdir()
    (tmp_path / "checkpoint-12" / "trainer_state.json").write_text('{"global_step": 12, "max_steps": 12}')
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_a_failed_checkpoint_leaves_nothing_behind(tmp_path, monkeypatch):
    trainer = make_trainer(tmp_path, save_strategy="steps", save_steps=2)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(OutputError, match=r"No space left on device.*Free some space, then start again"):
        trainer.train()
    assert list(tmp_path.glob("checkpoint-*")) == []


def test_the_log_holds_every_step_once_across_a_resume(tmp_path):
    save = {"save_strategy": "steps", "save_steps": 2}
    log = JsonlLog(tmp_path / "log.jsonl")
    make_trainer(tmp_path, callbacks=[StopAfter(2), log], **save).train()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 1.0}\n{"step": 4, "lo')
    trainer = make_trainer(tmp_path, callbacks=[JsonlLog(tmp_path / "log.jsonl")], **save)
    trainer.train(resume_from_checkpoint=str(last_checkpoint(tmp_path)))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    wanted = {"loss", "pair_accuracy", "margin", "winners_logp", "losers_logp", "winners_logp_change", "reference_gap"}
    assert wanted | {"winner_length", "loser_length", "grad_norm", "tokens_per_second"} <= lines[-1].keys()


def test_monitors_equal_hand_worked_values():
    from tropism.scores import ResponseScores
    from tropism.training.loop.monitors import Monitors

    policy = tiny_policy()
    rendered, _ = policy.prepare(pairs(["a", "b"]))
    (batch,) = policy.collate(rendered, tokens_per_batch=4096)
    scores = ResponseScores(
        torch.tensor([-1.0, -5.0, -4.0, -2.0], dtype=torch.float64),
        torch.tensor([-2.0, -3.0, -4.0, -3.0], dtype=torch.float64),
        torch.tensor([4, 2, 4, 2]),
    )
    monitors = Monitors()
    monitors.add(scores, batch.feedback, num_tokens=24)
    means = monitors.drain()
    # log-ratios 1, -2, 0, 1: margins 3 and -1
    assert means["margin"] == 1.0
    assert means["pair_accuracy"] == 0.5
    assert (means["winners_logp"], means["losers_logp"]) == (-2.5, -3.5)
    assert (means["winners_logp_change"], means["losers_logp_change"]) == (0.5, -0.5)
    assert means["reference_gap"] == 0.0
    assert (means["winner_length"], means["loser_length"]) == (4.0, 2.0)
    assert means["logp_per_token"] == -1.0


def test_evaluate_gives_the_loss_of_the_held_out_groups(tmp_path):
    log = JsonlLog(tmp_path / "log.jsonl")
    trainer = make_trainer(tmp_path, loss={"dpo": {}}, eval_strategy="steps", eval_steps=5, callbacks=[log])
    trainer.train()
    line = next(line for line in trainer.state.log_history if "eval_loss" in line)
    kept = [json.loads(one) for one in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [one["eval_loss"] for one in kept if "eval_loss" in one] == [line["eval_loss"]]
    assert 0 < line["eval_loss"] < math.log(2)
    assert line["eval_pair_accuracy"] == 1.0


def test_an_adapter_is_its_own_reference_when_switched_off(tmp_path):
    from tropism.policies.loading import add_lora

    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"}
    cached, switched = (tiny_policy(add_lora(tiny_llama(), lora)) for _ in range(2))
    for one in (cached, switched):
        torch.manual_seed(3)
        for name, parameter in one.model.named_parameters():
            if "lora_A" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    first = make_trainer(tmp_path / "a", policy=cached, loss={"dpo": {}})
    second = make_trainer(tmp_path / "b", policy=switched, loss={"dpo": {}}, reference=AdapterReference(switched))
    first.train()
    second.train()
    assert steps(first)[0][0] == pytest.approx(math.log(2), abs=1e-6)
    for mine, theirs in zip(steps(second), steps(first), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    assert second.reference.tokens_scored > 0


def test_the_dropout_of_an_adapter_works_in_training_and_not_in_scoring(tmp_path):
    from tropism.policies.loading import add_lora

    lora = {"r": 4, "alpha": 8, "dropout": 0.5, "targets": "all-linear"}
    policy = tiny_policy(add_lora(tiny_llama(), lora))
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    groups, _ = policy.prepare(pairs(["abc"]))
    (batch,) = policy.collate(groups, tokens_per_batch=4096)
    policy.model.train()
    noisy = [policy.score(policy.model, batch).policy for _ in range(2)]
    assert not torch.equal(*noisy)
    policy.model.eval()
    assert torch.equal(*[policy.score(policy.model, batch).policy for _ in range(2)])
    make_trainer(tmp_path, policy=policy, loss={"dpo": {}}).train()


def test_an_adapter_of_another_scale_has_another_fingerprint():
    from tropism.policies.loading import add_lora

    prints = []
    for alpha in (8, 16, 16):
        model = add_lora(tiny_llama(), {"r": 4, "alpha": alpha, "dropout": 0.0, "targets": "all-linear"})
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.constant_(parameter, 0.1)
        prints.append(tiny_policy(model).fingerprint())
    assert prints[0] != prints[1] == prints[2]


def test_an_adapter_reference_without_an_adapter_is_an_error():
    with pytest.raises(ValueError, match=r"but the model has none\. Set `lora: \{r: 16\}`"):
        AdapterReference(tiny_policy())


def test_a_pairwise_loss_without_pairs_is_an_error(tmp_path):
    from tropism.groups import PreferenceGroup, Response

    bare = [PreferenceGroup("a", ("Q",), (Response("r", "x"),))]
    with pytest.raises(DataError, match="none of the 1 groups holds pairs for dpo"):
        make_trainer(tmp_path, loss={"dpo": {}}, groups=bare)


def test_a_loss_that_is_not_finite_stops_and_names_groups(tmp_path):
    policy = tiny_policy()
    trainer = make_trainer(tmp_path, policy=policy, loss={"nll": {}}, reference=NoReference())
    with torch.no_grad():
        policy.model.lm_head.weight[0] = math.nan
    with pytest.raises(DataError, match=r"the loss of step 1 is nan, on groups p\d+.*Lower train.learning_rate"):
        trainer.train()


def test_sft_computes_only_the_winners(tmp_path):
    trainer = make_trainer(tmp_path, loss={"nll": {}}, reference=NoReference())
    assert {len(group.responses) for group in trainer.train_dataset} == {1}


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_group_is_seen_once_in_an_epoch_by_one_process(world):
    samplers = [StepSampler(17, groups_per_step=2, rank=rank, world=world, seed=3) for rank in range(world)]
    assert len({len(sampler) for sampler in samplers}) == 1
    assert len({len(list(sampler)) for sampler in samplers}) == 1
    seen = [index for sampler in samplers for step in sampler for index in step]
    assert sorted(seen) == list(range(17))
    before = list(samplers[0])
    samplers[0].set_epoch(1)
    assert list(samplers[0]) != before


def test_twenty_steps_on_real_weights_and_texts_follow_the_padded_layout(tmp_path, real_data):
    from tropism.data.formats import Source, load
    from tropism.policies.text import TextPolicy

    groups = load([Source(str(real_data / "data" / "hh_harmless.jsonl"))]).groups[:160]
    curves = []
    for layout in ("forest", "padded"):
        path = real_data / "models" / "stories260K"
        policy = TextPolicy.from_pretrained(path, max_tokens=256, min_response_tokens=8, layout=layout)
        trainer = make_trainer(
            tmp_path / layout, policy=policy, groups=groups, loss={"dpo": {"beta": 0.1}}, max_steps=20,
            learning_rate=1e-4, tokens_per_batch=None,
        )  # fmt: skip
        trainer.train()
        curves.append([loss for loss, _ in steps(trainer)])
        if layout == "forest":
            assert trainer.tokens_computed == trainer.tokens_distinct
    assert max(curves[0]) - min(curves[0]) > 0.005  # it went somewhere
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


def test_a_group_that_no_micro_batch_holds_is_found_before_the_first_step(tmp_path):
    with pytest.raises(DataError, match=r"needs \d+ tokens in one micro-batch, and tokens_per_batch is 20"):
        make_trainer(tmp_path, tokens_per_batch=20)


MIXED = ["aot", "aot_unpaired", "bco", "beta_dpo", "kto", "wpo", "ld_dpo", "plackett_luce", "softmax_dpo", "orpo"]


def with_all_feedback(prompts):
    """Groups of three answers with pairs, a ranking and labels."""
    from tropism.groups import Edge, Label, PreferenceGroup, Response

    groups = []
    for number, prompt in enumerate(prompts):
        texts = (f" {prompt}!", f" {prompt[::-1]} or so", " no")
        answers = tuple(Response(str(i), text, rank=i) for i, text in enumerate(texts))
        edges, labels = (Edge(0, 1), Edge(0, 2)), (Label(0, True), Label(number % 2 + 1, False))
        groups.append(PreferenceGroup(f"p{number}", (prompt,), answers, edges, labels))
    return groups


@pytest.mark.parametrize("name", MIXED)
def test_losses_of_a_whole_step_do_not_depend_on_the_cut_either(tmp_path, name):
    groups = with_all_feedback(PROMPTS)
    settings = {"loss": {name: {}}, "groups": groups, "max_steps": 3, "learning_rate": 1e-2}
    whole = make_trainer(tmp_path / "a", batch=8, accumulation=1, **settings)
    cut = make_trainer(tmp_path / "b", batch=8, accumulation=1, tokens_per_batch=220, **settings)
    whole.train()
    cut.train()
    assert len(cut._collate(cut.train_dataset[:8])) > len(whole._collate(whole.train_dataset[:8])) == 1
    for mine, theirs in zip(steps(cut), steps(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=5e-5)
    assert steps(whole)[0] != steps(whole)[1]
    assert math.isfinite(whole.evaluate()["eval_loss"])


def test_kto_compares_with_the_answers_of_strangers_and_caches_them(tmp_path):
    first = make_trainer(tmp_path / "a", loss={"kto": {}}, groups=with_all_feedback(PROMPTS))
    assert all(len(group.baselines) == 1 for group in first.train_dataset)
    first.train()
    assert steps(first)[0][0] == pytest.approx(0.5, abs=1e-5)
    again = make_trainer(tmp_path / "b", loss={"kto": {"beta": 0.5}}, groups=with_all_feedback(PROMPTS))
    again.train()
    assert again.reference.tokens_scored == 0


def test_running_means_survive_a_resume(tmp_path):
    save = {"save_strategy": "steps", "save_steps": 2, "max_steps": 5, "loss": {"bco": {}}, "learning_rate": 1e-2}
    straight = make_trainer(tmp_path / "straight", **save)
    straight.train()
    make_trainer(tmp_path / "broken", callbacks=[StopAfter(2)], **save).train()
    resumed = make_trainer(tmp_path / "broken", **save)
    resumed.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "broken")))
    assert resumed.running == straight.running != {}
    wanted, given = weights(straight), weights(resumed)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)


def test_margins_that_a_loss_would_ignore_are_refused(tmp_path):
    import dataclasses

    from tropism.groups import Edge

    groups = [dataclasses.replace(group, edges=(Edge(0, 1, margin=0.5),)) for group in pairs(PROMPTS)]
    with pytest.raises(DataError, match=r"loss 'ipo' has no place for an edge's margin, and one of group p\d+ is 0.5"):
        make_trainer(tmp_path, loss={"ipo": {}}, groups=groups)
    make_trainer(tmp_path, loss={"dpo": {}}, groups=groups).train()


@pytest.mark.parametrize(("loss", "what"), [("kto", "labels"), ("plackett_luce", "rankings"), ("simpo", "pairs")])
def test_data_without_what_a_loss_needs_is_an_error(tmp_path, loss, what):
    from tropism.groups import PreferenceGroup, Response

    bare = [PreferenceGroup("a", ("Q",), (Response("r", "x"),))]
    with pytest.raises(DataError, match=f"none of the 1 groups holds {what} for {loss}"):
        make_trainer(tmp_path, loss={loss: {}}, groups=bare)


def test_policy_and_reference_share_the_lower_precision(tmp_path):
    trainer = make_trainer(tmp_path, loss={"dpo": {}}, bf16=True)
    trainer.train()
    assert trainer.step_zero_gap is not None
    assert 0 <= trainer.step_zero_gap < 1e-2  # against float32 scores it would be some hundredths of a nat
    assert steps(trainer)[0][0] == pytest.approx(math.log(2), abs=2e-3)


def test_a_stranger_that_makes_a_group_too_large_is_found_before_the_first_step(tmp_path):
    from tropism.groups import Label, PreferenceGroup, Response

    groups = [
        PreferenceGroup(f"p{i}", (prompt,), (Response("a", f" {prompt}!" * 2),), labels=(Label(0, i % 2 == 0),))
        for i, prompt in enumerate(PROMPTS)
    ]
    with pytest.raises(DataError, match=r"tokens in one micro-batch, and tokens_per_batch is 90"):
        make_trainer(tmp_path, loss={"kto": {}}, groups=groups, tokens_per_batch=90)
    make_trainer(tmp_path, loss={"kto": {}}, groups=groups, tokens_per_batch=None).train()


def test_a_step_without_edges_leaves_running_means_alone(tmp_path):
    from tropism.groups import Label, PreferenceGroup, Response

    labelled = [
        PreferenceGroup(f"l{i}", (prompt,), (Response("a", " x"),), labels=(Label(0, True),))
        for i, prompt in enumerate(PROMPTS[:9])
    ]
    for name in ("bco", "beta_dpo"):
        trainer = make_trainer(
            tmp_path / name, loss={name: {}, "nll": {}}, groups=[*pairs(PROMPTS[9:]), *labelled], batch=1,
            accumulation=1, max_steps=12,
        )  # fmt: skip
        trainer.train()
        assert all(math.isfinite(value) for value in trainer.running.values())


def test_lipo_moves_from_the_start_and_keeps_groups_whole(tmp_path):
    trainer = make_trainer(tmp_path, loss={"lipo_lambda": {}}, groups=with_all_feedback(PROMPTS), learning_rate=1e-2)
    assert all(group.is_whole for group in trainer.train_dataset)
    trainer.train()
    assert steps(trainer)[0][1] > 0
