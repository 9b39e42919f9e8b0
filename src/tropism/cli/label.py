"""`tropism label`: a page on which people choose between answers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tropism.cli.output import JSON, Output, estimate

if TYPE_CHECKING:
    from tropism.label.access import Access
    from tropism.label.label_items import ComparisonPlan
    from tropism.label.results import Results
    from tropism.label.session import LabelSession, LabelSessionSettings

REASONS = "correct,clear,complete,kind,to the point"
CHECK_SHARE = 0.05


def label(
    file: Path = typer.Argument(help="Groups: groups.parquet, or any file that `tropism train` reads."),
    target: Path = typer.Option(
        Path("choices.sqlite"), "--output", "-o", help="The choices file; an existing one is continued."
    ),
    pairs: str = typer.Option(
        None, help="`all` pairs of a group's answers (default), its `edges`, or the number of pairs to draw."
    ),
    best_of: int = typer.Option(None, help="Instead of pairs, choose the best of up to this many answers (2 to 9)."),
    overlap: int = typer.Option(1, min=1, help="Annotators per item; agreement needs at least 2."),
    reasons: str = typer.Option(REASONS, help="Tags that annotators may select, separated by commas; empty for none."),
    checks: str = typer.Option(
        None, help="Attention checks: `generated`, or a file of groups whose edges say which answer is right."
    ),
    check_share: float = typer.Option(
        None, min=0.001, max=0.5, help="With --checks: checks per item shown (default 0.05)."
    ),
    images: Path = typer.Option(None, help="Folder of images; images outside it are not shown."),
    seed: int = typer.Option(0, help="Seed of the orders and draws."),
    host: str = typer.Option("127.0.0.1", help="Address to serve on; a public one needs --token."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port to serve on; 0 for a free one."),
    token: str = typer.Option(None, help="Token required from annotators; the owner's is generated at the start."),
    allow_host: list[str] = typer.Option([], help="Another host name by which browsers reach the page."),
    open_page: bool = typer.Option(False, "--open/--no-open", help="Open the page in a browser."),
    for_programs: bool = JSON,
) -> None:
    """Serve a page on which people choose between answers. Ctrl-C ends it; the same command continues."""
    settings = _label_settings(
        _label_plan(pairs, best_of=best_of, seed=seed),
        overlap=overlap,
        reasons=reasons,
        checks=checks,
        check_share=check_share,
        images=images,
    )
    from tropism.label.serving import bound_socket, check_token
    from tropism.label.session import open_session

    check_token(host, token, allow_host=allow_host)
    output = Output(for_programs)
    with bound_socket(host, port) as listening, open_session(file, target, settings) as session:
        output.table("To label", _begun(session, target))
        access = _access_of(host, listening.getsockname()[1], token=token, allowed_hosts=allow_host)
        results = _serve_until_stopped(output, session, listening=listening, access=access, open_page=open_page)
    output.table("Choices", account(results, target))
    output.finish(payload(results, session, target), next_command=f"tropism build {shlex.quote(str(target))}")


def _label_plan(pairs: str | None, *, best_of: int | None, seed: int) -> ComparisonPlan:
    """The answers to compare.

    Raises:
        ConfigError: if `pairs` is not valid, or is given together with `best_of`.
    """
    from tropism.errors import ConfigError
    from tropism.label.label_items import ComparisonPlan

    if best_of is not None and pairs is not None:
        raise ConfigError("`pairs` has no effect with `best_of`.", remedy="Omit one of them.")
    if pairs in (None, "all", "edges"):
        return ComparisonPlan("edges" if pairs == "edges" else "all", best_of=best_of, seed=seed)
    if pairs is None or not pairs.isdecimal():
        raise ConfigError(f"`pairs` must be all, edges or a number, got {pairs!r}.", remedy="Use `pairs=200`.")
    return ComparisonPlan(int(pairs), seed=seed)


def _label_settings(
    plan: ComparisonPlan,
    *,
    overlap: int,
    reasons: str,
    checks: str | None,
    check_share: float | None,
    images: Path | None,
) -> LabelSessionSettings:
    """The settings of the session.

    Raises:
        ConfigError: if `check_share` is given without `checks`.
    """
    from tropism.errors import ConfigError
    from tropism.label.session import LabelSessionSettings

    if checks is None and check_share is not None:
        raise ConfigError("`check_share` has no effect without `checks`.", remedy="Add `checks=generated`.")
    tags = tuple(tag.strip() for tag in reasons.split(",")) if reasons.strip() else ()
    share = CHECK_SHARE if check_share is None else check_share
    return LabelSessionSettings(plan, overlap=overlap, reasons=tags, checks=checks, check_share=share, images=images)


def _access_of(host: str, port: int, *, token: str | None, allowed_hosts: list[str]) -> Access:
    """Who may use the page; if annotators need a token, the owner gets another one, generated for this run."""
    import secrets

    from tropism.label.access import Access

    owner_token = secrets.token_urlsafe(16) if token is not None else None
    return Access(token, owner_token, host=host, allowed_hosts=tuple(allowed_hosts), port=port)


def _serve_until_stopped(
    output: Output, session: LabelSession, *, listening: Any, access: Access, open_page: bool
) -> Results:
    """Serve the page, print its addresses when it is ready, and return the results."""
    from tropism.label.label_app import make_app
    from tropism.label.results import results_of
    from tropism.label.serving import page_address, serve

    address = page_address(access, for_owner=False)

    def show_addresses() -> None:
        output.say("Serving; Ctrl-C ends it")  # lines, because a table would cut long addresses
        output.say(f"label    {address}")
        output.say(f"results  {page_address(access, for_owner=True)}")
        if open_page:
            typer.launch(address)

    serve(make_app(session.service, session.images, access), listening, when_ready=show_addresses)
    return results_of(session.service)


def _begun(session: LabelSession, target: Path) -> dict[str, str]:
    """What there is to label, as the rows of a table."""
    prepared = session.prepared
    rows = {"groups read": f"{prepared.num_groups:,}", "items": f"{len(prepared.items):,}"}
    rows |= {f"omitted: {reason}": f"{count:,}" for reason, count in prepared.left_out.items()}
    if session.num_checks:
        rows["attention checks"] = f"{session.num_checks:,}"
    if session.num_missing_images:
        rows["images that cannot be shown"] = f"{session.num_missing_images:,} (is --images their folder?)"
    rows["choices"] = f"{target}, continued after {session.num_kept:,}" if session.num_kept else f"{target}, new"
    return rows


def account(results: Results, target: Path) -> dict[str, str]:
    """The results, as the rows of a table."""
    rows = {
        "items that have all their annotators": f"{results.num_complete:,} of {results.num_items:,}",
        "choices": f"{results.num_choices:,}",
        "annotators": f"{len(results.annotators):,}",
    }
    if results.checks.shown:
        rows["attention checks passed"] = f"{results.checks.passed:,} of {results.checks.shown:,}"
    if results.alpha is not None:
        rows["Krippendorff's alpha"] = estimate(results.alpha)
    return rows | {"output": str(target)}


def payload(results: Results, session: LabelSession, target: Path) -> dict[str, Any]:
    """The JSON object of `label`."""
    return {
        "groups": session.prepared.num_groups,
        "items": results.num_items,
        "left_out": dict(session.prepared.left_out),
        "complete": results.num_complete,
        "choices": results.num_choices,
        "annotators": len(results.annotators),
        "checks": {"shown": results.checks.shown, "passed": results.checks.passed},
        "agreement": results.alpha.model_dump() if results.alpha else None,
        "output": str(target),
    }
