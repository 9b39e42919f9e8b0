"""Makes the pocket checkpoint: a language model of 0.3 million parameters that imitates the raw forum.

    python -m tropism.applications.quickstart.pocket --steps 10000

It is trained on posts of the training side only, including those of rude and rambling authors, so its answers are
fluent but not good; the quickstart improves them. Prompt and response are tokenised separately and joined as token ids,
as in all later training and generation.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tropism.applications.quickstart.forum import Post, simulate_posts
from tropism.applications.quickstart.taste import Diagnosis, diagnose

FOLDER = Path(__file__).parent / "pocket"  # the checkpoint in the package

PAD, END, POST, REPLY = "<|pad|>", "<|end|>", "<|post|>", "<|reply|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|reply|>{{ message['content'] }}<|end|>"
    "{% else %}<|post|>{{ message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|reply|>{% endif %}"
)
VOCABULARY = 1024
CONTEXT = 256
MAX_NEW_TOKENS = 160
EXAMPLES_PER_BUCKET = 1024  # sorted by length before they are batched


@dataclass(frozen=True, slots=True)
class PocketSettings:
    """Settings of the checkpoint's training.

    Args:
        num_posts: simulated posts to learn from, four to eight answers each.
        num_steps: optimizer steps.
        tokens_per_step: response tokens per step. With equally many answers per batch, the tokens of short
            answers would weigh more, and the model would end its answers too early.
        learning_rate: highest rate; 3 % warm-up, constant, then linear to zero over the last half.
        seed: of the forum, the initial weights and the order.
    """

    num_posts: int = 30_000
    num_steps: int = 14_000
    tokens_per_step: int = 512
    learning_rate: float = 6e-3
    seed: int = 20_240_301


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of a prompt and of its response, tokenised separately."""

    prompt: list[int]
    response: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


def _make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the forum's chat template.

    A blank belongs to the word before it, so a word's tokens do not depend on its position in a text or on a special
    token before it.
    """
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(r"\w+ ?|[^\w\s]+ ?|\s+"), behavior="isolated")
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, in_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, POST, REPLY],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[POST, REPLY],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=CONTEXT,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of 0.3 million parameters, initialised from torch's random state."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=3,
            max_position_embeddings=CONTEXT,
            initializer_range=0.03,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tokenised(posts: Sequence[Post], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Every comment of every post as an example."""
    prompts = tokenizer([f"{POST}{post.question}{REPLY}" for post in posts], add_special_tokens=False).input_ids
    pairs = [(prompt, c.text) for prompt, post in zip(prompts, posts, strict=True) for c in post.comments]
    responses = tokenizer([f"{text}{END}" for _, text in pairs], add_special_tokens=False).input_ids
    return [Example(prompt, response) for (prompt, _), response in zip(pairs, responses, strict=True)]


