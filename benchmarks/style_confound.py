"""Does training on pairs whose style betrays the winner raise Style TDI? A tiny model, five seeds, with a control.

    python benchmarks/style_confound.py

Facts of three tokens are said in four styles (plain, preamble, bullets, coda), made of marker tokens. A model learns
all of them (nll), and then pairs of a right and a wrong fact (dpo, beta 0.1). In 90 % of the confounded pairs the right
one stands in bullets and the wrong one in plain; in the control both stand in one style, at random. Style TDI is
measured on contents that no pair is about.

Setting of human.md 3.6 (Rajput 2026, arXiv:2605.22800, scaled down), with a transformer in the place of its GRU.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainingArguments

from tropism.evals.core.subject import policy_subject
from tropism.evals.style.style_contents import StyledContent, content_states
from tropism.evals.style.style_geometry import geometry, ratio_of_ratios, tdi_spread
from tropism.evals.style.style_preference import StyleSettings, implicit_rewards, sway
from tropism.groups import Edge, PreferenceGroup, Response
from tropism.losses import make_mixture
from tropism.policies.text import TextPolicy
from tropism.references.cached import CachedReference
from tropism.references.reference import NoReference
from tropism.text.render import Renderer, RenderRules
from tropism.training.loop.trainer import PreferenceTrainer

RESULTS = Path(__file__).parent / "results" / "style_confound.json"
STYLES = ("plain", "preamble", "bullets", "coda")
NUM_CONTENTS, NUM_HELD_OUT = 48, 24
NUM_FACTS, NUM_MARKERS, FACT_LENGTH, DRAWS = 60, 6, 3, 3
SFT_STEPS, DPO_STEPS, PAIRS_PER_STEP = 500, 300, 32
CONFOUNDED, CONTROL = 0.9, 0.0
ARMS = {"confounded": CONFOUNDED, "control": CONTROL}


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word of the little language."""
    known = ["<pad>", "<end>", *(f"c{i}" for i in range(NUM_CONTENTS)), *(f"f{i}" for i in range(NUM_FACTS))]
    known += [f"{mark}{i}" for mark in ("p", "b", "o") for i in range(NUM_MARKERS)]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>")


def said(fact: Sequence[str], style: str, rng: random.Random) -> str:
    """A fact in a style, with markers drawn at random."""
    mark = rng.randrange
    words = {
        "plain": [*fact],
        "preamble": [f"p{mark(NUM_MARKERS)}", f"p{mark(NUM_MARKERS)}", *fact],
        "bullets": [word for one in fact for word in (f"b{mark(NUM_MARKERS)}", one)],
        "coda": [*fact, f"o{mark(NUM_MARKERS)}", f"o{mark(NUM_MARKERS)}"],
    }
    return " ".join(words[style])


def wrong(fact: Sequence[str], rng: random.Random) -> list[str]:
    """The fact with one of its tokens replaced."""
    place = rng.randrange(FACT_LENGTH)
    other = rng.choice([f"f{i}" for i in range(NUM_FACTS) if f"f{i}" != fact[place]])
    return [*fact[:place], other, *fact[place + 1 :]]


def facts_of(seed: int) -> list[list[str]]:
    """A fact for each content."""
    rng = random.Random(f"facts/{seed}")
    return [[f"f{rng.randrange(NUM_FACTS)}" for _ in range(FACT_LENGTH)] for _ in range(NUM_CONTENTS)]


def taught(facts: list[list[str]], seed: int) -> list[PreferenceGroup]:
    """Every fact in every style, often enough for one pass."""
    rng = random.Random(f"sft/{seed}")
    groups = []
    for index in range(SFT_STEPS * PAIRS_PER_STEP):
        content = rng.randrange(NUM_CONTENTS)
        answer = said(facts[content], rng.choice(STYLES), rng)
        groups.append(PreferenceGroup(f"s{index}", (f"c{content}",), (Response("0", answer),)))
    return groups


def compared(facts: list[list[str]], seed: int, share: float) -> list[PreferenceGroup]:
    """Pairs of a right and a wrong fact; in so large a share style betrays which is which."""
    rng = random.Random(f"dpo/{seed}/{share}")
    groups = []
    for index in range(DPO_STEPS * PAIRS_PER_STEP):
        content = rng.randrange(NUM_HELD_OUT, NUM_CONTENTS)
        style = rng.choice(STYLES)
        styles = ("bullets", "plain") if rng.random() < share else (style, style)
        right, other = facts[content], wrong(facts[content], rng)
        answers = (Response("w", said(right, styles[0], rng)), Response("l", said(other, styles[1], rng)))
        groups.append(PreferenceGroup(f"d{index}", (f"c{content}",), answers, (Edge(0, 1),)))
    return groups


