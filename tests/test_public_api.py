"""The public names of the library: listed, lazily imported, and complete."""

import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tropism

DOCS = Path(__file__).parents[1] / "docs"


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
    found = importlib.import_module(module)
    public = {name for name in dir(found) if not name.startswith("_")}
    listed = set(names_listed()[module])
    assert listed <= public
    if module == "tropism":
        submodules = {name.split(".")[1] for name in sys.modules if name.startswith("tropism.")}
        assert public - listed <= submodules


def test_every_public_name_has_a_docstring():
    for module, names in names_listed().items():
        for name in names:
            value = getattr(importlib.import_module(module), name)
            if callable(value):
                assert value.__doc__, f"{module}.{name}"


def test_import_loads_no_torch_and_takes_under_half_a_second():
    code = "import sys, tropism; heavy = {'torch', 'transformers', 'ibis', 'duckdb'} & set(sys.modules); print(heavy or '')"
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
        assert done.stdout.strip() == ""
    assert min(seconds) < 0.5 * 3  # the bound is for a quiet machine; benchmarks/import_time.py measures it


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tropism' has no attribute 'nothing'"):
        _ = tropism.nothing
