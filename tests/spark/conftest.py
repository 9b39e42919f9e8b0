"""One Spark session for all of these tests; they run only when this folder is named, as `make test-spark` does."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tropism.signals.engines.spark import connect

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it, or something in it, is named."""
    named = [Path(str(one).split("::")[0]) for one in config.invocation_params.args if not str(one).startswith("-")]
    return None if any((config.invocation_params.dir / one).is_relative_to(HERE) for one in named) else True


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Ibis connected to a local Spark of two threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend = connect("local[2]")
        backend._session.conf.set("spark.sql.shuffle.partitions", "4")
    yield backend
    backend._session.stop()
