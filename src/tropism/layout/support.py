"""Is the forest exact for this model? By its parts, and by a trial on the model itself.

The forest is exact if tokens meet in attention alone. A convolution or a recurrence over the row would mix siblings,
and attention that goes past transformers' registry would not see the plan. Parts that do so are found by their type;
what no list knows is found by running a small fork both ways and comparing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tropism.errors import ModelError
from tropism.groups import PreferenceGroup, Response
from tropism.layout import attention, forest
from tropism.layout.logprobs import head_sees_only, known_after_head, scores_for_logits
from tropism.text.rendered import RenderedGroup, RenderedResponse

MIXERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.RNNBase)
"""Layers that mix neighbouring tokens."""
LAYER_TYPES = frozenset({"full_attention", "sliding_attention", "dense", "sparse", "moe", "mlp"})
"""Entries of a configuration's `layer_types` in which tokens meet in causal attention or not at all."""
TRIAL_PROMPT, TRIAL_ANSWERS = 6, (4, 3)
BOUND_NATS = {torch.float64: 1e-6, torch.float32: 2e-3}
"""How far a token's log-probability may differ in the trial; 0.5 in half precision, whose rounding is that coarse."""


def require_forest(model: PreTrainedModel) -> None:
    """Refuse a model whose tokens meet elsewhere than in attention that the forest reaches.

    Args:
        model: a causal language model, without adapters or engines around it.

    Raises:
        ModelError: naming the layer.
    """
    for path, module in model.named_modules():
        if isinstance(module, MIXERS):
            raise unfit(f"{path} ({type(module).__name__}) mixes neighbouring tokens")
    config = model.config.get_text_config()
    for index, kind in enumerate(getattr(config, "layer_types", None) or ()):
        if kind not in LAYER_TYPES:
            raise unfit(f"layer {index} is of type {kind!r}")
    if not model._can_set_attn_implementation() or not model._supports_attention_backend:
        raise unfit(f"{_first_attention(model)} does not use transformers' attention interface")


def unfit(why: str) -> ModelError:
    """The error of a model that the forest would compute wrongly."""
    return ModelError(f"the forest layout is not exact for this model: {why}.", remedy=attention.WAY_OUT)


def _first_attention(model: nn.Module) -> str:
    """The first module that is attention by its name, or that mixes tokens in some other way."""
    named = ((path, type(module).__name__) for path, module in model.named_modules() if path)
    found = ((path, kind) for path, kind in named if "Attention" in kind or "Mixer" in kind)
    path, kind = next(found, ("the model", type(model).__name__))
    return f"{path} ({kind})"


def trial_group(model: PreTrainedModel) -> RenderedGroup:
    """Random tokens: a prompt with two answers that part after their first token."""
    head = model.get_output_embeddings()
    size = min(model.get_input_embeddings().num_embeddings, 2**31 if head is None else head.weight.shape[0])
    ids = torch.randint(size, (TRIAL_PROMPT + sum(TRIAL_ANSWERS),), generator=torch.Generator().manual_seed(0))
    prompt, first, second = (tuple(part.tolist()) for part in ids.split((TRIAL_PROMPT, *TRIAL_ANSWERS)))
    answers = (first, (first[0], *second))
    return RenderedGroup(
        PreferenceGroup("trial", ("",), (Response("0", "a"), Response("1", "b"))),
        (prompt,),
        tuple(RenderedResponse(answer, (True,) * len(answer), 0, complete=False) for answer in answers),
        (),
        (),
        (None, None),
        (None, None),
    )


@torch.no_grad()
def try_head(model: PreTrainedModel) -> bool:
    """Whether a model does to its logits only what `known_after_head` knows, seen on a few random tokens."""
    return same(_chunked(model, _in_rows(trial_group(model), model)), whole(model), model.dtype)


