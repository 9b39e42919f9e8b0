"""What a DPO step costs on one GPU: ours beside TRL's, on random Llamas of 1 and 8 billion weights.

    python benchmarks/gpu.py [--models 1b 8b] [--repeats 5]

bf16; the 1B model trains every weight, the 8B model a LoRA adapter of rank 16 (and every weight where it fits). Each
measurement is a process of its own; ways alternate. Without a GPU it says so and measures nothing.

Model-FLOP utilisation counts 2 FLOPs per weight and distinct token in the forward pass, twice that backward (once where
the weight is frozen), the reference's forward pass, the head at scored positions alone, and no attention scores: work
that has to be done, not work that was done.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from step_cpu import RESULTS, hardware, in_a_process
from ways import Workload, threads, timer

WAYS = ("trl", "forest")
STEPS = 8
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 of the makers' data sheets; other cards get no utilisation."""
LLAMAS = {
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
           "num_key_value_heads": 8, "tie_word_embeddings": True},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8, "tie_word_embeddings": False},
}  # fmt: skip
WORKLOADS = {
    "chat": Workload(prompts=16, prompt=300, response=400, vocabulary=128256),
    "long": Workload(prompts=8, prompt=3000, response=300, vocabulary=128256, micro_batches=4),
    "votes": Workload(prompts=4, prompt=600, response=300, responses=5, vocabulary=128256, micro_batches=5),
}


