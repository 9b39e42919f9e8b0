"""One Spark session for all of these tests; `make test-spark` runs them, `make test` does not."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tropism.signals.spark import connect


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Ibis connected to a local Spark of two threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend = connect("local[2]")
        backend._session.conf.set("spark.sql.shuffle.partitions", "4")
    yield backend
    backend._session.stop()
