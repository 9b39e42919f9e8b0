"""How many threads a small model trains fastest with."""

from __future__ import annotations

import time

import torch


def best_thread_count() -> int:
    """One thread, two or all of them: whichever multiplies small matrices fastest on this machine at this moment."""
    available = torch.get_num_threads()
    speeds = {}
    for threads in sorted({1, min(2, available), available}):
        torch.set_num_threads(threads)
        speeds[threads] = _multiplications_per_second(seconds=0.3)
    torch.set_num_threads(available)
    return max(speeds, key=lambda threads: speeds[threads])


def _multiplications_per_second(*, seconds: float) -> float:
    """How many products of the pocket model's size this process computes in a second."""
    left, right = torch.randn(1500, 96), torch.randn(96, 256)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        torch.tanh(left @ right)
        done += 1
    return done / (time.perf_counter() - start)
