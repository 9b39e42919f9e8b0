"""`tropism losses`: the table of methods, or one page on one of them."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from tropism.cli.output import JSON, Output


def losses(
    name: str = typer.Argument(None, help="A loss or a mixture, for its page."), for_programs: bool = JSON
) -> None:
    """Print the table of losses, or the page of one: what it computes, its settings, what data it needs."""
    output = Output(for_programs)
    from tropism.losses.table import LOSSES, MIXTURES

    rows = [row_of(one) for one in (*LOSSES, *MIXTURES)]
    if name is None:
        output.table("Losses", {
            row["name"]: f"{row['family']:10} {row['paper']:18} needs {', '.join(row['needs']) or 'nothing'}"
            for row in rows
        })  # fmt: skip
        output.finish({"losses": rows}, next_command="tropism losses dpo")
        return
    mine = page_of(name)
    for line in mine["page"].splitlines():
        output.say(line)
    output.table("Settings", {key: f"{value}" for key, value in mine["settings"].items()} or {"none": ""})
    output.table("Data", {
        "needs": ", ".join(mine["needs"]) or "nothing but answers",
        "edges' fields it honours": ", ".join(mine["honours"]) or "none",
    })  # fmt: skip
    output.finish({"losses": [mine]}, next_command="tropism train recipe.yaml")


def row_of(name: str) -> dict[str, Any]:
    """A row of the table for programs."""
    from tropism.losses.table import LOSSES, MIXTURES

    if name in LOSSES:
        loss = LOSSES[name]
        return {"name": name, "family": loss.family, "paper": loss.paper, "needs": sorted(loss.needs)}
    parts, paper = MIXTURES[name]
    needs = sorted(set().union(*(LOSSES[part].needs for part in parts)))
    return {"name": name, "family": "mixture", "paper": paper, "needs": needs}


def page_of(name: str) -> dict[str, Any]:
    """All that is known of one loss.

    Raises:
        ConfigError: for an unknown name, naming the nearest.
    """
    from tropism.errors import ConfigError
    from tropism.losses.table import LOSSES, MIXTURES, settings_of, suggestion

    if name in MIXTURES:
        parts = MIXTURES[name][0]
        summed = " + ".join(f"{settings.get('weight', 1.0):g} {part}" for part, settings in parts.items())
        honours = set.intersection(*(set(LOSSES[part].honours) for part in parts))
        return row_of(name) | {"page": f"{name} = {summed}", "settings": parts, "honours": sorted(honours)}
    if name not in LOSSES:
        raise ConfigError(f"there is no loss {name!r}.", remedy=suggestion(name, {**LOSSES, **MIXTURES}))
    loss = LOSSES[name]
    defaults = inspect.signature(loss.function).parameters
    return row_of(name) | {
        "page": inspect.getdoc(loss.function) or "",
        "settings": {key: defaults[key].default for key in settings_of(loss)},
        "honours": sorted(loss.honours) if loss.family in ("pairwise", "listwise") else [],
    }
