"""How the cost of a step grows: with responses per prompt, with the prompt's length, and with the vocabulary.

    python benchmarks/growth.py          (or: make bench-growth)

Two prompts a step; every point is a process of its own, and the three ways of a point run one after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from typing import Any

from step_cpu import KEYS, RESULTS, hardware, in_a_process
from ways import Workload, measure

WAYS = ("trl_restricted", "padded", "forest")
MOST_PAIRS = 100
BASE = Workload(prompts=2, prompt=200, response=100)
POINTS: dict[str, list[Workload]] = {
    "responses": [
        dataclasses.replace(BASE, responses=k, micro_batches=m) for k, m in ((2, 1), (4, 1), (8, 4), (16, 16))
    ],
    "prompt": [dataclasses.replace(BASE, prompt=k) for k in (128, 512, 2048, 4096)],
    "vocabulary": [dataclasses.replace(BASE, vocabulary=k) for k in (4096, 32768, 131072)],
}


def plot(rows: list[dict[str, Any]], path: Any) -> None:
    """CPU seconds a step over each of the three."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tropism"
    from matplotlib import pyplot as plt

    measured = list(dict.fromkeys(row["axis"] for row in rows))
    figure, axes = plt.subplots(
        1, len(measured), figsize=(3.5 * len(measured), 3.2), squeeze=False, layout="constrained"
    )
    axes = axes[0]
    for axis, name in zip(axes, measured, strict=True):
        for way, colour in zip(WAYS, ("#9aa0a6", "#c58a2b", "#2f7d4f"), strict=True):
            mine = [row for row in rows if row["axis"] == name and row["way"] == way]
            axis.plot([r[name] for r in mine], [r["cpu_seconds"] for r in mine], "o-", color=colour, label=way)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel({"responses": "responses per prompt", "prompt": "tokens of a prompt"}.get(name, name))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("CPU s per step")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure every point by every way, write the results and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("AXIS", "POINT", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        axis, point, way = arguments.one
        print(json.dumps(measure(POINTS[axis][int(point)], way, steps=2)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for axis, points in POINTS.items():
            for point in range(len(points)):
                for way in WAYS:
                    if points[point].pairs > MOST_PAIRS and way.startswith("trl"):
                        continue  # minutes for a step, and the line is clear by then
                    row = in_a_process([__file__, "--one", axis, str(point), way], cache=cache)
                    rows.append({"axis": axis, **row})
                    print(axis, row[axis], way, *(f"{key} {row[key]:.2f}" for key in KEYS), flush=True)
                    (RESULTS / "growth.json").write_text(json.dumps({"rows": rows, **hardware()}, indent=1) + "\n")
                    plot(rows, RESULTS / "growth.svg")


if __name__ == "__main__":
    main()
