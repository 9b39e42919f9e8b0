"""The prose rules of the project that a program can check: no figurative nouns for machinery, no translated idioms."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIMULATED = {"language.py", "forum.py", "pocket.py"}
"""Files whose texts belong to the simulated forum, where people may well mention a road."""

BANNED = {
    "road": r"\broads?\b(?!\|)",  # `road|` is a word for streets in a pattern of addresses
    "desk": r"\bdesks?\b",
    "shelf": r"\bshel(f|ves)\b",
    "stranger": r"\bstrangers?\b",
    "witness": r"\bwitness(es)?\b",
    "duel": r"\b[Dd]uels?\b",
    "shadow": r"\bshadows?\b(?! DOM)(?!:)",
    "dossier": r"\b[Dd]ossiers?\b",
    "mend": r"\b[Mm]end(s|ed|ing)?\b",
    "leave it away": r"\b[Ll]ea(ve|ves|ving|ft) (it|them|one|that|this) (away|out)\b",
    "whoever": r"\b[Ww]hoever\b",
    "nobody": r"\b[Nn]obody\b",
    "stands beside": r"\bstands? (beside|still)\b",
    "taste for preference": r"mistaken for taste",
    "there are no X; there are": r"there (is|are) no .*; there (is|are)",
}


def files() -> list[Path]:
    """Everything that a user or a contributor reads."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for ending in ("*.py", "*.j2", "*.yaml", "*.js"):
        found += (ROOT / "src" / "tropism").rglob(ending)
    return sorted(path for path in found if path.name not in SIMULATED)


@pytest.mark.parametrize("name", BANNED)
def test_prose_has_no(name):
    pattern = re.compile(BANNED[name])
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not hits, "\n".join(hits)
