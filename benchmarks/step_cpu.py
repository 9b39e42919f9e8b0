"""What a DPO step costs on a CPU: ours beside TRL's, alternating in one process tree, on the same pairs.

    make bench          (or: python benchmarks/step_cpu.py --repeats 5)

Each measurement is a process of its own, so that peak memory means something; its first step is left out. Ratios are
between neighbours in time. Absolute times mean nothing on a shared machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "step_cpu.json"
WORKLOADS = {"chat": {"pairs": 8, "prompt": 100, "response": 150}, "long": {"pairs": 8, "prompt": 900, "response": 80}}
"""Pairs per step and mean tokens of a prompt and of a response; lengths spread by a third around the mean."""
WAYS = ("trl", "padded")
STEPS = 3
MODEL = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def texts(workload: str) -> list[dict[str, str]]:
    """Pairs of plain text; with one token per byte their lengths are exact, and prompts differ."""
    sizes, rng = WORKLOADS[workload], random.Random(0)

    def text(mean: int) -> str:
        return "".join(rng.choices("abcdefghij ", k=round(mean * rng.uniform(2 / 3, 4 / 3))))

    return [
        {"prompt": text(sizes["prompt"]), "chosen": text(sizes["response"]), "rejected": text(sizes["response"])}
        for _ in range(sizes["pairs"] * STEPS)
    ]


def timed_callback(marks: list[tuple[float, float]]) -> Any:
    """A callback that notes wall and CPU time before the first step and after each."""
    from transformers import TrainerCallback

    class Timer(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            if not marks:
                marks.append((time.perf_counter(), time.process_time()))

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append((time.perf_counter(), time.process_time()))

    return Timer()


def settings(workload: str, folder: str) -> dict[str, Any]:
    """The training arguments that both sides share: fp32, no checkpointing, every pair of a step in one batch."""
    return {
        "output_dir": folder, "per_device_train_batch_size": WORKLOADS[workload]["pairs"], "max_steps": STEPS,
        "learning_rate": 1e-4, "bf16": False, "use_cpu": True, "report_to": "none", "save_strategy": "no",
        "disable_tqdm": True, "logging_steps": 1, "seed": 0,
    }  # fmt: skip


def run_trl(workload: str, folder: str) -> tuple[list[tuple[float, float]], dict[str, Any]]:
    """TRL's trainer as it is shipped, with a second frozen model as reference in each step."""
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    from tropism.testing import byte_tokenizer

    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(LlamaForCausalLM(LlamaConfig(**MODEL)))
    marks: list[tuple[float, float]] = []
    trainer = DPOTrainer(
        model=models[0],
        ref_model=models[1],
        args=DPOConfig(**settings(workload, folder), gradient_checkpointing=False, max_length=2048, beta=0.1),
        train_dataset=Dataset.from_list(texts(workload)),
        processing_class=byte_tokenizer(chat=False),
        callbacks=[timed_callback(marks)],
    )
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return marks, {"losses": losses}


def run_padded(workload: str, folder: str) -> tuple[list[tuple[float, float]], dict[str, Any]]:
    """Ours: the padded layout, reference scored before training and counted into every step's time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

    from tropism.groups import Edge, PreferenceGroup, Response
    from tropism.layout.render import Renderer, RenderRules
    from tropism.losses import mixture
    from tropism.policies.reference import CachedReference
    from tropism.policies.text import TextPolicy
    from tropism.testing import byte_tokenizer
    from tropism.training.trainer import PreferenceTrainer

    torch.manual_seed(0)
    tokenizer = byte_tokenizer(chat=False)
    policy = TextPolicy(LlamaForCausalLM(LlamaConfig(**MODEL)), tokenizer, Renderer(tokenizer, RenderRules(2048)))
    groups = [
        PreferenceGroup(
            str(i), (row["prompt"],), (Response("w", row["chosen"]), Response("l", row["rejected"])), (Edge(0, 1),)
        )
        for i, row in enumerate(texts(workload))
    ]
    rendered, _ = policy.renderer.render(groups)
    marks: list[tuple[float, float]] = []
    reference = CachedReference(policy, keep=False, groups_per_batch=WORKLOADS[workload]["pairs"])
    start = time.perf_counter(), time.process_time()
    reference.prepare(rendered)
    cost = [(end - begin) / STEPS for begin, end in zip(start, (time.perf_counter(), time.process_time()), strict=True)]
    trainer = PreferenceTrainer(
        policy, mixture({"dpo": {"beta": 0.1}}), reference, TrainingArguments(**settings(workload, folder)),
        train_groups=rendered, callbacks=[timed_callback(marks)],
    )  # fmt: skip
    trainer.train()
    marks = [(wall + index * cost[0], cpu + index * cost[1]) for index, (wall, cpu) in enumerate(marks)]
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    counts = {"tokens_computed": trainer.tokens_computed / STEPS, "tokens_distinct": trainer.tokens_distinct / STEPS}
    return marks, {"losses": losses, **counts}


def measure(workload: str, way: str) -> dict[str, Any]:
    """One measurement, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        marks, counts = {"trl": run_trl, "padded": run_padded}[way](workload, folder)
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(marks[1:])]
    return {
        "workload": workload,
        "way": way,
        "wall_seconds": statistics.median(wall for wall, _ in steps),
        "cpu_seconds": statistics.median(cpu for _, cpu in steps),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **counts,
    }


def main() -> None:
    """Alternate the ways, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=["chat"], choices=list(WORKLOADS))
    parser.add_argument("--one", nargs=2, metavar=("WORKLOAD", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    rows, ratios = [], {}
    for workload in arguments.workloads:
        for repeat in range(arguments.repeats):
            for way in WAYS:
                command = [sys.executable, __file__, "--one", workload, way]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                rows.append({"repeat": repeat, **json.loads(done.stdout.strip().splitlines()[-1])})
                print({k: v for k, v in rows[-1].items() if k != "losses"}, flush=True)
        of = {way: [row for row in rows if row["workload"] == workload and row["way"] == way] for way in WAYS}
        for key in ("wall_seconds", "cpu_seconds", "peak_memory_mb"):
            values = sorted(t[key] / p[key] for t, p in zip(of["trl"], of["padded"], strict=True))
            ratios[f"{workload}: trl / padded, {key}"] = {
                "min": values[0], "median": statistics.median(values), "max": values[-1],
            }  # fmt: skip
    hardware = {"processor": platform.machine(), "versions": {name: version(name) for name in ("torch", "trl")}}
    RESULTS.write_text(json.dumps({"rows": rows, "ratios": ratios, **hardware}, indent=1) + "\n")
    for name, ratio in ratios.items():
        print(f"{name}: {ratio['median']:.2f} (min {ratio['min']:.2f}, max {ratio['max']:.2f})")


if __name__ == "__main__":
    main()
