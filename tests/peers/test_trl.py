"""Beside TRL 1.16, on the same model, pairs and seed: the same losses, gradients and trajectories, by another road."""

import pytest
from datasets import Dataset
from transformers import TrainingArguments
from trl import DPOConfig, DPOTrainer

from tropism.losses import make_mixture
from tropism.references.frozen import FrozenReference
from tropism.testing import byte_tokenizer, pairs, tiny_llama, tiny_policy
from tropism.training.loop.trainer import PreferenceTrainer

PROMPTS = [f"question {i} {'x' * (5 * i % 13)}" for i in range(16)]
SHARED = {
    "learning_rate": 1e-3, "logging_steps": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
    "use_cpu": True, "seed": 0, "max_grad_norm": 1e9,
}  # fmt: skip
CASES = [
    ({"loss_type": ["sigmoid"]}, {"dpo": {}}),
    ({"loss_type": ["hinge"]}, {"hinge": {}}),
    ({"loss_type": ["ipo"]}, {"ipo_norm": {"tau": 0.1}}),
    ({"loss_type": ["exo_pair"], "label_smoothing": 0.1}, {"exo": {"label_smoothing": 0.1}}),
    ({"loss_type": ["nca_pair"]}, {"nca": {}}),
    ({"loss_type": ["robust"], "label_smoothing": 0.1}, {"robust": {"label_smoothing": 0.1}}),
    ({"loss_type": ["bco_pair"]}, {"bco_pair": {}}),
    ({"loss_type": ["sppo_hard"]}, {"sppo": {"beta": 0.1}}),
    ({"loss_type": ["aot"], "label_smoothing": 0.1}, {"aot": {"label_smoothing": 0.1}}),
    ({"loss_type": ["aot_unpaired"]}, {"aot_unpaired": {}}),
    ({"loss_type": ["apo_zero"]}, {"apo_zero": {}}),
    ({"loss_type": ["apo_down"]}, {"apo_down": {}}),
    ({"loss_type": ["discopop"]}, {"discopop": {"beta": 0.1, "tau": 0.05}}),
    ({"loss_type": ["sft"]}, {"nll": {}}),
    ({"loss_type": ["sigmoid_norm"]}, {"sigmoid_norm": {}}),
    ({"f_divergence_type": "forward_kl"}, {"f_dpo": {"divergence": "forward_kl"}}),
    ({"f_divergence_type": "js_divergence"}, {"f_dpo": {"divergence": "js"}}),
    ({"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.3},
     {"f_dpo": {"divergence": "alpha", "alpha": 0.3}}),
    ({"ld_alpha": 0.4}, {"ld_dpo": {"alpha": 0.4}}),
    ({"use_weighting": True}, {"wpo": {}}),
    ({"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0]}, {"mpo": {}}),
]  # fmt: skip
IDS = ["-".join(map(str, [*trl.get("loss_type", ()), *(k for k in trl if k != "loss_type")])) for trl, _ in CASES]


def trl_steps(folder, options, *, max_steps, batch=8, accumulation=1) -> list[tuple[float, float]]:
    """Losses and gradient norms of TRL's trainer, whose policy does not start at its reference."""
    rows = [
        {"prompt": group.prompts[0], "chosen": group.responses[0].content, "rejected": group.responses[1].content}
        for group in pairs(PROMPTS)
    ]
    args = DPOConfig(
        str(folder), per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation,
        gradient_checkpointing=False, bf16=False, max_length=256, max_steps=max_steps, **SHARED, **options,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=tiny_llama(seed=0), ref_model=tiny_llama(seed=2), args=args, train_dataset=Dataset.from_list(rows),
        processing_class=byte_tokenizer(chat=False),
    )  # fmt: skip
    trainer.train()
    return [(line["loss"], line["grad_norm"]) for line in trainer.state.log_history if "loss" in line]


def our_steps(folder, loss, *, max_steps, tokens_per_batch=4096) -> list[tuple[float, float]]:
    """The same of ours, through the forest."""
    policy, reference = tiny_policy(tiny_llama(seed=0), max_tokens=255), tiny_policy(tiny_llama(seed=2), max_tokens=255)
    groups, _ = policy.prepare(pairs(PROMPTS))
    args = TrainingArguments(str(folder), per_device_train_batch_size=8, max_steps=max_steps, **SHARED)
    trainer = PreferenceTrainer(
        policy,
        make_mixture(loss),
        FrozenReference(reference),
        args,
        train_groups=groups,
        tokens_per_batch=tokens_per_batch,
    )
    trainer.train()
    return [(line["loss"], line["grad_norm"]) for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize(("options", "loss"), CASES, ids=IDS)
@pytest.mark.filterwarnings("ignore")  # TRL's and its libraries' own
def test_the_first_steps_equal_trls(tmp_path, options, loss):
    theirs = trl_steps(tmp_path / "trl", options, max_steps=2)
    ours = our_steps(tmp_path / "ours", loss, max_steps=2)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-3)


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda index: IDS[index])
@pytest.mark.filterwarnings("ignore")
def test_twenty_steps_follow_trls(tmp_path, index):
    options, loss = CASES[index]
    slow = {"learning_rate": 1e-4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHARED, "learning_rate", slow["learning_rate"])
        theirs = trl_steps(tmp_path / "trl", options, max_steps=20)
        ours = our_steps(tmp_path / "ours", loss, max_steps=20)
    assert [loss for loss, _ in ours] == pytest.approx([loss for loss, _ in theirs], rel=1e-4, abs=1e-4)
    assert abs(ours[-1][0] - ours[0][0]) > 1e-3


@pytest.mark.parametrize(("name", "ours"), [("sft", {"nll": {}}), ("aot", {"aot": {}})])
@pytest.mark.filterwarnings("ignore")
def test_where_trls_number_depends_on_the_cut_ours_does_not(tmp_path, name, ours):
    whole = trl_steps(tmp_path / "a", {"loss_type": [name]}, max_steps=1)
    cut = trl_steps(tmp_path / "b", {"loss_type": [name]}, max_steps=1, batch=2, accumulation=4)
    assert cut[0][1] != pytest.approx(whole[0][1], rel=1e-3)
    mine = our_steps(tmp_path / "c", ours, max_steps=1)
    mine_cut = our_steps(tmp_path / "d", ours, max_steps=1, tokens_per_batch=100)
    assert mine[0] == pytest.approx(whole[0], rel=1e-5)
    assert mine_cut[0] == pytest.approx(mine[0], rel=1e-5)
