"""The reference cache: reused where nothing that matters changed, missed where something did."""

import sqlite3
import subprocess
import sys

import pytest
import torch

from tropism.errors import OutputError
from tropism.references.cached import CachedReference
from tropism.references.score_cache import default_folder
from tropism.testing import pairs, tiny_llama, tiny_policy


def prepared(policy, prompts, **settings) -> CachedReference:
    groups, _ = policy.prepare(pairs(prompts))
    reference = CachedReference(policy, **settings)
    reference.prepare(groups)
    return reference


def test_a_second_run_scores_nothing_and_gets_the_same_bits():
    first = prepared(tiny_policy(), ["one", "two"])
    second = prepared(tiny_policy(), ["two", "one"])
    assert first.tokens_scored > 0
    assert second.tokens_scored == 0
    assert first.known == second.known


def test_added_rows_score_only_those():
    prepared(tiny_policy(), ["one", "two"])
    more = prepared(tiny_policy(), ["one", "two", "three"])
    alone = prepared(tiny_policy(), ["three"], keep=False)
    assert more.tokens_scored == alone.tokens_scored > 0


def test_a_changed_weight_misses():
    prepared(tiny_policy(), ["one"])
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[0] += 1e-6
    assert prepared(tiny_policy(model), ["one"]).tokens_scored > 0


def test_a_changed_template_misses():
    prepared(tiny_policy(), ["one"])
    assert prepared(tiny_policy(template="chat"), ["one"]).tokens_scored > 0


def test_another_autocast_precision_misses():
    prepared(tiny_policy(), ["one"])
    with torch.autocast("cpu", torch.bfloat16):
        lower = prepared(tiny_policy(), ["one"])
    assert lower.tokens_scored > 0
    assert lower.path.name.endswith("-bfloat16.sqlite")


def test_equal_responses_are_scored_once():
    policy = tiny_policy()
    groups, _ = policy.prepare([*pairs(["one"]), *pairs(["one"])])
    reference = CachedReference(policy)
    reference.prepare(groups)
    assert len(reference.known) == 2


def test_attached_scores_equal_the_policy_at_its_start():
    policy = tiny_policy()
    groups, _ = policy.prepare(pairs(["one", "a longer prompt"]))
    reference = CachedReference(policy)
    reference.prepare(groups)
    for batch in policy.collate(groups, tokens_per_batch=4096):
        scores = policy.score(policy.model, reference.attach(batch, policy.model))
        torch.testing.assert_close(scores.policy, scores.reference, rtol=0, atol=1e-4)


def test_the_cache_keeps_log_probabilities_of_every_token():
    policy = tiny_policy()
    reference = prepared(policy, ["one"])
    groups, _ = policy.prepare(pairs(["one"]))
    rows = dict(sqlite3.connect(reference.path).execute("SELECT key, token_logp FROM scores"))
    for response in groups[0].responses:
        assert len(rows[groups[0].response_key(response)]) == 4 * len(response.ids)


def test_a_cache_that_cannot_be_written_is_a_plain_error(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OutputError, match=r"cannot be written.*Set TROPISM_CACHE to a folder that can"):
        prepared(tiny_policy(), ["one"], folder=blocker / "cache")


def test_the_cache_is_where_the_user_says(tmp_path):
    assert default_folder() == tmp_path / "cache" / "reference"


