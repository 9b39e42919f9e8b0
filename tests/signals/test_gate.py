"""A safety gate stops what it is told to stop, says why, and never lets an unclear answer pass."""

from pathlib import Path

import pytest

from tropism.errors import ConfigError, DataError
from tropism.signals.privacy.safety_gate import SafetyGate, gate_texts, load_gate


def test_words_are_whole_in_any_case_and_reasons_name_the_line(tmp_path: Path) -> None:
    words = tmp_path / "unsafe.txt"
    words.write_text("\ufeff# promises\nnever  tell anyone\n\nkys\n/dos(e|ing)\\b/\n", encoding="utf-8")
    gate = load_gate(str(words))
    texts = ["Never tell\nanyone!", "skys", "KYS.", "the dose of it", "doses", "kind words", "KYS."]
    assert gate_texts(texts, gate) == [
        "unsafe.txt:2: never  tell anyone",
        None,
        "unsafe.txt:4: kys",
        "unsafe.txt:5: /dos(e|ing)\\b/",
        None,
        None,
        "unsafe.txt:4: kys",
    ]


def test_words_stand_for_themselves(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("a.b (c)\n", encoding="utf-8")
    assert gate_texts(["say a.b (c) now", "axb (c)"], load_gate(str(words))) == ["words:1: a.b (c)", None]


def test_function_of_a_file_judges_each_text_once(tmp_path: Path) -> None:
    rule = tmp_path / "rule.py"
    rule.write_text(
        "seen = []\n"
        "def stop(text):\n"
        "    assert text not in seen\n"
        "    seen.append(text)\n"
        "    return {'bad': True, 'worse': 'harmful', 'empty': ''}.get(text, False)\n"
    )
    name = f"{rule}:stop"
    found = gate_texts(["bad", "worse", "good", "bad", "empty"], load_gate(name))
    assert found == [f"stopped by {name}", "harmful", None, f"stopped by {name}", None]


def test_unclear_or_failing_rules_are_errors_that_name_the_text() -> None:
    with pytest.raises(DataError, match=r"must return True, False or a reason, got 0\.7; the text was 'x'"):
        gate_texts(["x"], SafetyGate("rule.py:f", lambda text: 0.7))  # type: ignore[arg-type,return-value]
    with pytest.raises(DataError, match=r"rule\.py:f failed with ZeroDivisionError"):
        gate_texts(["x"], SafetyGate("rule.py:f", lambda text: bool(1 / 0)))


def test_what_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "broken.txt").write_text("fine\n/(/\n")
    (tmp_path / "latin.txt").write_bytes(b"\xe9\xff")
    (tmp_path / "rule.py").write_text("number = 1\n")
    for name, message in {
        "nowhere.txt": "existing text file",
        str(tmp_path / "empty.txt"): "holds no phrases",
        str(tmp_path / "broken.txt"): r"broken.txt:2: '/\(/' is not a valid regular expression",
        str(tmp_path / "latin.txt"): "not UTF-8",
        f"{tmp_path}/rule.py:missing": "cannot be loaded",
        f"{tmp_path}/rule.py:number": "is not a function",
        f"{tmp_path}/absent.py:f": "cannot be loaded",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_gate(name)