@torch.no_grad()
def try_forest(model: PreTrainedModel) -> None:
    """Compare a fork of random tokens in the forest with its sequences one by one, attended to as the model came.

    Raises:
        ModelError: if they differ, naming the first layer that does.
    """
    batch = forest.collate([trial_group(model)]).to(model.device)
    with attending(model, attention.NAME), _recorded(model) as ours:
        given = _whole_head(model, batch.model_inputs(), batch.predicting, batch.targets)
    with _recorded(model) as theirs:
        wanted = whole(model)
    if not same(given[batch.place], wanted, model.dtype):
        paths = forest.plant([trial_group(model).identities(index) for index in (0, 1)]).paths
        raise unfit(f"{_first_difference(ours, theirs, paths, model.dtype)} computes a fork of tokens differently")


def same(given: Tensor, wanted: Tensor, dtype: torch.dtype) -> bool:
    """Whether log-probabilities agree to what the dtype can hold."""
    return bool(torch.isfinite(given).all()) and float((given - wanted).abs().max()) <= BOUND_NATS.get(dtype, 0.5)


def _in_rows(group: RenderedGroup, model: PreTrainedModel) -> list[dict[str, Tensor]]:
    """The trial's sequences, one batch each."""
    return [{"input_ids": torch.tensor([group.sequence(index)], device=model.device)} for index in (0, 1)]


def scored(group: RenderedGroup, index: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where an answer of the trial is predicted, and its tokens."""
    answer = torch.tensor(group.responses[index].ids, device=device)
    return torch.arange(len(answer), device=device) + len(group.prompts[0]) - 1, answer


def whole(model: PreTrainedModel) -> Tensor:
    """Log-probabilities of the trial's answers by the model's own forward, a sequence at a time."""
    group = trial_group(model)
    rows = enumerate(_in_rows(group, model))
    return torch.cat([_whole_head(model, row, *scored(group, index, model.device)) for index, row in rows])


def _whole_head(model: PreTrainedModel, inputs: dict[str, Any], predicting: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities of targets from the logits that the model itself returns."""
    with head_sees_only(model.get_output_embeddings(), predicting):
        logits = model(**inputs, use_cache=False).logits[0]
    logp = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)
    return logp.gather(1, targets[:, None])[:, 0]


def _chunked(model: PreTrainedModel, rows: Sequence[dict[str, Tensor]]) -> Tensor:
    """The same by way of `scores_for_logits`."""
    group, found = trial_group(model), []
    after = known_after_head(model.config.get_text_config())
    for index, row in enumerate(rows):
        places, targets = scored(group, index, model.device)
        with scores_for_logits(model, model.get_output_embeddings(), after, places, targets) as scores:
            model(**row, use_cache=False)
        found.append(scores[0].policy)
    return torch.cat(found)


@contextlib.contextmanager
def attending(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Let a model attend by the attention of this name for the time of a block."""
    before = model.config._attn_implementation
    if name != before:
        model.set_attn_implementation(name)
    try:
        yield
    finally:
        if name != before:
            model.set_attn_implementation(before)


@contextlib.contextmanager
def _recorded(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Note what every module gives out, in the order in which they run."""
    outputs: dict[str, list[Tensor]] = {}
    handles = []

    def note(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            if isinstance(first, Tensor) and first.dim() == 3:
                outputs.setdefault(path, []).append(first.detach())

        return hook

    for path, module in model.named_modules():
        handles.append(module.register_forward_hook(note(path)))
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _first_difference(
    ours: dict[str, list[Tensor]], theirs: dict[str, list[Tensor]], paths: Sequence[Any], dtype: torch.dtype
) -> str:
    """The first module whose output for the second sequence is not that of its nodes in the forest."""
    for path, outputs in ours.items():
        if not path or len(theirs.get(path, ())) != len(paths):
            continue
        for nodes, alone in zip(paths, theirs[path], strict=True):
            if outputs[0].shape[1] <= int(max(nodes)) or alone.shape[1] != len(nodes):
                continue
            off = (outputs[0][0, torch.from_numpy(nodes)] - alone[0]).abs().max()
            if float(off) > BOUND_NATS.get(dtype, 0.5) / 20 * max(1.0, float(alone.abs().max())):
                return path
    return "some layer"