def build(model: str, workload: Workload) -> Any:
    """A random Llama in bf16 on the GPU."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        **LLAMAS[model], vocab_size=workload.vocabulary, max_position_embeddings=8192, bos_token_id=None,
        eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    with torch.device("cuda"):
        return LlamaForCausalLM(config).to(torch.bfloat16)


def arguments_of(folder: str, workload: Workload) -> dict[str, Any]:
    """The training arguments that both sides share."""
    return {
        "output_dir": folder, "max_steps": STEPS, "learning_rate": 1e-6, "bf16": True, "report_to": "none",
        "save_strategy": "no", "disable_tqdm": True, "logging_steps": STEPS, "seed": 0, "optim": "adamw_torch_fused",
    }  # fmt: skip


def run_trl(model: Any, workload: Workload, folder: str, *, with_lora: bool, marks: list[Any], name: str) -> None:
    """TRL's trainer, on every pair."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    from tropism.testing import byte_tokenizer

    rows = [
        {"prompt": prompt, "chosen": first, "rejected": second}
        for prompt, responses in threads(workload, steps=STEPS)
        for first, second in itertools.combinations(responses, 2)
    ]
    DPOTrainer(
        model=model,
        ref_model=None if with_lora else build(name, workload),
        args=DPOConfig(
            **arguments_of(folder, workload),
            per_device_train_batch_size=workload.pairs // workload.micro_batches,
            gradient_accumulation_steps=workload.micro_batches,
            gradient_checkpointing=False,
            max_length=8192,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=byte_tokenizer(chat=False),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear") if with_lora else None,
        callbacks=[timer(marks)],
    ).train()


def run_forest(
    model: Any, workload: Workload, folder: str, *, with_lora: bool, marks: list[Any], name: str
) -> dict[str, Any]:
    """Our trainer, on the same threads."""
    from transformers import TrainingArguments

    from tropism.groups import Edge, PreferenceGroup, Response
    from tropism.losses import make_mixture
    from tropism.policies.loading import add_lora
    from tropism.policies.text import TextPolicy
    from tropism.references.adapter import AdapterReference
    from tropism.references.frozen import FrozenReference
    from tropism.testing import byte_tokenizer
    from tropism.text.render import Renderer, RenderRules
    from tropism.training.loop.trainer import PreferenceTrainer

    tokenizer = byte_tokenizer(chat=False)
    renderer = Renderer(tokenizer, RenderRules(8192))
    lora = {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"}
    policy = TextPolicy(add_lora(model, lora) if with_lora else model, tokenizer, renderer)
    groups = [
        PreferenceGroup(
            str(number), (prompt,), tuple(Response(str(i), text) for i, text in enumerate(responses)),
            tuple(Edge(i, j) for i, j in itertools.combinations(range(len(responses)), 2)),
        )
        for number, (prompt, responses) in enumerate(threads(workload, steps=STEPS))
    ]  # fmt: skip
    rendered, _ = renderer.render(groups)
    reference = (
        AdapterReference(policy)
        if with_lora
        else FrozenReference(TextPolicy(build(name, workload), tokenizer, renderer))
    )
    trainer = PreferenceTrainer(
        policy, make_mixture({"dpo": {}}), reference,
        TrainingArguments(**arguments_of(folder, workload), per_device_train_batch_size=workload.prompts),
        train_groups=rendered, callbacks=[timer(marks)],
    )  # fmt: skip
    trainer.train()
    scored = sum(response.num_scored for group in rendered for response in group.responses) / STEPS
    return {
        "tokens_computed": trainer.tokens_computed / STEPS,
        "tokens_distinct": trainer.tokens_distinct / STEPS,
        "tokens_scored": scored,
    }


def flops_per_step(model: Any, *, distinct: float, scored: float, with_lora: bool) -> float:
    """What has to be computed in a step, see the module's docstring."""
    config = model.config
    head = config.vocab_size * config.hidden_size
    body = sum(p.numel() for n, p in model.named_parameters() if p.dim() > 1 and not any(x in n for x in SKIPPED))
    passes = 1 + 1 + (1 if with_lora else 2)  # reference, forward, backward
    return 2 * passes * (body * distinct + head * scored)


SKIPPED = ("embed", "lm_head", "lora_")


def measure(name: str, workload_name: str, way: str, *, with_lora: bool, profiled: bool) -> dict[str, Any]:
    """One measurement, in this process; the first three steps (compilation) are left out."""
    workload, marks = WORKLOADS[workload_name], []
    model = build(name, workload)
    run = {"trl": run_trl, "forest": run_forest}[way]
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(model, workload, folder, with_lora=with_lora, marks=marks, name=name) or {}
    torch.cuda.synchronize()
    wall = statistics.median(b[0] - a[0] for a, b in itertools.pairwise(marks[3:]))
    row = {
        "model": name, "workload": workload_name, "way": way, "lora": with_lora, "wall_seconds": wall,
        "pairs_per_second": workload.pairs / wall,
        "peak_memory_mb": torch.cuda.max_memory_allocated() / 2**20, **counts,
    }  # fmt: skip
    peak = next((value for key, value in PEAK_FLOPS.items() if key in torch.cuda.get_device_name()), None)
    if counts and peak:
        needed = flops_per_step(
            model, distinct=counts["tokens_distinct"], scored=counts["tokens_scored"], with_lora=with_lora
        )
        row["model_flop_utilisation"] = needed / wall / peak
    if profiled:
        row["largest_items"] = largest_items(lambda folder: run(
            model, dataclasses.replace(workload), folder, with_lora=with_lora, marks=[], name=name
        ))  # fmt: skip
    return row


def largest_items(run: Any) -> list[dict[str, Any]]:
    """The five kernels that take most of the GPU's time."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with tempfile.TemporaryDirectory() as folder, torch.profiler.profile(activities=activities) as profile:
        run(folder)
    found = sorted(profile.key_averages(), key=lambda item: -item.self_device_time_total)
    total = sum(item.self_device_time_total for item in found)
    return [{"kernel": item.key[:80], "share": item.self_device_time_total / total} for item in found[:5]]


def main() -> None:
    """Alternate the ways on every model and workload, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(LLAMAS), choices=list(LLAMAS))
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="train every weight of the 8B model too")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here: nothing was measured.")
        return
    if arguments.one:
        model, workload, way, lora, profiled = arguments.one
        print(json.dumps(measure(model, workload, way, with_lora=lora == "lora", profiled=profiled == "1")))
        return
    rows = []
    started = time.perf_counter()
    for name, workload in itertools.product(arguments.models, arguments.workloads):
        for training in ("full",) if name == "1b" else ("lora", "full") if arguments.full else ("lora",):
            for repeat, way in itertools.product(range(arguments.repeats), WAYS):
                profiled = str(int(repeat == 0))
                row = in_a_process([__file__, "--one", name, workload, way, training, profiled], cache="")
                rows.append({"repeat": repeat, **row})
                print({key: value for key, value in row.items() if key != "largest_items"}, flush=True)
                result = {"rows": rows, **hardware(), "gpu": torch.cuda.get_device_name()}
                (RESULTS / "gpu.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(rows)} measurements in {time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
