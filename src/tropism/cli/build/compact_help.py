"""A help page for a command with many options: groups with a title, and one line for options that share a sentence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class CompactCommand(TyperCommand):
    """A command whose help is one screen.

    Options are listed under their `rich_help_panel`, in the order of the parameters. Neighbours with the same help text
    share one line: `--min-words, --max-words N`.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if parameter.param_type_name == "argument" or parameter.name == "help":
                continue
            rows = panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Output", [])
            names, text = _names(parameter), getattr(parameter, "help", None) or ""
            if rows and rows[-1][1] == text:
                rows[-1] = (f"{rows[-1][0].split(' ')[0].rstrip(',')}, {names}", text)
            else:
                rows.append((names, text))
        widest = max(len(names) for rows in panels.values() for names, _ in rows)
        formatter.write_paragraph()
        for title, rows in panels.items():
            formatter.write_heading(title)
            with formatter.indentation():
                formatter.write_dl([(names.ljust(widest), text) for names, text in rows], col_max=widest)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            formatter.write(f"\nExample: {self.epilog}\n")


def _names(parameter: Any) -> str:
    """The long option, or the short one as well, and what its value is called; a flag has no value."""
    options = sorted(parameter.opts, key=len)
    if parameter.is_flag:
        return ", ".join([*options, *parameter.secondary_opts])
    return f"{', '.join(options)} {parameter.metavar or 'VALUE'}"
