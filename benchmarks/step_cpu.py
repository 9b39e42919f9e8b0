"""What a DPO step costs on a CPU: ours beside TRL's, alternating in one process tree, on the same pairs.

    make bench          (or: python benchmarks/step_cpu.py --repeats 5 --workloads chat long votes)

Each measurement is a process of its own, so that peak memory means something; its first step is left out. A ratio is
between two ways of one repeat, neighbours in time. Absolute times mean nothing on a shared machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ways import WAYS, WORKLOADS, Workload, measure

RESULTS = Path(__file__).parent / "results"
STEPS = {"chat": 3, "long": 2, "votes": 3}
KEYS = ("cpu_seconds", "wall_seconds", "peak_memory_mb")
COMPARED = (
    ("trl", "forest"),
    ("trl_restricted", "forest"),
    ("trl_precomputed", "forest_warm"),
    ("padded", "forest"),
    ("trl", "padded"),
)


def in_a_process(arguments: list[str], *, cache: str) -> dict[str, Any]:
    """One measurement, made by this script in a process of its own."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"TROPISM_CACHE": cache}
    )
    if done.returncode:
        sys.exit(done.stderr)
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def alternate(names: list[str], repeats: int, ways: list[str]) -> list[dict[str, Any]]:
    """Every way after the other, so many times."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for name, repeat, way in itertools.product(names, range(repeats), ways):
            row = in_a_process([__file__, "--one", name, way], cache=cache)
            rows.append({"workload": name, "repeat": repeat, **row})
            print(name, repeat, way, *(f"{key} {row[key]:.2f}" for key in KEYS), flush=True)
    return rows


def ratios_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Ratios between two ways over the repeats: least, median, greatest."""
    found = {}
    for name, (slow, fast), key in itertools.product(dict.fromkeys(row["workload"] for row in rows), COMPARED, KEYS):
        of = {
            way: {row["repeat"]: row[key] for row in rows if row["workload"] == name and row["way"] == way}
            for way in (slow, fast)
        }
        values = sorted(of[slow][repeat] / of[fast][repeat] for repeat in of[slow] if repeat in of[fast])
        if values:
            found[f"{name}: {slow} / {fast}, {key}"] = {
                "min": values[0], "median": statistics.median(values), "max": values[-1],
            }  # fmt: skip
    return found


def hardware() -> dict[str, Any]:
    """The machine, without its names and paths."""
    names = ("torch", "transformers", "trl", "tropism")
    model = next(
        (line.split(":")[1].strip() for line in cpuinfo().splitlines() if line.startswith("model name")), "unknown"
    )
    return {
        "processor": f"{model} ({platform.machine()})",
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in names},
    }


def cpuinfo() -> str:
    """What Linux tells of the processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def table(rows: list[dict[str, Any]], ratios: dict[str, dict[str, float]]) -> str:
    """Everything in one table, medians over the repeats."""
    lines = [
        f"{'workload':9}{'way':17}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'computed':>10}{'distinct':>10}{'pairs/s':>9}"
    ]
    for name, way in dict.fromkeys((row["workload"], row["way"]) for row in rows):
        mine = [row for row in rows if row["workload"] == name and row["way"] == way]
        wall, cpu, peak = (statistics.median(row[key] for row in mine) for key in ("wall_seconds", *KEYS[::2]))
        tokens = [f"{mine[0].get(key, float('nan')):10,.0f}" for key in ("tokens_computed", "tokens_distinct")]
        pairs = mine[0]["pairs"] / wall
        lines.append(f"{name:9}{way:17}{wall:9.2f}{cpu:9.2f}{peak:9.0f}{''.join(tokens)}{pairs:9.2f}")
    lines += [
        f"{name}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" for name, ratio in ratios.items()
    ]
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """CPU seconds and peak memory of every way, one panel for each workload."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tropism"
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["workload"] for row in rows))
    figure, axes = plt.subplots(2, len(names), figsize=(3.4 * len(names), 4.6), squeeze=False, layout="constrained")
    for (line, (key, label)), (column, name) in itertools.product(
        enumerate((("cpu_seconds", "CPU s per step"), ("peak_memory_mb", "peak MB"))), enumerate(names)
    ):
        ways = list(dict.fromkeys(row["way"] for row in rows if row["workload"] == name))
        of = {way: [row[key] for row in rows if row["workload"] == name and row["way"] == way] for way in ways}
        axis = axes[line][column]
        middles = [statistics.median(of[way]) for way in ways]
        spread = [[m - min(of[w]) for m, w in zip(middles, ways, strict=True)],
                  [max(of[w]) - m for m, w in zip(middles, ways, strict=True)]]  # fmt: skip
        colours = ["#2f7d4f" if way.startswith("forest") else "#9aa0a6" for way in ways]
        axis.barh([way.replace("_", " ") for way in ways], middles, xerr=spread, color=colours, ecolor="#333333")
        axis.invert_yaxis()
        axis.set_title(f"{name}: {label}", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        if column:
            axis.set_yticklabels([])
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Alternate the ways, print the table, write the results and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--one", nargs=2, metavar=("WORKLOAD", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, way = arguments.one
        workload: Workload = WORKLOADS[name]
        print(json.dumps(measure(workload, way, steps=STEPS[name])))
        return
    rows = alternate(arguments.workloads, arguments.repeats, arguments.ways)
    ratios = ratios_of(rows)
    (RESULTS / "step_cpu.json").write_text(json.dumps({"rows": rows, "ratios": ratios, **hardware()}, indent=1) + "\n")
    plot(rows, RESULTS / "step_cpu.svg")
    print(table(rows, ratios))


if __name__ == "__main__":
    main()
