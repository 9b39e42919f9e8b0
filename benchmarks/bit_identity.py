"""Trains the quickstart and three recipes at a fixed seed and writes every number to the last bit.

A refactoring must not change any of it. Run it before and after, and compare:

    python benchmarks/bit_identity.py run before.json
    python benchmarks/bit_identity.py run after.json
    python benchmarks/bit_identity.py compare before.json after.json

`run` uses the command line only, so that the same script works on any version of the package. It records, for each
stage of each recipe: losses and gradient norms of every step (as hexadecimal floats), a digest of the final weights,
and a digest of the reference scores of every response that training put into the cache (nothing is held out, so that an
evaluation adds none).
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

POSTS = 600
TRAIN = {"per_device_train_batch_size": 16, "max_grad_norm": 1.0, "seed": 7, "use_cpu": True, "logging_steps": 1}
RECIPES: dict[str, dict[str, Any]] = {
    "two-stages-padded": {
        "layout": "padded",
        "stages": [
            {"name": "both", "loss": {"dpo": {"beta": 0.2}, "nll": {"weight": 0.5}}, "train": {"max_steps": 12}},
            {
                "name": "ipo",
                "loss": {"ipo": {}},
                "reference": {"kind": "moving", "every": 4},
                "train": {"max_steps": 8},
            },
        ],
    },
    "lora-mixture": {
        "lora": {"r": 4, "alpha": 8},
        "loss": {"wpo": {}, "bco": {"weight": 0.5}},
        "train": {"max_steps": 12},
    },
    "reward": {"loss": {"bradley_terry": {}}, "train": {"max_steps": 12}},
}
"""Between them: both layouts, an adapter, a moving reference, a loss of the whole step, and a reward model."""


def measure(output: Path) -> None:
    """Train everything in a temporary folder, and write what was seen."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seen = {"quickstart": quickstart(folder)}
        for recipe, settings in RECIPES.items():
            seen[recipe] = train(folder, recipe, settings)
    output.write_text(json.dumps(seen, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def quickstart(folder: Path) -> dict[str, Any]:
    """The quickstart at a third of its size, and its recipe again without an evaluation, for the reference scores."""
    tropism(folder, "quickstart", "--output", "quickstart", "--posts", str(POSTS), cache="quickstart-cache")
    recipe = next((folder / "quickstart").rglob("recipe.yaml"))
    found = stages_of(recipe.parent)
    again = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    again["data"].pop("eval", None)
    again.pop("evaluation", None)
    again |= {"output": "quickstart-alone"}
    again["data"]["holdout"] = 0.0
    (folder / "alone.yaml").write_text(yaml.safe_dump(again), encoding="utf-8")
    tropism(folder, "train", "alone.yaml", cache="alone-cache")
    return found | {"reference": reference_rows(folder / "alone-cache")}


def train(folder: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One recipe on the quickstart's groups and pocket model."""
    pocket = pocket_folder()
    votes = next((folder / "quickstart").rglob("votes.parquet"))
    recipe = {
        "model": str(pocket),
        "data": {"train": str(votes.relative_to(folder)), "max_tokens": 256, "template": "chat", "holdout": 0.0},
        "output": name,
        **settings,
    }
    recipe["train"] = {**TRAIN, **settings.get("train", {})}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    tropism(folder, "train", f"{name}.yaml", cache=f"{name}-cache")
    return stages_of(folder / name) | {"reference": reference_rows(folder / f"{name}-cache")}


def pocket_folder() -> Path:
    """The shipped pocket model, wherever this version keeps it."""
    code = "import tropism.applications.quickstart as q; print(q.__path__[0])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip()) / "pocket"


def tropism(folder: Path, *arguments: str, cache: str) -> None:
    """Run one command with one thread and a cache of its own."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment = {**os.environ, **threads, "TROPISM_CACHE": str(folder / cache), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", "tropism", *arguments], check=True, cwd=folder, env=environment)


def stages_of(run: Path) -> dict[str, Any]:
    """Every logged number of every stage, and its weights."""
    stages = {}
    for record in sorted(run.glob("*/stage.json")):
        lines = [json.loads(line) for line in (record.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        kept = [
            {key: float(line[key]).hex() for key in ("loss", "grad_norm") if key in line} | {"step": line["step"]}
            for line in lines
            if "loss" in line
        ]
        stages[record.parent.name] = {"steps": kept, "weights": weights_digest(record.parent / "model")}
    return {"stages": stages}


def weights_digest(folder: Path) -> str:
    """A digest of every tensor by name, shape, type and bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                tensor = file.get_tensor(name).contiguous()
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.view(-1).numpy().tobytes())
    return digest.hexdigest()


def reference_rows(cache: Path) -> list[str]:
    """A short digest of the scores of every response in a cache. Keys are left out: they may hold versions."""
    rows = []
    for path in sorted((cache / "reference").glob("*.sqlite")):
        with sqlite3.connect(path) as file:
            rows += [blob for (blob,) in file.execute("SELECT token_logp FROM scores")]
    return sorted(hashlib.sha256(row).hexdigest()[:12] for row in rows)


def compare(before: Path, after: Path) -> int:
    """Print what differs; the exit status is 1 where anything does."""
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    differences = 0
    if old.keys() != new.keys():
        sys.exit(f"{before} holds {', '.join(sorted(old))}, and {after} {', '.join(sorted(new))}.")
    for name in sorted(old):
        same = old[name]["stages"] == new[name]["stages"]
        differences += not same
        steps = sum(len(stage["steps"]) for stage in new[name]["stages"].values())
        scores = len(old[name]["reference"])
        print(f"{name}: {'identical' if same else 'DIFFERENT'} ({steps} steps, {scores} reference scores)")
        for stage, seen in new[name]["stages"].items():
            then = old[name]["stages"].get(stage)
            if then is None or seen["steps"] != then["steps"]:
                print(f"  {stage}: losses or gradient norms differ")
            if then is None or seen["weights"] != then["weights"]:
                print(f"  {stage}: final weights differ")
        ours, theirs = Counter(old[name]["reference"]), Counter(new[name]["reference"])
        changed = (ours - theirs) + (theirs - ours)
        differences += len(changed) > 0
        if changed:
            print(f"  {changed.total()} of {len(old[name]['reference'])} reference scores differ")
    return int(differences > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"] and len(sys.argv) == 4:
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
    if sys.argv[1:2] != ["run"] or len(sys.argv) != 3:
        sys.exit(__doc__)
    measure(Path(sys.argv[2]).absolute())
