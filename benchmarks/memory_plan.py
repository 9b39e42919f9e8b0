"""Is the memory plan right? Peak memory that it foresaw beside the peak that training reached.

    python benchmarks/memory_plan.py

Each row is a process of its own: it plans, then trains three steps, then asks the system (or the GPU's allocator) for
its peak. On a GPU the same models are measured there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

from step_cpu import RESULTS, hardware, in_a_process
from ways import WORKLOADS, Workload, model_config, settings, threads

SIZES = {
    "5M": {},
    "27M": {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8},
    "100M": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12},
}


def measure(size: str, name: str, way: str, tokens: int) -> dict[str, Any]:
    """Plan, train three steps, compare."""
    import torch
    from transformers import LlamaForCausalLM, TrainingArguments

    from tropism.groups import Edge, PreferenceGroup, Response
    from tropism.losses import make_mixture
    from tropism.policies.loading import add_lora
    from tropism.policies.text import TextPolicy
    from tropism.references.cached import CachedReference
    from tropism.testing import byte_tokenizer
    from tropism.text.render import Renderer, RenderRules
    from tropism.training.loop.machine import peak_memory_mb
    from tropism.training.loop.memory import plan_memory
    from tropism.training.loop.trainer import PreferenceTrainer

    workload: Workload = WORKLOADS[name]
    config = model_config(workload)
    for key, value in SIZES[size].items():
        setattr(config, key, value)
    config.head_dim = config.hidden_size // config.num_attention_heads
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to("cuda" if torch.cuda.is_available() else "cpu")
    if way == "lora":
        model = add_lora(model, {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"})
    tokenizer = byte_tokenizer(chat=False)
    policy = TextPolicy(model, tokenizer, Renderer(tokenizer, RenderRules(8192)))
    groups = [
        PreferenceGroup(
            str(i), (prompt,), tuple(Response(str(k), text) for k, text in enumerate(texts)),
            tuple(Edge(0, k) for k in range(1, len(texts))),
        )
        for i, (prompt, texts) in enumerate(threads(workload, steps=3))
    ]  # fmt: skip
    rendered, _ = policy.prepare(groups)
    plan = plan_memory(
        policy, rendered, groups_per_step=workload.prompts, tokens_per_batch=tokens or None,
        recompute=way == "recompute",
    )  # fmt: skip
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        shared = settings(folder, steps=3) | {"use_cpu": not torch.cuda.is_available()}
        arguments = TrainingArguments(
            **shared, per_device_train_batch_size=workload.prompts, activation_checkpointing=plan.gradient_checkpointing
        )
        trainer = PreferenceTrainer(
            policy, make_mixture({"dpo": {}}), CachedReference(policy, keep=False), arguments, train_groups=rendered,
            tokens_per_batch=plan.tokens_per_batch,
        )  # fmt: skip
        trainer.train()
    peak = peak_memory_mb()
    return {
        "weights": size, "workload": name, "way": way, "tokens_per_batch": plan.tokens_per_batch,
        "planned_mb": plan.peak_mb, "peak_mb": peak, "off": plan.peak_mb / peak - 1,
    }  # fmt: skip


def main() -> None:
    """Every model, workload and way; write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        size, name, way, tokens = arguments.one
        print(json.dumps(measure(size, name, way, int(tokens))))
        return
    rows = []
    cases = [
        (size, name, way, tokens)
        for size, name in (("5M", "chat"), ("5M", "long"), ("27M", "votes"), ("100M", "chat"))
        for way, tokens in (("full", "0"), ("full", "4096"), ("recompute", "4096"), ("lora", "0"))
    ]
    for case in cases:
        row = in_a_process([__file__, "--one", *case], cache="")
        rows.append(row)
        print({key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    (RESULTS / "memory_plan.json").write_text(json.dumps({"rows": rows, **hardware()}, indent=1) + "\n")
    print(f"the plan is off by {min(row['off'] for row in rows):+.0%} to {max(row['off'] for row in rows):+.0%}")


if __name__ == "__main__":
    main()