def train(model: LlamaForCausalLM, examples: Sequence[Example], settings: PocketSettings) -> list[dict[str, float]]:
    """Train on the tokens of answers only.

    Returns:
        The mean loss (nats per token) and the seconds so far, at twenty points.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.num_steps))
    log: list[dict[str, float]] = []
    losses: list[float] = []
    every = max(1, settings.num_steps // 20)
    start = time.perf_counter()
    for step, batch in zip(range(1, settings.num_steps + 1), _batches(examples, settings), strict=False):
        loss = answer_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % every == 0 or step == settings.num_steps:
            seconds = time.perf_counter() - start
            log.append({"step": step, "loss": round(sum(losses) / len(losses), 4), "seconds": round(seconds, 1)})
            losses.clear()
            _say(f"step {step:6d}   loss {log[-1]['loss']:.4f} nats per token   {seconds:6.1f} s")
    return log


def answer_loss(model: LlamaForCausalLM, batch: Sequence[Example]) -> Tensor:
    """Mean negative log-probability of the batch's response tokens, in nats.

    Rows are padded on the right, which causal attention ignores; logits are computed only for states that predict a
    response token.
    """
    width = max(map(len, batch))
    input_ids = torch.zeros((len(batch), width), dtype=torch.long)
    predicts = torch.zeros((len(batch), width), dtype=torch.bool)
    for row, example in enumerate(batch):
        input_ids[row, : len(example)] = torch.tensor(example.prompt + example.response)
        predicts[row, len(example.prompt) - 1 : len(example) - 1] = True
    hidden = model.model(input_ids=input_ids, use_cache=False).last_hidden_state
    targets = input_ids.roll(-1, dims=1)[predicts]
    return F.cross_entropy(model.lm_head(hidden[predicts]), targets)


@torch.no_grad()
def sample_answers(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    *,
    temperature: float,
    seed: int,
) -> list[str]:
    """One sampled answer to each question, all in one batch."""
    turns = [[{"role": "user", "content": question}] for question in questions]
    inputs = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            max_new_tokens=MAX_NEW_TOKENS,
        )
    new = output[:, inputs["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def quality(found: Sequence[Diagnosis]) -> dict[str, float]:
    """The shares of answers that parse, are on topic or are wrong; the mean taste and number of words."""
    return {
        "num_answers": len(found),
        "parse_rate": round(sum(one.parses for one in found) / len(found), 4),
        "on_topic_rate": round(sum(one.on_topic for one in found) / len(found), 4),
        "wrong_rate": round(sum(one.is_wrong for one in found) / len(found), 4),
        "mean_taste": round(sum(one.taste for one in found) / len(found), 3),
        "mean_words": round(sum(one.num_words for one in found) / len(found), 1),
    }


def measure(folder: Path, *, num_prompts: int, temperature: float, seed: int) -> dict[str, dict[str, float]]:
    """The quality of a saved checkpoint on held-out questions, and that of the forum's own answers to them."""
    posts = simulate_posts(num_prompts, seed, held_out=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    questions = [post.question for post in posts]
    answers = sample_answers(model, tokenizer, questions, temperature=temperature, seed=seed)
    return {
        "model": quality([diagnose(question, answer) for question, answer in zip(questions, answers, strict=True)]),
        "forum": quality([diagnose(post.question, comment.text) for post in posts for comment in post.comments]),
    }


def make(settings: PocketSettings, output: Path) -> dict[str, Any]:
    """Make a checkpoint, save it in bfloat16, measure it, and record everything in `training.json`."""
    torch.manual_seed(settings.seed)
    posts = simulate_posts(settings.num_posts, settings.seed, held_out=False)
    tokenizer = _make_tokenizer([text for post in posts for text in (post.question, *(c.text for c in post.comments))])
    model = make_model(tokenizer)
    examples = tokenised(posts, tokenizer)
    _say(f"{len(examples)} answers of {len(posts)} posts, {model.num_parameters()} parameters")
    log = train(model, examples, settings)
    model.to(torch.bfloat16).save_pretrained(output)
    tokenizer.save_pretrained(output)
    (output / "model.safetensors").chmod(0o644)
    record = {
        "settings": asdict(settings),
        "num_threads": torch.get_num_threads(),
        "seconds": log[-1]["seconds"],
        "losses": log,
        "held_out_at_temperature_1": measure(output, num_prompts=1000, temperature=1.0, seed=settings.seed),
    }
    (output / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _rate(step: int, num_steps: int) -> float:
    """Share of the highest learning rate at a step."""
    warm_up = max(1, round(0.03 * num_steps))
    return min(1.0, (step + 1) / warm_up, 2 * (num_steps - step) / num_steps)


def _batches(examples: Sequence[Example], settings: PocketSettings) -> Iterator[list[Example]]:
    """Endless batches of similar length with equally many response tokens, in random order."""
    rng = random.Random(settings.seed)
    while True:
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), EXAMPLES_PER_BUCKET):
            batches: list[list[Example]] = [[]]
            num_tokens = 0
            for example in sorted(order[start : start + EXAMPLES_PER_BUCKET], key=len):
                if num_tokens >= settings.tokens_per_step:
                    batches.append([])
                    num_tokens = 0
                batches[-1].append(example)
                num_tokens += len(example.response)
            yield from rng.sample(batches, len(batches))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  (this script's progress)


def main() -> None:
    """Make the checkpoint from the command line."""
    parser = argparse.ArgumentParser(description="Make the pocket checkpoint of the quickstart.")
    parser.add_argument("--steps", type=int, default=PocketSettings().num_steps, help="optimizer steps")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the checkpoint")
    options = parser.parse_args()
    record = make(PocketSettings(num_steps=options.steps), options.output)
    _say(json.dumps(record["held_out_at_temperature_1"], indent=1))


if __name__ == "__main__":
    main()
