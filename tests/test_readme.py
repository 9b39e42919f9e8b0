"""The README's commands and its Python run as they are written."""

import csv
import os
import re
import shlex
from pathlib import Path

import pytest

from tropism.applications.quickstart.forum import simulate_posts, votes_rows
from tropism.cli import run

ROOT = Path(__file__).parents[1]
SMALLER = ["train.max_steps=2", "evaluation.prompts=4"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty copy of the repository's root that holds the source and the votes of a small quickstart."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    votes = tmp_path / "runs" / "quickstart" / "votes.csv"
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


def test_the_readmes_python_runs_and_starts_at_log_2(folder: Path) -> None:
    (block,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    losses = [entry["loss"] for entry in names["trainer"].state.log_history if "loss" in entry]  # type: ignore[attr-defined]
    assert len(losses) == 5
    assert losses[0] == pytest.approx(0.693, abs=5e-4)


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
