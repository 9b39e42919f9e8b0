"""The machine a run happened on: versions, hardware and memory, without its names and paths."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import PartialState


def environment() -> dict[str, str]:
    """Versions and hardware, without names or paths of the machine."""
    packages = ("tropism", "torch", "transformers", "accelerate", "peft", "datasets")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "threads": str(torch.get_num_threads()),
        "processes": str(PartialState().num_processes),
    } | {package: version(package) for package in packages}


def peak_memory_mb() -> float:
    """Peak memory of this process, or of the GPU if there is one, in MB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def resident_mb() -> float:
    """Memory that this process holds now, in MB; its peak so far if the system reports nothing else."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return peak_memory_mb()


def is_main_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return bool(PartialState().is_main_process)


def leave_process_group() -> None:
    """Wait for the other processes and end this one with status 0; nothing happens if it is the only one.

    It ends at once, without the interpreter's teardown: with torch 2.13, threads of gloo abort that teardown now and
    then (2 of 7 runs on a busy machine), after all is written, and the launcher would call the run a failure.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
