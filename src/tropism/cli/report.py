"""`tropism report`."""
from pathlib import Path
def report(run: Path) -> None:
    """Stub until the report lands."""
