"""Writes docs/applications.md from the table of applications; with --check it says whether the page is fresh."""

from __future__ import annotations

import sys
from pathlib import Path

from tropism.applications.application_table import APPLICATIONS

PAGE = Path(__file__).with_name("applications.md")

HEAD = """# Applications

The tables are made by `make docs` from `tropism.applications.APPLICATIONS`; `make check` fails if this page is stale.

An application is a published system that works on a user's model, and the proof of its effect. `tropism app` lists
all of them; `tropism app NAME --demo` runs one on a small embedded example, and `tropism app NAME --model M --data D`
on your own model and data, if the application has these settings. The end is a list of claims, each with the number
behind it; a claim that does not hold is printed as such.
"""

TAIL = """## How claims are measured

Every arm (undefended, defended, controls, baselines) is an ordinary run in `seed-N/ARM` of the output folder,
measured by the application's own suite on held-out groups. A claim holds if the whole 95 % interval of its number is
on the right side of its threshold. On one seed the interval draws whole prompts, and the page says that the seed was
not varied. With `--seeds N` the variance within seeds (over prompts) and between seeds is added up;
`tropism.applications.seed_estimates.over_seeds` states the method.

The same command continues after an interruption or a kill: finished runs and results are read, and the claims are the
same, to the last bit on a CPU (tested). More seeds may be added. Other settings need another folder or `--overwrite`.
The number of threads is chosen once per folder and then kept, because another number may change the last bits of a
sum.

## An application of your own

An application is a value, in the table or in a file of yours: `tropism app my_app.py:APP --demo`.

```python
from tropism.applications import Application, ApplicationSettings, Claim, GroupSet, value_of


class Settings(ApplicationSettings):
    steps: int = 50


def groups(settings, seed):
    return {"pairs": GroupSet(make_pairs(seed))}  # your PreferenceGroups; the same seed makes the same groups


def arms(settings, seed):
    data = {"train": "pairs", "holdout": 0.2}  # a source with the name of a group set means that set
    return {"dpo": {"model": "path", "data": data, "loss": "dpo", "train": {"max_steps": settings.steps, "seed": seed}}}


APP = Application(
    name="mine",
    paper="none",
    summary="Sides with my pairs.",
    settings=Settings,
    groups=groups,
    arms=arms,
    suite=lambda settings: ["preference"],
    claims=[Claim("ordered", "Most pairs are ordered rightly.", value_of("dpo", "preference.pair_accuracy"), 0.5)],
)
```

`suite` lists evals as a suite's file does (docs/evaluation.md); your own are named `my_app.py:my_eval`.
`compare_with` names the arm that the others are compared with; without it they are compared with the model that the
first arm's last stage started from. `change_of(arm, metric)` is the paired difference from it.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, summary_table(), *map(section, APPLICATIONS), TAIL])


def summary_table() -> str:
    """A row for each application."""
    rows = [f"| `{one.name}` | {one.summary} | {one.paper} |" for one in APPLICATIONS.values()]
    return "\n".join(["| name | what it does | paper |", "|---|---|---|", *rows, ""])


def section(name: str) -> str:
    """The settings and the claims of one application."""
    application = APPLICATIONS[name]
    fields = [
        f"| `{key}` | {'required' if field.is_required() else f'`{field.default}`'} |"
        for key, field in application.settings.model_fields.items()
    ]
    claims = [f"| {one.name} | {one.sentence} | {one.direction} {one.threshold} |" for one in application.claims]
    return "\n".join([
        f"## {name}\n",
        "| setting (`--set`) | default |", "|---|---|", *fields, "",
        "| claim | sentence | holds if the interval is |", "|---|---|---|", *claims, "",
    ])  # fmt: skip


if __name__ == "__main__":
    if "--check" in sys.argv:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(0 if fresh else "docs/applications.md is stale: run `make docs` and commit it.")
    PAGE.write_text(page(), encoding="utf-8")
