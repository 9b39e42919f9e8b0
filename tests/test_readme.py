"""The README's commands and its Python run as they are written; every command in the documentation is accepted."""

import csv
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tropism.applications.quickstart.forum import simulate_posts, votes_rows
from tropism.cli import USAGE_ERRORS, app, run

ROOT = Path(__file__).parents[1]
SMALLER = ["train.max_steps=2", "evaluation.prompts=4"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty copy of the repository's root that holds the source and the votes of a small quickstart."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    votes = tmp_path / "runs" / "quickstart" / "seed-0" / "data" / "votes.csv"
    votes.parent.mkdir(parents=True)
    rows = votes_rows(simulate_posts(60, 0, held_out=False))
    with votes.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


def test_the_readmes_python_runs_and_starts_at_log_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TROPISM_CACHE", str(folder / "cache"))
    block = next(block for block in blocks("sh") if "tropism build" in block)
    build = next(line for line in block.replace("\\\n", " ").splitlines() if line.startswith("tropism build"))
    assert run(shlex.split(build)[1:]) == 0, capsys.readouterr().err
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["run"].stages[0].first_loss == pytest.approx(0.693, abs=5e-4)
    assert Path("runs/api/report.html").stat().st_size > 10_000


def test_the_readmes_commands_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = next(block for block in blocks("sh") if "tropism build" in block)
    (recipe,) = re.findall(r"^cat > (\S+) <<END\n(.*?)^END\n", block, re.M | re.S)
    Path(recipe[0]).write_text(recipe[1], encoding="utf-8")
    shell = re.sub(r"^cat > .*?^END\n", "", block, flags=re.M | re.S).replace("\\\n", " ")
    commands = [shlex.split(line) for line in shell.splitlines() if line.startswith("tropism ")]
    assert [command[1] for command in commands] == ["build", "train", "report"]
    for _, name, *arguments in commands:
        assert run([name, *arguments, *(SMALLER if name == "train" else [])]) == 0, capsys.readouterr().err
    assert Path("runs/mine/report.html").stat().st_size > 10_000


def shell_commands(page: Path) -> list[str]:
    """Every `tropism ...` line of a page's code blocks, with its continuation lines and without its comment."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    code = [block for language, block in found if language in ("", "sh")]
    lines = "\n".join(code).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.startswith("tropism ")]


def parse(arguments: list[str]) -> None:
    """Parse a command line as the real one is parsed, without running it."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("tropism", [], resilient_parsing=True)
    rest = list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert not hasattr(command, "commands"), f"{arguments} does not name a command"
    command.make_context(command.name, rest, parent=context)


COMMANDS = [
    pytest.param(line, id=f"{page.name}-{number}")
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
    if page.name != "cli.md"  # generated from the commands; its code blocks are help pages
    for number, line in enumerate(shell_commands(page))
]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_in_the_documentation_are_accepted(line: str) -> None:
    _, *arguments = shlex.split(line, comments=True)
    if arguments[0] == "build" and not arguments[1].isalpha():
        arguments.insert(1, kind_with_options(arguments))
    try:
        parse(arguments)
    except USAGE_ERRORS as error:
        pytest.fail(f"{line}: {error.format_message()}")


def kind_with_options(arguments: list[str]) -> str:
    """The first kind of signal that has all options of a `tropism build FILE`, whose kind a real file decides."""
    build: Any = typer.main.get_command(app).commands["build"]  # type: ignore[attr-defined]
    given = {argument for argument in arguments if argument.startswith("-")}
    kinds = [name for name, kind in build.commands.items() if given <= {o for p in kind.params for o in p.opts}]
    assert kinds, f"no kind of signal has all of {sorted(given)}"
    return kinds[0]


def test_a_command_with_an_unknown_option_is_not_accepted() -> None:
    with pytest.raises(USAGE_ERRORS):
        parse(["train", "recipe.yaml", "--no-such-option"])


def test_the_makefile_has_the_targets_that_the_readme_names() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named <= targets, named - targets


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    missing = [target for target in targets if target and not os.path.exists((ROOT / page).parent / target)]
    assert not missing
