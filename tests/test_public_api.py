"""The public names of the library: listed, lazily imported, and complete."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tropism

DOCS = Path(__file__).parents[1] / "docs"
POCKET = Path(__file__).parents[1] / "src" / "tropism" / "applications" / "quickstart" / "pocket"


def names_listed() -> dict[str, list[str]]:
    """The names in docs/api.txt by module."""
    found: dict[str, list[str]] = {}
    for line in (DOCS / "api.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("tropism"):
            found[line] = []
        elif line.startswith("  "):
            words = line.split("(")[0].split(":")[0].split()
            found[list(found)[-1]].append(words[-1])
    return found


def test_the_listing_of_public_names_is_up_to_date():
    done = subprocess.run([sys.executable, str(DOCS / "make_api.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", names_listed())
def test_dir_and_the_listing_agree(module):
    public = {name for name in dir(importlib.import_module(module)) if not name.startswith("_")}
    listed = set(names_listed()[module])
    assert listed == public if module == "tropism" else listed <= public


def test_every_public_name_has_a_docstring():
    for module, names in names_listed().items():
        for name in names:
            value = getattr(importlib.import_module(module), name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert value.__doc__, f"{module}.{name}"


def test_import_loads_nothing_heavy():
    code = "import sys, tropism; print(*{'torch', 'transformers', 'ibis', 'duckdb', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tropism' has no attribute 'nothing'"):
        _ = tropism.nothing


def test_five_lines_train_and_measure(tmp_path, monkeypatch):
    monkeypatch.setenv("TROPISM_CACHE", str(tmp_path / "cache"))
    groups = [
        tropism.PreferenceGroup(
            f"g{number}",
            (f"How do I treat plant {number}?",),
            (tropism.Response("a", f"Water number {number} it well."), tropism.Response("b", "No idea.")),
            (tropism.Edge(0, 1),),
        )
        for number in range(24)
    ]
    assert tropism.save_groups(groups, tmp_path / "groups.parquet") == 24
    loaded = tropism.load_groups(tmp_path / "groups.parquet")
    policy = tropism.TextPolicy.from_pretrained(POCKET, template="chat", max_tokens=128)
    before = policy.fingerprint()
    run = tropism.train(
        policy,
        loaded,
        output=tmp_path / "run",
        holdout=0.3,
        training_arguments={"max_steps": 2, "use_cpu": True},
        evaluation={"prompts": 2, "max_new_tokens": 4},
        alarms=False,
    )
    assert policy.fingerprint() == before
    accuracy = run.evaluation["preference.pair_accuracy"]
    assert 0 <= accuracy.low <= accuracy.value <= accuracy.high <= 1
    assert run.stages[-1].steps == 2
    assert tropism.report(run) == tmp_path / "run" / "report.html"
    record = tropism.evaluate(tmp_path / "run", output=tmp_path / "eval")
    assert record["preference.pair_accuracy"] == accuracy


def test_groups_and_a_policy_in_memory_must_be_what_they_are_said_to_be(tmp_path):
    with pytest.raises(tropism.ConfigError, match="`groups` must be a path or preference groups, got no group"):
        tropism.train(POCKET, [], output=tmp_path / "run")
    with pytest.raises(tropism.ConfigError, match="`groups` must be a path or preference groups, got 'a'"):
        tropism.train(POCKET, ["a"], output=tmp_path / "run")


def test_dropped_rows_are_told_with_their_reasons(tmp_path):
    rows = '{"prompt": "p", "chosen": "a", "rejected": "b"}\n{"prompt": "q", "chosen": "a", "rejected": "a"}\n'
    (tmp_path / "pairs.jsonl").write_text(rows, encoding="utf-8")
    with pytest.warns(tropism.DroppedRowsWarning, match="2 rows read, 1 used; dropped: 1 "):
        groups = tropism.load_groups(tmp_path / "pairs.jsonl")
    assert repr(groups) == "<1 groups of 1 of 2 rows>"


def test_a_function_that_only_its_own_module_uses_begins_with_an_underscore():
    root = DOCS.parent
    pages = [*DOCS.glob("*.md"), root / "README.md", root / "pyproject.toml", *(root / "src").rglob("*.j2")]
    written = " ".join(path.read_text(encoding="utf-8") for path in pages)
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for folder in ("src", "tests", "benchmarks", "docs")
        for path in (root / folder).rglob("*.py")
    }
    used = {path: names_used(tree) for path, tree in trees.items()}
    hidden = []
    for path, tree in trees.items():
        inside = path.is_relative_to(root / "src") and path.parent.name != "cli" and path.name != "testing.py"
        for node in tree.body if inside else []:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list:
                elsewhere = any(node.name in names for other, names in used.items() if other != path)
                if not elsewhere and node.name not in written and path.name != "__init__.py":
                    hidden.append(f"{path.relative_to(root)}: {node.name}")
    assert hidden == []


def names_used(tree: ast.AST) -> set[str]:
    """Names that a module imports, reads as attributes, or writes in strings such as `module:function`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            found.update(node.name.split("."))
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(re.findall(r"\w+", node.value))
    return found
