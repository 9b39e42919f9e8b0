"""Rankings of K answers with ties, and single judgements: other feedback through the same trainer."""

from tests.training.test_trainer import PROMPTS, make_trainer, steps, with_all_feedback
from tropism.groups import Label, PreferenceGroup, Response
from tropism.testing import tiny_policy


def test_a_ranking_with_ties_trains_as_a_whole(tmp_path):
    groups = [
        PreferenceGroup(f"p{i}", (prompt,), tuple(
            Response(str(k), f" {prompt}{'!' * k}", rank=rank) for k, rank in enumerate((0, 1, 1, 2))
        ))
        for i, prompt in enumerate(PROMPTS)
    ]  # fmt: skip
    trainer = make_trainer(tmp_path, groups=groups, loss={"plackett_luce": {}}, learning_rate=1e-2)
    trainer.train()
    # at the start one of four, then twice one of three
    assert abs(steps(trainer)[0][0] - (1.3862944 + 2 * 1.0986123) / 3) < 1e-4
    assert steps(trainer)[-1][0] < steps(trainer)[0][0] - 0.05
    assert len(trainer.train_dataset[0].responses) == 4


def test_unpaired_judgements_train_against_the_answers_of_strangers(tmp_path):
    groups = [
        PreferenceGroup(f"p{i}", (prompt,), (Response("a", f" {prompt}!"),), labels=(Label(0, i % 2 == 0),))
        for i, prompt in enumerate(PROMPTS)
    ]
    policy = tiny_policy()
    trainer = make_trainer(tmp_path, policy=policy, groups=groups, loss={"kto": {}}, learning_rate=1e-2, max_steps=9)
    trainer.train()
    assert abs(steps(trainer)[0][0] - 0.5) < 1e-4
    assert steps(trainer)[-1][0] < 0.49


def test_one_group_may_carry_pairs_a_ranking_and_labels(tmp_path):
    loss = {"dpo": {}, "plackett_luce": {"weight": 0.5}, "apo_zero_unpaired": {"weight": 0.5}}
    trainer = make_trainer(tmp_path, groups=with_all_feedback(PROMPTS), loss=loss)
    trainer.train()
    start = 0.6931472 + 0.5 * (1.0986123 + 0.6931472) / 2 + 0.5 * 0.5
    assert abs(steps(trainer)[0][0] - start) < 1e-4