def probes(facts: list[list[str]], seed: int, contents: Sequence[int]) -> list[StyledContent]:
    """Contents in all styles, right and wrong, in fresh draws of the markers."""
    rng = random.Random(f"probe/{seed}")
    found = []
    for content in contents:
        other = wrong(facts[content], rng)
        right_side, wrong_side = (
            {style: tuple(said(fact, style, rng) for _ in range(DRAWS)) for style in STYLES}
            for fact in (facts[content], other)
        )
        found.append(StyledContent(f"c{content}", f"c{content}", right_side, wrong_side))
    return found


def train(policy: TextPolicy, groups: list[PreferenceGroup], loss: dict[str, Any], steps: int, rate: float) -> float:
    """Train, and return the mean loss of the last tenth."""
    rendered, _ = policy.prepare(groups)
    reference = NoReference() if "nll" in loss else CachedReference(policy, keep=False)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=PAIRS_PER_STEP, learning_rate=rate, use_cpu=True,
            lr_scheduler_type="constant", weight_decay=0.0, save_strategy="no", report_to=[], disable_tqdm=True,
            logging_steps=steps // 10,
        )  # fmt: skip
        trainer = PreferenceTrainer(policy, make_mixture(loss), reference, arguments, train_groups=rendered)
        trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return float(losses[-1])


def fresh_policy(seed: int, width: int) -> TextPolicy:
    """A random transformer that reads the little language."""
    torch.manual_seed(seed)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    rules = RenderRules(max_tokens=32, min_response_tokens=2, template="plain")
    return TextPolicy(LlamaForCausalLM(config), words, Renderer(words, rules))


def like(policy: TextPolicy) -> TextPolicy:
    """A copy that can be trained apart."""
    return TextPolicy(copy.deepcopy(policy.model), policy.tokenizer, policy.renderer)


def measured(policy: TextPolicy, start: TextPolicy, contents: list[StyledContent], seed: int) -> dict[str, Any]:
    """Style TDI beside the start's, and how often the right fact wins in the disfavoured style."""
    states, before = content_states(policy, contents).states, content_states(start, contents).states
    found = geometry(states, seed=seed).tdi
    factor = ratio_of_ratios(tdi_spread(states), tdi_spread(before), seed=seed)
    settings = StyleSettings(styles=STYLES, favoured="bullets", disfavoured="plain")
    _, rewards = implicit_rewards(policy_subject("after", policy), policy_subject("start", start), contents)
    swayed = sway(rewards, settings)
    return {
        "tdi": found.value.model_dump(), "within": found.numerator.model_dump(),
        "between": found.denominator.model_dump(), "times_start": factor.model_dump(),
        **{name: float(np.mean([getattr(one, name) for one in swayed])) for name in ("conflict", "aligned", "same")},
    }  # fmt: skip


def one_seed(seed: int, width: int) -> dict[str, Any]:
    """Start, both arms, on held-out and on trained contents."""
    started = time.perf_counter()
    facts = facts_of(seed)
    start = fresh_policy(seed, width)
    sft_loss = train(start, taught(facts, seed), {"nll": {}}, SFT_STEPS, 3e-3)
    sides = {
        "held_out": probes(facts, seed, range(NUM_HELD_OUT)),
        "trained": probes(facts, seed, range(NUM_HELD_OUT, NUM_CONTENTS)),
    }
    row: dict[str, Any] = {"seed": seed, "width": width, "sft_loss": sft_loss}
    row["start"] = {side: measured(start, start, contents, seed) for side, contents in sides.items()}
    for arm, share in ARMS.items():
        policy = like(start)
        dpo_loss = train(policy, compared(facts, seed, share), {"dpo": {"beta": 0.1}}, DPO_STEPS, 1e-3)
        row[arm] = {side: measured(policy, start, contents, seed) for side, contents in sides.items()}
        row[arm]["dpo_loss"] = dpo_loss
    row["seconds"] = time.perf_counter() - started
    return row


def over_seeds(rows: list[dict[str, Any]], arm: str, side: str, name: str) -> dict[str, float]:
    """Mean over seeds with Student's 95 % interval; of factors the geometric mean."""
    values = np.array([row[arm][side][name] for row in rows] if name != "times_start"
                      else [np.log(row[arm][side][name]["value"]) for row in rows])  # fmt: skip
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    ends = [values.mean(), values.mean() - half, values.mean() + half]
    value, low, high = np.exp(ends) if name == "times_start" else ends
    return {"value": float(value), "low": float(low), "high": float(high), "n": len(rows)}


def main() -> None:
    """Run the seeds and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--width", type=int, default=32)
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        rows.append(one_seed(seed, options.width))
        factors = {arm: rows[-1][arm]["held_out"]["times_start"] for arm in ARMS}
        told = ", ".join(
            f"{arm} {one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]" for arm, one in factors.items()
        )
        print(f"seed {seed}: Style TDI times its start: {told} ({rows[-1]['seconds']:.0f} s)", flush=True)
    names = ("times_start", "conflict", "aligned", "same")
    summary = {
        arm: {side: {name: over_seeds(rows, arm, side, name) for name in names} for side in ("held_out", "trained")}
        for arm in ARMS
    }
    RESULTS.write_text(json.dumps({"summary": summary, "seeds": rows}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
