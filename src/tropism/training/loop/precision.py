"""The lower precision that training arguments ask for, for every pass that Trainer does not wrap itself."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from transformers import TrainingArguments


def lower_dtype(args: TrainingArguments) -> torch.dtype | None:
    """What a forward pass computes in; None for the dtype of the weights."""
    return torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else None


def lowered(args: TrainingArguments) -> contextlib.AbstractContextManager[Any]:
    """The precision of a forward pass, for the time of a block."""
    dtype = lower_dtype(args)
    return torch.autocast(args.device.type, dtype) if dtype else contextlib.nullcontext()
