"""Writes docs/cli.md from the commands themselves; with --check says whether it is fresh."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ |= {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}

from typer.main import get_command
from typer.testing import CliRunner

from tropism.cli import app
from tropism.cli.json_keys import JSON_KEYS

PAGE = Path(__file__).with_name("cli.md")


def page() -> str:
    """The whole page."""
    names = sorted(get_command(app).commands)  # type: ignore[attr-defined]
    parts = [
        "# Commands\n\nMade by `make docs` from the commands themselves; `make check` fails when it is stale.\n",
        help_of([]),
    ]
    for name in names:
        parts.append(f"## tropism {name}\n\n{help_of([name])}")
        kinds = getattr(get_command(app).commands[name], "commands", {})  # type: ignore[attr-defined]
        parts += [f"### tropism {name} {kind}\n\n{help_of([name, kind])}" for kind in kinds]
        keys = "\n".join(f"| `{key}` | {meaning} |" for key, meaning in JSON_KEYS[name].items())
        parts.append(f"Keys of `--json`:\n\n| key | meaning |\n|---|---|\n{keys}\n")
    parts.append(
        "## Exit statuses\n\n0: done. 2: something to put right (data, recipe, model, option). 3: a place that cannot "
        "be written. 130: interrupted. 143: terminated. With `--json` an error is the object "
        '`{"error": {"kind", "problem", "remedy"}}`.\n'
    )
    return "\n".join(parts)


def help_of(arguments: list[str]) -> str:
    """A command's help as a code block."""
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="tropism", terminal_width=100)
    lines = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
    return f"```\n{lines}\n```\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(0 if fresh else "docs/cli.md is stale: run `make docs` and commit it.")
    PAGE.write_text(page(), encoding="utf-8")