def test_processes_that_open_a_new_cache_at_once_do_not_trip_each_other(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tropism.references.score_cache import open_cache\n"
        "for i in range(40):\n"
        "    path = Path(sys.argv[1]) / f'{i}.sqlite'\n"
        "    time.sleep(0.05 - time.time() % 0.05)\n"
        "    with open_cache(path) as cache, cache: cache.execute('INSERT OR IGNORE INTO scores VALUES (1, 2, 3)')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors


def test_ten_percent_more_rows_score_only_those_and_another_beta_scores_none(tmp_path):
    from tests.training.test_trainer import make_trainer

    prompts = [f"question {i} {'x' * (5 * i % 13)}" for i in range(20)]
    first = make_trainer(tmp_path / "a", groups=pairs(prompts), loss={"dpo": {"beta": 0.1}})
    first.train()
    again = make_trainer(tmp_path / "b", groups=pairs(prompts), loss={"dpo": {"beta": 0.5}}, learning_rate=1e-4, seed=7)
    again.train()
    assert first.reference.tokens_scored > 0
    assert again.reference.tokens_scored == 0
    more = make_trainer(tmp_path / "c", groups=pairs([*prompts, "new one", "new two"]))
    more.train()
    alone = prepared(tiny_policy(), ["new one", "new two"], keep=False)
    assert more.reference.tokens_scored == alone.tokens_scored > 0


@pytest.mark.parametrize("fault", ["checksum", "length", "not a number"])
def test_a_row_that_is_broken_is_scored_again(fault):
    import zlib
    from array import array

    first = prepared(tiny_policy(), ["one", "two"])
    with sqlite3.connect(first.path) as cache:
        key, blob = cache.execute("SELECT key, token_logp FROM scores").fetchone()
        blob = {
            "checksum": blob[:-1] + bytes([blob[-1] ^ 1]),
            "length": blob[:-4],
            "not a number": array("f", [float("nan")] * (len(blob) // 4)).tobytes(),
        }[fault]
        crc = 7 if fault == "checksum" else zlib.crc32(blob)
        cache.execute("UPDATE scores SET token_logp = ?, crc = ? WHERE key = ?", (blob, crc, key))
    second = prepared(tiny_policy(), ["one", "two"])
    assert 0 < second.tokens_scored < first.tokens_scored
    assert second.known == pytest.approx(first.known)
    assert prepared(tiny_policy(), ["one", "two"]).tokens_scored == 0


def test_what_was_scored_before_a_kill_is_kept(tmp_path):
    script = (
        "import os, sys\n"
        "from tests.policies.test_reference import *\n"
        "policy = tiny_policy()\n"
        "groups, _ = policy.prepare(pairs([f'question {i}' for i in range(12)]))\n"
        "reference = CachedReference(policy, tokens_per_batch=90)\n"
        "score = reference._score\n"
        "def score_thrice(batch, cache):\n"
        "    score(batch, cache)\n"
        "    score_thrice.count += 1\n"
        "    if score_thrice.count == 3: os.kill(os.getpid(), 9)\n"
        "score_thrice.count = 0\n"
        "reference._score = score_thrice\n"
        "reference.prepare(groups)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    prompts = [f"question {i}" for i in range(12)]
    whole = prepared(tiny_policy(), prompts, keep=False, tokens_per_batch=90)
    after = prepared(tiny_policy(), prompts, tokens_per_batch=90)
    assert 0 < after.tokens_scored < whole.tokens_scored
    assert after.known == pytest.approx(whole.known)


def test_two_processes_score_into_one_cache():
    script = (
        "import sys\n"
        "from tests.policies.test_reference import *\n"
        "reference = prepared(tiny_policy(), [f'question {i}' for i in range(12)], tokens_per_batch=60)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert prepared(tiny_policy(), [f"question {i}" for i in range(12)]).tokens_scored == 0


def test_groups_may_come_from_a_stream():
    policy = tiny_policy()
    groups, _ = policy.prepare(pairs(["one", "two", "three"]))
    reference = CachedReference(policy)
    reference.prepare(group for group in groups)
    assert len(reference.known) == 6


def test_both_layouts_find_each_others_scores():
    first = prepared(tiny_policy(layout="padded"), ["one", "two"])
    assert first.tokens_scored > 0
    assert prepared(tiny_policy(layout="forest"), ["one", "two"]).tokens_scored == 0


def test_a_frozen_reference_may_be_another_model(tmp_path):
    from tests.training.test_trainer import make_trainer, steps
    from tropism.references.frozen import FrozenReference

    trainer = make_trainer(tmp_path, loss={"dpo": {}}, reference=FrozenReference(tiny_policy(tiny_llama(seed=2))))
    trainer.train()
    assert trainer.step_zero_gap is None
    assert trainer.reference.tokens_scored > 0
    assert steps(trainer)[0][0] != pytest.approx(0.6931, abs=1e-3)


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_a_moving_reference_follows_the_policy(tmp_path, alpha):
    from tests.training.test_trainer import make_trainer
    from tropism.references.moving import MovingReference

    policy = tiny_policy()
    start = {name: tensor.clone() for name, tensor in policy.model.named_parameters()}
    reference = MovingReference(policy, alpha=alpha, every=2)
    trainer = make_trainer(tmp_path, policy=policy, loss={"dpo": {}}, reference=reference, max_steps=2)
    trainer.train()
    assert trainer.step_zero_gap == 0.0
    for name, parameter in policy.model.named_parameters():
        wanted = start[name] + alpha * (parameter.detach() - start[name])
        torch.testing.assert_close(reference.state()[name], wanted, rtol=1e-6, atol=1e-7)
    assert any(not torch.equal(start[name], parameter) for name, parameter in policy.model.named_parameters())


def test_a_moving_reference_is_kept_across_a_resume(tmp_path):
    from tests.training.test_trainer import StopAfter, last_checkpoint, make_trainer, weights
    from tropism.references.moving import MovingReference

    def trainer(folder, **settings):
        policy = tiny_policy()
        reference = MovingReference(policy, alpha=0.5, every=2)
        save = {"save_strategy": "steps", "save_steps": 3, "max_steps": 7, "loss": {"dpo": {}}}
        return make_trainer(folder, policy=policy, reference=reference, **save, **settings)

    straight = trainer(tmp_path / "straight")
    straight.train()
    trainer(tmp_path / "broken", callbacks=[StopAfter(3)]).train()
    resumed = trainer(tmp_path / "broken")
    resumed.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "broken")))
    wanted, given = weights(straight), weights(resumed)
    assert all(torch.equal(given[name], wanted[name]) for name in wanted)
    kept = straight.reference.state()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in resumed.reference.state().items())


def test_a_moving_reference_of_an_adapter_keeps_the_adapter_alone():
    from tropism.policies.loading import add_lora
    from tropism.references.moving import MovingReference

    model = add_lora(tiny_llama(), {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    state = MovingReference(tiny_policy(model)).state()
    assert state
    assert all("lora_" in name for name in state)


def test_nothing_is_scored_by_a_policy_that_has_moved(tmp_path):
    from tests.training.test_trainer import make_trainer
    from tropism.errors import ConfigError

    trainer = make_trainer(tmp_path, loss={"dpo": {}})
    assert trainer.evaluate()["eval_loss"] == pytest.approx(0.6931472, abs=1e-5)
    trainer.train()
    groups, _ = trainer.policy.prepare(pairs(["never seen"]))
    with pytest.raises(ConfigError, match=r"has no reference score, and the reference .* is gone"):
        trainer.reference.prepare(groups)


def test_a_moving_reference_does_not_lend_its_weights_to_the_policy_under_autocast(tmp_path):
    from tests.training.test_trainer import make_trainer, steps
    from tropism.references.moving import MovingReference

    curves = []
    for name, settings in (("cached", {}), ("moving", {"every": 1000})):
        policy = tiny_policy()
        reference = MovingReference(policy, **settings) if name == "moving" else CachedReference(policy)
        trainer = make_trainer(
            tmp_path / name, policy=policy, reference=reference, loss={"dpo": {}}, learning_rate=5e-3, bf16=True
        )
        trainer.train()
        curves.append([loss for loss, _ in steps(trainer)])
    assert curves[1] == pytest.approx(curves[0], abs=2e-2)
