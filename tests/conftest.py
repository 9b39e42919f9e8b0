"""Fixtures that every test may use: real data where it is, a cache folder of its own, and no network."""

import gc
import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: a second thread mostly waits


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's reference cache."""
    monkeypatch.setenv("TROPISM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="module")
def _frozen_libraries() -> None:
    """Garbage collection skips what was imported before: with torch and transformers each one takes half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data and weights that `TROPISM_TEST_DATA` names."""
    folder = os.environ.get("TROPISM_TEST_DATA")
    if not folder:
        pytest.skip("TROPISM_TEST_DATA is not set: no real data and weights on this machine")
    return Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as fast unless `slow.txt` names it, or it needs a browser or Spark."""
    tests = Path(__file__).parent
    slow = {line for line in (tests / "slow.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"}
    for item in items:
        path = item.path.relative_to(tests.parent).as_posix()
        is_outside = path.startswith(("tests/browser/", "tests/spark/", "tests/peers/"))
        if not is_outside and f"{path}::{getattr(item, 'originalname', item.name)}" not in slow:
            item.add_marker(pytest.mark.fast)
