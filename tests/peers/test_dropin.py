"""The drop-in beside TRL's trainer: one script, two imports, the same log; and what a script may ask for."""

import math

import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import tropism
from tropism.errors import ConfigError
from tropism.testing import byte_tokenizer, pairs, tiny_llama

PROMPTS = [f"question {i} {'x' * (5 * i % 13)}" for i in range(16)]
ROWS = [
    {"prompt": group.prompts[0], "chosen": group.responses[0].content, "rejected": group.responses[1].content}
    for group in pairs(PROMPTS)
]
IMPLICIT = [{"chosen": f"{r['prompt']} yes {r['chosen']}", "rejected": f"{r['prompt']} no"} for r in ROWS]
CHAT = [
    {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }
    for row in ROWS
]
SETTINGS = {
    "per_device_train_batch_size": 8, "max_steps": 3, "learning_rate": 1e-3, "logging_steps": 1, "bf16": False,
    "use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True, "seed": 0, "max_length": 250,
    "gradient_checkpointing": False, "max_grad_norm": 1e9,
}  # fmt: skip
METRICS = (
    "loss", "grad_norm", "entropy", "num_tokens", "mean_token_accuracy", "logits/chosen", "logits/rejected",
    "logps/chosen", "logps/rejected", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins",
)  # fmt: skip


def script(package, folder, rows, *, tokenizer=None, model=None, ref_model=None, trainer=None, **settings):
    """A training script but for the import."""
    args = package.DPOConfig(output_dir=str(folder), **{**SETTINGS, **settings})
    made = package.DPOTrainer(
        model=model or tiny_llama(), ref_model=ref_model, args=args, train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer or byte_tokenizer(), **(trainer or {}),
    )  # fmt: skip
    made.train()
    return made


