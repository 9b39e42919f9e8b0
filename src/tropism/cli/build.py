"""`tropism build`."""
from pathlib import Path
def build(file: Path) -> None:
    """Stub until the build lands."""
