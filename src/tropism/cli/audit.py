"""`tropism audit`: checks preference data before training."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tropism.cli.output import JSON, Output, account_rows

if TYPE_CHECKING:
    from tropism.data.audit.audit import Audit
    from tropism.data.audit.audited_rows import AuditSources
    from tropism.data.audit.findings import AuditFinding
    from tropism.data.audit.token_faults import Tokens
    from tropism.records import DataCard

FAILED = 1
"""Exit status if the data do not pass."""
ROWS_PER_UPDATE = 500
AUDITED = Path("audited.parquet")


def audit(
    files: list[str] = typer.Argument(help="Data in any form that `tropism train` reads, or groups.parquet."),
    model: str = typer.Option(None, "--model", help="Model folder or hub id; adds the checks that need a tokenizer."),
    evaluation: list[str] = typer.Option(
        (), "--eval", help="Data that is only evaluated on, for leaks; may be repeated."
    ),
    max_tokens: int = typer.Option(
        None, min=2, help="Maximum of prompt and response together (default 1,024, or the model's context)."
    ),
    min_response_tokens: int = typer.Option(None, min=1, help="A response is never cut below this (default 16)."),
    template: Literal["auto", "chat", "dialogue", "plain"] = typer.Option(
        None, help="How text and turns are written, as data.template in a recipe (default auto)."
    ),
    fix: bool = typer.Option(
        False, "--fix", help="Write a new file without the faults that can be fixed automatically."
    ),
    target: Path = typer.Option(
        None, "--output", "-o", help="With --fix: the groups file to write (default audited.parquet)."
    ),
    leaks_from: Literal["train", "eval"] = typer.Option(
        None, help="With --fix: the side from which leaked prompts are removed (default train)."
    ),
    skip: list[str] = typer.Option((), "--skip", metavar="CHECK", help="Omit a check; may be repeated."),
    strict: bool = typer.Option(False, "--strict", help="Warnings fail too."),
    overwrite: bool = typer.Option(False, "--overwrite", help="With --fix: replace the output file."),
    for_programs: bool = JSON,
) -> None:
    """Check data before training; exits with status 1 if an error is found."""
    output = Output(for_programs)
    from tropism.data.audit.audited_rows import AuditSources

    sources = AuditSources(tuple(files), tuple(evaluation))
    if not fix:
        _refuse_without_fix({"--output": target, "--leaks-from": leaks_from, "--overwrite": overwrite or None})
    target, leaks_from = target or AUDITED, leaks_from or "train"
    if fix:
        _check_fix(sources, target, leaks_from=leaks_from, overwrite=overwrite)
    tokens = _open_tokens(model, max_tokens=max_tokens, min_response_tokens=min_response_tokens, template=template)
    skipped = frozenset(skip)
    found = _run_audit(output, sources, tokens, skip=skipped, leaks_from=leaks_from)
    show(output, found, title=title(sources, model), strict=strict)
    left, card = found, None
    if fix:
        from tropism.data.audit.fix import fix as write_fixed

        card = write_fixed(sources, found, target.resolve())
        output.table(f"Fixed: {target}", account_rows(card.account))
        fixed = AuditSources((str(target),), sources.evaluation)
        left = _run_audit(output, fixed, tokens, skip=skipped, leaks_from=leaks_from)
        show(output, left, title=f"Remaining findings in {target}", strict=strict)
    passed = left.passes(strict=strict)
    output.finish(
        payload(found, left=left if fix else None, card=card, target=target, passed=passed),
        next_command=_next_command(found, sources, model, target, fix=fix),
    )
    if not passed:
        raise typer.Exit(FAILED)


def _refuse_without_fix(given: dict[str, object]) -> None:
    """Refuse options that only say how to repair.

    Raises:
        ConfigError: naming the first.
    """
    from tropism.errors import ConfigError

    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} has no effect without --fix.", remedy=f"Add --fix, or omit {option}.")


def _check_fix(sources: AuditSources, target: Path, *, leaks_from: str, overwrite: bool) -> None:
    """Refuse a target that `--fix` could not or should not write.

    Raises:
        ConfigError: for a name that is no file of groups, an input, or a side that is not written.
        OutputError: for a file that is there.
    """
    from tropism.errors import ConfigError, OutputError

    if target.suffix != ".parquet":
        raise ConfigError(f"--output must end in .parquet, got {target.name!r}.", remedy="Use audited.parquet.")
    if target.resolve() in {Path(path).resolve() for path in (*sources.train, *sources.evaluation)}:
        raise ConfigError(f"--output would replace its own input {target}.", remedy="Name another file.")
    if leaks_from == "eval" and sources.evaluation:
        raise ConfigError(
            "--leaks-from eval would change the files of --eval, which are never written.",
            remedy="Audit the other way round: name them as FILES and the data to train on with --eval.",
        )
    if target.is_dir():
        raise OutputError(f"{target} is a folder.", remedy="Name a file with --output.")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists.", remedy="Use another --output, or add --overwrite to replace it.")


def _open_tokens(
    model: str | None, *, max_tokens: int | None, min_response_tokens: int | None, template: str | None
) -> Tokens | None:
    """The model as the audit sees it, or nothing where none is named.

    Raises:
        ConfigError: for a setting that has no effect without a model.
    """
    if model is not None:
        from tropism.policies.token_facts import open_token_reader

        return open_token_reader(
            model,
            max_tokens=max_tokens,
            min_response_tokens=min_response_tokens or 16,
            template=template or "auto",
        )
    given = {"--max-tokens": max_tokens, "--min-response-tokens": min_response_tokens, "--template": template}
    for name, value in given.items():
        if value is not None:
            from tropism.errors import ConfigError

            raise ConfigError(f"{name} has no effect without --model.", remedy=f"Add --model, or omit {name}.")
    return None


def _run_audit(
    output: Output,
    sources: AuditSources,
    tokens: Tokens | None,
    *,
    skip: frozenset[str],
    leaks_from: Literal["train", "eval"],
) -> Audit:
    """Audit, with the number of rows on the screen while it runs."""
    from tropism.data.audit.audit import audit as run

    names = ", ".join((*sources.train, *sources.evaluation))
    with output.console.status(f"Auditing {names}") as status:

        def progress(num_rows: int) -> None:
            if num_rows % ROWS_PER_UPDATE == 0:
                status.update(f"Auditing {names}: {num_rows:,} rows")

        return run(sources, tokens=tokens, skip=skip, leaks_from=leaks_from, progress=progress)


def title(sources: AuditSources, model: str | None) -> str:
    """What is audited, in one line."""
    held = f" against {', '.join(sources.evaluation)}" if sources.evaluation else ""
    return f"Audit of {', '.join(sources.train)}{held}{f' for {model}' if model else ''}"


def show(output: Output, found: Audit, *, title: str, strict: bool) -> None:
    """Print an audit: the worst first, each with its count, its rows and its remedy."""
    output.say(title)
    output.say(
        f"{found.num_rows:,} rows ({found.num_rows - found.num_unreadable:,} readable), {found.num_prompts:,} prompts, "
        f"{found.num_responses:,} responses, {found.num_edges:,} comparisons, {found.num_labels:,} labels"
    )
    for finding in found.findings:
        output.say("")
        for line in _described(finding):
            output.say(line)
    output.say("")
    for reason in dict.fromkeys(found.not_run.values()):
        checks = [check for check, why in found.not_run.items() if why == reason]
        output.say(f"Not run ({reason}): {', '.join(checks)}")
    verdict = "Passed" if found.passes(strict=strict) else "Failed"
    output.say(
        f"{verdict}: {found.count('error')} errors, {found.count('warning')} warnings, {found.count('note')} notes."
    )


def _described(finding: AuditFinding) -> list[str]:
    """One finding in three lines."""
    interval = f" [{finding.interval[0]:.1%}, {finding.interval[1]:.1%}]" if finding.interval else ""
    share = f"{finding.count:,} of {finding.n:,} {finding.of} ({finding.share:.1%}{interval})"
    return [
        f"{finding.severity:8} {finding.check}: {share}, such as {', '.join(finding.examples)}",
        f"         {finding.says}",
        f"         {finding.remedy}" + (f" --fix {finding.fix}." if finding.fix else ""),
    ]


def _next_command(found: Audit, sources: AuditSources, model: str | None, target: Path, *, fix: bool) -> str:
    """What to run next: the repair where it would do something, else training."""
    if not fix and any(finding.fix for finding in found.findings):
        options = [
            *(["--model", model] if model else []),
            *(o for path in sources.evaluation for o in ("--eval", path)),
        ]
        return shlex.join(["tropism", "audit", *sources.train, *options, "--fix", "-o", str(target)])
    data = str(target) if fix else sources.train[0]
    return f"tropism train RECIPE.yaml {shlex.quote(f'data.train={data}')}"


def payload(found: Audit, *, left: Audit | None, card: DataCard | None, target: Path, passed: bool) -> dict[str, Any]:
    """The JSON object of `audit`."""
    fixed = {"output": str(target), **card.account.model_dump()} if card else None
    return {
        "findings": [_of_finding(finding) for finding in found.findings],
        "passed": passed,
        "not_run": found.not_run,
        "rows_read": found.num_rows,
        "unreadable": found.num_unreadable,
        "fixed": fixed,
        "left": [_of_finding(finding) for finding in left.findings] if left else None,
    }


def _of_finding(finding: AuditFinding) -> dict[str, Any]:
    """A finding for programs."""
    return {**asdict(finding), "share": finding.share}