def log(trainer) -> list[dict]:
    return [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize(("rows", "with_chat"), [(ROWS, False), (IMPLICIT, False), (CHAT, True)],
                         ids=["standard", "implicit prompt", "conversational"])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_one_script_logs_the_same_numbers_under_both_imports(tmp_path, rows, with_chat):
    tokenizers = [byte_tokenizer(chat=with_chat) for _ in range(2)]
    theirs = script(trl, tmp_path / "a", rows, tokenizer=tokenizers[0], ref_model=tiny_llama())
    ours = script(tropism, tmp_path / "b", rows, tokenizer=tokenizers[1])
    for mine, wanted in zip(log(ours), log(theirs), strict=True):
        for name in METRICS:
            assert mine[name] == pytest.approx(wanted[name], rel=1e-3, abs=2e-4), name
    assert log(ours)[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("options", [
    {"loss_type": "hinge"}, {"loss_type": ["ipo"]}, {"ld_alpha": 0.4}, {"use_weighting": True},
    {"f_divergence_type": "js_divergence"}, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_config_fields_mean_what_they_mean_in_trl(tmp_path, options):
    reference = {"ref_model": tiny_llama(seed=2)}
    theirs = script(trl, tmp_path / "a", ROWS, tokenizer=byte_tokenizer(chat=False), **reference, **options)
    reference = {"ref_model": tiny_llama(seed=2)}
    ours = script(tropism, tmp_path / "b", ROWS, tokenizer=byte_tokenizer(chat=False), **reference, **options)
    assert log(ours)[0]["loss"] == pytest.approx(log(theirs)[0]["loss"], rel=1e-5)
    assert log(ours)[0]["grad_norm"] == pytest.approx(log(theirs)[0]["grad_norm"], rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_trains_alike_and_loads_in_peft(tmp_path):
    config = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "init_lora_weights": True}
    logs = []
    for package, name in ((trl, "a"), (tropism, "b")):
        trainer = script(
            package, tmp_path / name, ROWS, tokenizer=byte_tokenizer(chat=False),
            trainer={"peft_config": LoraConfig(**config)},
        )  # fmt: skip
        logs.append(log(trainer))
        trainer.save_model(str(tmp_path / name / "model"))
    for mine, wanted in zip(logs[1], logs[0], strict=True):
        assert mine["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
    loaded = PeftModel.from_pretrained(tiny_llama(), str(tmp_path / "b" / "model"))
    assert any(bool(p.any()) for n, p in loaded.named_parameters() if "lora_B" in n)


@pytest.mark.filterwarnings("ignore")
def test_a_given_adapter_is_its_own_reference(tmp_path):
    model = get_peft_model(tiny_llama(), LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    assert log(script(tropism, tmp_path, ROWS, model=model))[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_script_with_the_defaults_of_trl_runs(tmp_path):
    """bf16, recomputed activations, precomputed reference, several evaluation sets, a checkpoint."""
    model = tiny_llama()
    evals = {"first": Dataset.from_list(ROWS[:4]), "second": Dataset.from_list(CHAT[4:8])}
    args = tropism.DPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=4, gradient_accumulation_steps=2, max_steps=2,
        eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2, use_cpu=True, report_to="none",
        precompute_ref_log_probs=True, padding_free=True, logging_steps=1, loss_type="sigmoid", disable_tqdm=True,
    )  # fmt: skip
    assert args.bf16
    trainer = tropism.DPOTrainer(
        model=model, args=args, train_dataset=Dataset.from_list(ROWS), eval_dataset=evals,
        processing_class=byte_tokenizer(),
    )  # fmt: skip
    trainer.train()
    lines = [line for line in trainer.state.log_history if "eval_first_loss" in line]
    assert lines
    assert {"eval_first_rewards/margins", "eval_first_logps/chosen"} <= lines[0].keys()
    assert any("eval_second_loss" in line for line in trainer.state.log_history)
    assert log(trainer)[0]["loss"] == pytest.approx(math.log(2), abs=2e-3)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint-2")
    assert torch.equal(again.model.norm.weight, trainer.model.model.norm.weight)
    assert trainer.model.config._attn_implementation == "sdpa"
    assert trainer.model.generate(torch.tensor([[5, 6]]), max_new_tokens=2).shape == (1, 4)


def test_sync_ref_model_follows_the_policy(tmp_path):
    settings = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}
    trainer = script(tropism, tmp_path, ROWS, **settings)
    assert all(line["loss"] == pytest.approx(math.log(2), abs=1e-3) for line in log(trainer))


def test_rows_may_carry_weights_margins_and_ties(tmp_path):
    rows = [{**row, "margin": 1.0, "weight": float(i % 2)} for i, row in enumerate(ROWS)]
    trainer = script(tropism, tmp_path, rows)
    assert len(trainer.train_dataset) == 8
    assert log(trainer)[0]["loss"] == pytest.approx(math.log(1 + math.e), abs=1e-5)


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        ({"disable_dropout": False}, {}, "disable_dropout=False is not supported"),
        ({"truncation_mode": "keep_end"}, {}, "truncation_mode='keep_end' is not supported"),
        ({"loss_type": "sigmod"}, {}, "loss_type 'sigmod' is unknown"),
        ({"loss_type": "exo_pair"}, {}, "loss.exo.label_smoothing must be in (0, 0.5), got 0.0"),
        ({"loss_type": ["sigmoid"], "loss_weights": [1.0, 2.0]}, {}, "loss_weights has 2 numbers for 1 losses"),
        ({"loss_type": "hinge", "ld_alpha": 0.5}, {}, "loss_type 'hinge' cannot be combined with ld_alpha"),
        ({}, {"data_collator": object()}, "data_collator has no place here"),
        ({}, {"compute_metrics": print}, "compute_metrics has no place here"),
        ({}, {"processing_class": object()}, "processing_class must be a tokenizer"),
    ],
)
def test_what_cannot_work_is_an_error_that_says_so(tmp_path, config, arguments, message):
    def start():
        args = tropism.DPOConfig(output_dir=str(tmp_path), **{**SETTINGS, **config})
        given = {"processing_class": byte_tokenizer(), **arguments}
        tropism.DPOTrainer(model=tiny_llama(), args=args, train_dataset=Dataset.from_list(ROWS), **given)

    with pytest.raises(ConfigError) as error:
        start()
    assert message in str(error.value)


def test_other_rows_are_evaluated_before_training_and_refused_after(tmp_path):
    args = tropism.DPOConfig(output_dir=str(tmp_path), **SETTINGS)
    trainer = tropism.DPOTrainer(
        model=tiny_llama(), args=args, train_dataset=Dataset.from_list(ROWS[:8]),
        eval_dataset={"mine": Dataset.from_list(ROWS[8:10])}, processing_class=byte_tokenizer(),
    )  # fmt: skip
    assert trainer.evaluate()["eval_mine_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert trainer.evaluate({"more": Dataset.from_list(ROWS[10:12])})["eval_more_loss"] == pytest.approx(math.log(2))
    trainer.train()
    assert trainer.evaluate("mine")["eval_mine_loss"] < math.log(2)
    with pytest.raises(ConfigError, match="has no reference score"):
        trainer.evaluate(Dataset.from_list(ROWS[12:]))


def test_an_adapters_dropout_is_off_as_in_trl(tmp_path):
    config = LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.5)
    trainer = script(tropism, tmp_path, ROWS, trainer={"peft_config": config})
    assert all(module.p == 0 for module in trainer.model.modules() if isinstance(module, torch.nn.Dropout))


def test_resume_true_finds_the_reference_that_moved(tmp_path):
    settings = {"sync_ref_model": True, "ref_model_sync_steps": 2, "save_strategy": "steps", "save_steps": 2}
    straight = log(script(tropism, tmp_path / "a", ROWS, max_steps=4, **settings))
    script(tropism, tmp_path / "b", ROWS, **settings | {"max_steps": 4})
    import shutil

    shutil.rmtree(tmp_path / "b" / "checkpoint-4")
    args = tropism.DPOConfig(output_dir=str(tmp_path / "b"), **SETTINGS | settings | {"max_steps": 4})
    resumed = tropism.DPOTrainer(
        model=tiny_llama(), args=args, train_dataset=Dataset.from_list(ROWS), processing_class=byte_tokenizer()
    )
    resumed.train(resume_from_checkpoint=True)
    assert [line["loss"] for line in log(resumed)] == pytest.approx([line["loss"] for line in straight], rel=1e-6)
