"""One training run in this process, by one way, on one workload: wall and CPU seconds of its steps, and its memory.

The model is a random Llama and the texts are random letters, one token each, so that lengths are exact. Both sides see
the same pairs in fp32 without gradient checkpointing (which is TRL's fastest setting here), and score a second frozen
model as the reference in every step, but for the ways that say otherwise.
"""

from __future__ import annotations

import itertools
import random
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

WAYS = ("trl", "trl_restricted", "trl_precomputed", "padded", "forest", "forest_warm")
"""TRL as shipped; with its head restricted to completions, as it is on a GPU; with its precomputed reference; ours with
one row per response; ours with every distinct token once; the same with reference scores from the cache."""


@dataclass(frozen=True)
class Workload:
    """What a step holds.

    Attributes:
        prompts: prompts per step.
        prompt, response: mean tokens; lengths spread by a third around the mean.
        responses: per prompt; every two of them are a pair.
        micro_batches: into how many TRL has to cut a step's pairs.
        vocabulary: of the model.
    """

    prompts: int
    prompt: int
    response: int
    responses: int = 2
    micro_batches: int = 1
    vocabulary: int = 4096

    @property
    def pairs(self) -> int:
        """Pairs per step."""
        return self.prompts * self.responses * (self.responses - 1) // 2


WORKLOADS = {
    "chat": Workload(prompts=8, prompt=100, response=150),
    "long": Workload(prompts=8, prompt=900, response=80),
    "votes": Workload(prompts=2, prompt=200, response=100, responses=5, micro_batches=2),
}


def model_config(workload: Workload) -> Any:
    """A Llama of 5 million weights (12 at 32,000 tokens of vocabulary)."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=workload.vocabulary, hidden_size=256, intermediate_size=688, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=8192, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip


def threads(workload: Workload, *, steps: int) -> list[tuple[str, list[str]]]:
    """Prompts with their responses, for all steps."""
    rng = random.Random(0)

    def text(mean: int) -> str:
        return "".join(rng.choices("abcdefghij ", k=round(mean * rng.uniform(2 / 3, 4 / 3))))

    return [
        (text(workload.prompt), [text(workload.response) for _ in range(workload.responses)])
        for _ in range(workload.prompts * steps)
    ]


def settings(folder: str, *, steps: int) -> dict[str, Any]:
    """The training arguments that both sides share."""
    return {
        "output_dir": folder, "max_steps": steps, "learning_rate": 1e-4, "bf16": False, "use_cpu": True,
        "report_to": "none", "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1, "seed": 0,
    }  # fmt: skip


def timer(marks: list[tuple[float, float]]) -> Any:
    """A callback that notes wall and CPU time before the first step and after each."""
    from transformers import TrainerCallback

    class Timer(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            if not marks:
                marks.append((time.perf_counter(), time.process_time()))

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append((time.perf_counter(), time.process_time()))

    return Timer()


def run_trl(workload: Workload, way: str, folder: str, *, steps: int) -> dict[str, Any]:
    """TRL's trainer on every pair of every thread."""
    import torch
    import trl.trainer.utils
    from datasets import Dataset
    from transformers import LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    from tropism.testing import byte_tokenizer

    if way == "trl_restricted":
        trl.trainer.utils._use_triton = lambda device: True  # in that module it only chooses which positions are scored
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(LlamaForCausalLM(model_config(workload)))
    rows = [
        {"prompt": prompt, "chosen": first, "rejected": second}
        for prompt, responses in threads(workload, steps=steps)
        for first, second in itertools.combinations(responses, 2)
    ]
    marks: list[tuple[float, float]] = []
    trainer = DPOTrainer(
        model=models[0],
        ref_model=models[1],
        args=DPOConfig(
            **settings(folder, steps=steps),
            per_device_train_batch_size=workload.pairs // workload.micro_batches,
            gradient_accumulation_steps=workload.micro_batches,
            gradient_checkpointing=False,
            max_length=8192,
            beta=0.1,
            precompute_ref_log_probs=way == "trl_precomputed",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=byte_tokenizer(chat=False),
        callbacks=[timer(marks)],
    )
    trainer.train()
    return {"marks": marks, "losses": [line["loss"] for line in trainer.state.log_history if "loss" in line]}


def run_ours(workload: Workload, way: str, folder: str, *, steps: int) -> dict[str, Any]:
    """Our trainer on the same threads, an edge for every pair."""
    import torch
    from transformers import LlamaForCausalLM, TrainingArguments

    from tropism.groups import Edge, PreferenceGroup, Response
    from tropism.losses import make_mixture
    from tropism.policies.text import TextPolicy
    from tropism.references.cached import CachedReference
    from tropism.references.frozen import FrozenReference
    from tropism.references.reference import Reference
    from tropism.testing import byte_tokenizer
    from tropism.text.render import Renderer, RenderRules
    from tropism.training.loop.trainer import PreferenceTrainer

    tokenizer = byte_tokenizer(chat=False)
    renderer = Renderer(tokenizer, RenderRules(8192))
    is_warm = way == "forest_warm"
    policies = []
    for _ in range(1 if is_warm else 2):
        torch.manual_seed(0)
        model = LlamaForCausalLM(model_config(workload))
        policies.append(TextPolicy(model, tokenizer, renderer, layout="padded" if way == "padded" else "forest"))
    groups = [
        PreferenceGroup(
            str(number),
            (prompt,),
            tuple(Response(str(i), text) for i, text in enumerate(responses)),
            tuple(Edge(i, j) for i, j in itertools.combinations(range(len(responses)), 2)),
        )
        for number, (prompt, responses) in enumerate(threads(workload, steps=steps))
    ]
    rendered, _ = renderer.render(groups)
    reference: Reference = CachedReference(policies[0]) if is_warm else FrozenReference(policies[1])
    if is_warm:  # what an earlier run with another beta would have left behind; TRL's pass is not counted either
        reference.prepare(rendered)
    marks: list[tuple[float, float]] = []
    trainer = PreferenceTrainer(
        policies[0],
        make_mixture({"dpo": {"beta": 0.1}}),
        reference,
        TrainingArguments(**settings(folder, steps=steps), per_device_train_batch_size=workload.prompts),
        train_groups=rendered,
        callbacks=[timer(marks)],
        tokens_per_batch=2**20 if way == "padded" else None,
    )
    trainer.train()
    return {
        "marks": marks,
        "losses": [line["loss"] for line in trainer.state.log_history if "loss" in line],
        "tokens_per_batch": trainer._tokens_per_batch,
        "tokens_computed": trainer.tokens_computed / steps,
        "tokens_distinct": trainer.tokens_distinct / steps,
    }


def measure(workload: Workload, way: str, *, steps: int) -> dict[str, Any]:
    """One measurement, in this process; the first step, which makes what stays, is left out."""
    with tempfile.TemporaryDirectory() as folder:
        found = (run_trl if way.startswith("trl") else run_ours)(workload, way, folder, steps=steps)
    marks = found.pop("marks")
    each = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(marks[1:])]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **asdict(workload),
        "pairs": workload.pairs,
        "way": way,
        "wall_seconds": statistics.median(wall for wall, _ in each),
        "cpu_seconds": statistics.median(cpu for _, cpu in each),
        "peak_memory_mb": peak / 2**20 if sys.platform == "darwin" else peak / 2**10,
        **found,
    }
