"""`tropism sample` from the outside."""

import json
import subprocess
import sys

import pytest

from tests.lying_server import lying_server
from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import read_card, read_groups_file
from tropism.testing import byte_tokenizer, tiny_llama

SHORT = ["--max-new-tokens", "6", "--template", "chat"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_llama().save_pretrained(tmp_path / "tiny")
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    rows = [{"prompt": "one"}, {"prompt": "two"}, {"prompt": "one"}, {"prompt": ""}]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "judge.py").write_text("def longer(prompt, answer):\n    return len(answer)\n")
    return tmp_path


def test_answers_to_label_come_with_their_account_and_card(folder, capsys):
    assert run(["sample", "tiny", "prompts.jsonl", "-n", "3", *SHORT]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "rows read 4" in shown
    assert "dropped: 'prompt' is empty 1 (4)" in shown
    assert "rows that ask a prompt again 1" in shown
    assert shown.endswith("Next: tropism label groups.parquet")
    groups = list(read_groups_file(folder / "groups.parquet"))
    assert [group.prompts for group in groups] == [("one",), ("two",)]
    assert {len(group.responses) for group in groups} <= {2, 3}
    card = read_card(folder / "groups.parquet")
    assert card.rule == "3 answers of tiny to each prompt, temperature 0.8, at most 6 tokens, seed 0"
    assert card.account.rows_read == 4


def test_a_judge_makes_edges_and_the_json_line_keeps_its_promise(folder, capsys):
    assert run(["sample", "tiny", "prompts.jsonl", "-n", "3", *SHORT, "--judge", "judge.py:longer", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert set(report) == set(JSON_KEYS["sample"])
    groups = list(read_groups_file(folder / "groups.parquet"))
    assert report["edges"] == sum(len(group.edges) for group in groups) > 0
    for group in groups:
        for edge in group.edges:
            assert len(group.responses[edge.winner].content) > len(group.responses[edge.loser].content)


def test_the_same_command_gives_the_same_groups_and_draws_nothing_anew(folder, monkeypatch):
    assert run(["sample", "tiny", "prompts.jsonl", *SHORT]) == 0
    first = list(read_groups_file(folder / "groups.parquet"))
    monkeypatch.setattr("tropism.evals.core.subject.PolicyWriter.write", None)
    assert run(["sample", "tiny", "prompts.jsonl", *SHORT, "--overwrite"]) == 0
    assert list(read_groups_file(folder / "groups.parquet")) == first


def test_pairs_for_other_toolkits_need_a_judge(folder, capsys):
    assert run(["sample", "tiny", "prompts.jsonl", "-o", "pairs.jsonl", *SHORT]) == 2
    assert "need somebody who compares the answers" in capsys.readouterr().err
    judged = ["--judge", "judge.py:longer", "--pairs", "best-worst", "--margin", "gap"]
    assert run(["sample", "tiny", "prompts.jsonl", "-o", "pairs.jsonl", *SHORT, *judged]) == 0
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert all(pair["margin"] == len(pair["chosen"]) - len(pair["rejected"]) for pair in pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weight", "gap"], "--weight has no effect without --judge"),
        (["--temperature", "0"], "temperature 0.0 gives 4 equal answers"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--template", "chat"], "--template has no effect with --endpoint"),
        (["--judge", "nowhere.py:rule"], "cannot be loaded"),
        (["-o", "groups.csv"], "must end in .parquet"),
    ],
)
def test_what_has_no_effect_is_refused_before_a_model_is_opened(folder, capsys, options, message):
    assert run(["sample", "no-model", "prompts.jsonl", *options]) == 2
    assert message in capsys.readouterr().err


def test_an_endpoint_answers_in_place_of_a_model_and_nothing_finished_is_lost(folder, capsys):
    rows = [{"prompt": "truth:a"}, {"prompt": "html*1:b"}, {"prompt": "401*1:c"}]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with lying_server() as server:
        command = ["sample", "m", "prompts.jsonl", "-n", "2", "--endpoint", server.url, "-o", "far.parquet"]
        assert run(command) == 4
        failed = capsys.readouterr().err
        assert "replies of m at 127.0.0.1" in failed
        assert "status 401" in failed
        assert not (folder / "far.parquet").exists()
        assert run(command) == 0
        asked = server.asked["truth:a"]
    assert asked == 2
    groups = list(read_groups_file(folder / "far.parquet"))
    assert [group.responses[0].content for group in groups] == ["echo a", "echo b", "echo c"]


def test_help_loads_no_torch():
    code = "import sys, tropism.cli; tropism.cli.run(['sample', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
