"""Do the alarms tell a sane run from one made to over-optimise? On the embedded default, and on real pairs.

    python benchmarks/over_optimise.py [--folder runs/over_optimise] [--seeds 0 1 2]

Writes benchmarks/results/over_optimise.json: what every probe measured, which alarms tripped when, the evaluation on
held-out prompts, and whether the gate in over_optimise_gate.yaml lets it through. Real pairs (hh-rlhf with
stories260K) where TROPISM_TEST_DATA names them. Runs that are done in the folder are read, not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "over_optimise.json"
GATE = Path(__file__).with_name("over_optimise_gate.yaml")

SANE: dict[str, Any] = {"loss": {"dpo": {"beta": 0.3}, "nll": {"weight": 1.0}},
                        "train": {"max_steps": 200, "learning_rate": 2e-3}}  # fmt: skip
"""The quickstart's own DPO stage."""
PLAIN: dict[str, Any] = {"loss": {"dpo": {"beta": 0.3}}, "train": {"max_steps": 200, "learning_rate": 5e-4}}
"""Plain DPO at a quarter of that learning rate: no anchor, and still a reasonable run."""
OVER: dict[str, Any] = {
    "loss": {"dpo": {"beta": 0.01}},
    "train": {"max_steps": 500, "learning_rate": 2e-3, "lr_scheduler_type": "constant"},
}
"""Beta tiny, many epochs, no anchor."""
BETWEEN: dict[str, Any] = {"loss": {"dpo": {"beta": 0.01}}, "train": {"max_steps": 60, "learning_rate": 2e-3}}
"""The same beta, stopped after 60 steps: on its way to being spoilt."""
WAYS = {"sane": SANE, "plain": PLAIN, "between": BETWEEN, "over": OVER}

REAL_SANE = {"loss": {"dpo": {"beta": 0.1}}, "train": {"num_train_epochs": 1, "learning_rate": 1e-4}}
REAL_OVER = {"loss": {"dpo": {"beta": 0.01}},
             "train": {"num_train_epochs": 3, "learning_rate": 2e-3, "lr_scheduler_type": "constant"}}  # fmt: skip
REAL_WAYS = {"sane": REAL_SANE, "over": REAL_OVER}
"""The recipe recipes/hh-dpo.yaml, and the same made to over-optimise."""


def main() -> None:
    """Run every way on every seed and write the results after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/over_optimise"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for data, recipes in (
            ("embedded default", pocket_recipes(arguments.folder / f"pocket-{seed}", seed=seed)),
            ("hh_harmless, stories260K", real_recipes(arguments.folder / f"real-{seed}", seed=seed)),
        ):
            for way, recipe in recipes.items():
                rows.append({"data": data, "way": way, "seed": seed} | measured(recipe))
                RESULTS.write_text(json.dumps({"environment": rows[0]["environment"], "rows": rows}, indent=1) + "\n")
                tripped = ", ".join(f"{one['name']} at {one['step']}" for one in rows[-1]["alarms"]) or "none"
                verdict = "open" if rows[-1]["gate"]["passed"] else "shut"
                print(f"{data}, {way}, seed {seed}: gate {verdict}; alarms: {tripped}", flush=True)


def pocket_recipes(folder: Path, *, seed: int) -> dict[str, dict[str, Any]]:
    """The quickstart's votes and its supervised model, then DPO in every way."""
    from tropism.applications.quickstart.forum_application import QUICKSTART
    from tropism.applications.runner import group_files, recipe_of
    from tropism.training.recipe.recipe_file import parse_recipe
    from tropism.training.runs.run import run_recipe

    chosen = QUICKSTART.settings()
    files = group_files(QUICKSTART, chosen, seed, folder / "data")
    arm = QUICKSTART.arms(chosen, seed)["dpo"]
    recipe = recipe_of(arm, files, folder / "unused", suite=Path("training"), seed=seed)
    settings = recipe.model_dump(mode="json", exclude_unset=True)
    sft, dpo = settings["stages"]
    settings["evaluation"]["prompts"] = 200
    start = folder / "start"
    if not (start / "run.json").exists():
        only_sft = settings | {"stages": [sft], "output": str(start), "evaluation": {"prompts": 0}}
        run_recipe(parse_recipe(only_sft), command="benchmarks/over_optimise.py")
    return {
        way: settings
        | {
            "model": str(start / "sft" / "model"),
            "stages": [dpo | changes | {"train": dpo["train"] | changes["train"]}],
            "output": str(folder / way),
        }
        for way, changes in WAYS.items()
    }


def real_recipes(folder: Path, *, seed: int) -> dict[str, dict[str, Any]]:
    """The recipe of recipes/hh-dpo.yaml in two ways; nothing without the real data."""
    if not os.environ.get("TROPISM_TEST_DATA"):
        return {}
    from tropism.training.recipe.recipe_file import load_recipe

    given = load_recipe(Path(__file__).parents[1] / "recipes" / "hh-dpo.yaml").model_dump(
        mode="json", exclude_unset=True
    )
    return {
        way: given
        | changes
        | {
            "train": given["train"] | {"seed": seed, "use_cpu": True, "save_strategy": "no"} | changes["train"],
            "output": str(folder / way),
        }
        for way, changes in REAL_WAYS.items()
    }


def measured(settings: dict[str, Any]) -> dict[str, Any]:
    """Train a recipe (or read it where it is done) and keep what its record says of alarms, probes, evaluation."""
    from tropism.evals.core.gate import hold, read_gate, read_measures
    from tropism.records import read_run
    from tropism.training.recipe.recipe_file import parse_recipe
    from tropism.training.recipe.sections import AlarmsRecipe
    from tropism.training.runs.run import run_recipe
    from tropism.training.watch.alarms import alarms_of

    recipe = parse_recipe(settings)
    record = Path(recipe.output) / "run.json"
    run = (
        read_run(record)
        if record.exists()
        else run_recipe(recipe, command="benchmarks/over_optimise.py", overwrite=Path(recipe.output).exists())
    )
    stage = run.stages[-1]
    assert run.evaluation is not None
    metrics = run.evaluation.metrics_of(run.evaluation.others[0])
    checks = hold(read_gate(GATE), read_measures(Path(recipe.output)))
    return {
        "environment": run.environment,
        "loss": stage.loss,
        "steps": stage.steps,
        "seconds": round(stage.seconds, 1),
        "alarms": [one.model_dump() for one in alarms_of(stage.probes, AlarmsRecipe().settings())],
        "probes": [one.model_dump() for one in stage.probes],
        "gate": {"passed": all(one.passed for one in checks), "reasons": [one.reason for one in checks]},
        "evaluation": {name: one.model_dump() for name, one in metrics.items()},
    }


if __name__ == "__main__":
    main()
