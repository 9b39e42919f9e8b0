"""The one output folder: nobody else's files are touched, one writer at a time, and a kill at any moment loses nothing.

The cases R2, R3, R14, R15 and R18 are those of a list of faults that runs once had.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tropism.errors import ConfigError, OutputError
from tropism.training.runs.folder_lock import LOCK
from tropism.training.runs.output_folder import MARK, REPLACED, Mark, OutputFolder

NAMES = ("sft", "dpo", "recipe.yaml", "run.json")

WRITER = """
import os, sys, time
from pathlib import Path
from tropism.training.runs.output_folder import OutputFolder

def folder_of(path, **identity):
    names = ["sft", "dpo", "recipe.yaml", "run.json"]
    return OutputFolder(Path(path), "run", names=names, record="run.json", identity=identity)

def write(path, text):
    for name in ("recipe.yaml", "sft/model", "dpo/model", "run.json"):
        (Path(path) / name).parent.mkdir(exist_ok=True)
        (Path(path) / name).write_text(text)
"""


def folder_of(path: Path, **identity) -> OutputFolder:
    return OutputFolder(path, "run", names=NAMES, record="run.json", identity=identity)


def write(path: Path, text: str) -> None:
    for name in ("recipe.yaml", "sft/model", "dpo/model", "run.json"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)


def finish(path: Path, text: str, mode="new", **identity) -> None:
    with folder_of(path, **identity).claimed(mode):
        write(path, text)


def fail(path: Path, mode, *, inside=lambda: None, is_worth_keeping=None, **identity) -> None:
    """Claim a folder and fail in the block."""
    with folder_of(path, **identity).claimed(mode, is_worth_keeping=is_worth_keeping):
        inside()
        raise ZeroDivisionError


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def python(code: str, *arguments: object, **settings) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER + code, *map(str, arguments)], text=True, **settings)


def kills(code: str, folder: Path) -> int:
    """How many file operations the code takes, found by killing a process at each of them in `folder-N`.

    The process splits itself once for each operation, so that Python starts only once.
    """
    script = f"""
def work(path):
{code}

def stop(number, path):
    left = [number]
    def hook(event, arguments):
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and str(path) in str(arguments):
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
    sys.addaudithook(hook)

number = 0
while True:
    path = Path(f"{{sys.argv[1]}}-{{number}}")
    child = os.fork()
    if child == 0:
        stop(number, path)
        work(path)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    number += 1
print(number)
"""
    with python(script, folder, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return int(out)


def test_a_new_folder_is_marked_and_its_lock_goes_with_its_owner(tmp_path):
    folder = folder_of(tmp_path / "deep" / "run", beta=0.1)
    assert not folder.is_started()
    with folder.claimed("new") as path:
        assert (path / LOCK).read_text() == str(os.getpid())
        write(path, "x")
    assert folder.is_started()
    mark = Mark.model_validate_json((path / MARK).read_text())
    assert (mark.kind, mark.names) == ("run", list(NAMES))
    assert sorted(one.name for one in path.iterdir()) == [MARK, "dpo", "recipe.yaml", "run.json", "sft"]


def test_settings_are_kept_as_digests_because_they_may_hold_secrets(tmp_path):
    finish(tmp_path / "run", "x", hub_token="hf_secret")
    assert "secret" not in (tmp_path / "run" / MARK).read_text()


@pytest.mark.parametrize("mode", ["new", "resume", "continue", "replace"])
def test_a_folder_of_something_else_is_left_as_it_is(tmp_path, mode):
    (tmp_path / "thesis.txt").write_text("mine")
    message = "nothing to resume" if mode == "resume" else "is not empty and holds no run"
    with pytest.raises((OutputError, ConfigError), match=message), folder_of(tmp_path).claimed(mode):
        pass
    assert contents(tmp_path) == {"thesis.txt": b"mine"}
    with pytest.raises(OutputError, match="is a file"), folder_of(tmp_path / "thesis.txt").claimed("new"):
        pass


def test_each_mode_accepts_what_it_says(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ConfigError, match="nothing to resume"), folder_of(path).claimed("resume"):
        pass
    assert not path.exists()
    finish(path, "first", "continue", beta=1, seed=2)
    with pytest.raises(OutputError, match=r"holds a run\. Give another `output`"), folder_of(path).claimed("new"):
        pass
    for mode in ("resume", "continue"):
        finish(path, mode, mode, seed=2, beta=1)
        with (
            pytest.raises(ConfigError, match=r"holds a run with other settings \(beta, gamma\)"),
            folder_of(path, beta=2, seed=2, gamma=0).claimed(mode),
        ):
            pass
    other = OutputFolder(path, "sweep", names=[], record="sweep.json", identity={})
    for mode in ("new", "resume", "continue", "replace"):
        with pytest.raises(OutputError, match="holds a run, not a sweep"), other.claimed(mode):
            pass
    finish(path, "other", "replace", beta=2)
    assert (path / "sft" / "model").read_text() == "other"


def test_a_failed_start_leaves_nothing_and_a_failed_resume_everything(tmp_path):
    path = tmp_path / "run"

    def begin():
        (path / "sft").mkdir()

    with pytest.raises(ZeroDivisionError):
        fail(path, "new", inside=begin, is_worth_keeping=lambda: False)
    assert not path.exists()
    with pytest.raises(ZeroDivisionError):
        fail(path, "new", inside=begin)
    assert (path / "sft").exists()
    with pytest.raises(ZeroDivisionError):
        fail(path, "resume", is_worth_keeping=lambda: False)
    assert (path / "sft").exists()


def test_a_replacement_keeps_other_files_and_refuses_to_delete_its_input(tmp_path):
    path = tmp_path / "run"
    finish(path, "old")
    (path / "notes.txt").write_text("mine")
    before = contents(path)
    with (
        pytest.raises(ConfigError, match="`overwrite` would delete its own input"),
        folder_of(path).claimed("replace", inputs=["hub/model", path / "sft" / "model"]),
    ):
        pass
    seen = []
    with pytest.raises(ZeroDivisionError):
        fail(path, "replace", inside=lambda: seen.extend(sorted(one.name for one in path.iterdir())))
    assert seen == sorted([MARK, LOCK, REPLACED, "notes.txt"])
    assert contents(path) == before
    finish(path, "new", "replace")
    assert contents(path) == {name: b"mine" if name == "notes.txt" else before[name].replace(b"old", b"new")
                              for name in before}  # fmt: skip


def test_names_of_earlier_content_stay_the_folder_s_own(tmp_path):
    for name in ("beta-1", "beta-2"):
        folder = OutputFolder(tmp_path / "s", "sweep", names=[name], record="sweep.json", identity={})
        with folder.claimed("continue") as path:
            (path / name).mkdir()
    with folder.claimed("replace") as path:
        assert not (path / "beta-1").exists()
        assert not (path / "beta-2").exists()


def test_r2_a_first_run_killed_at_any_moment_is_resumed_or_started_again(tmp_path):
    count = kills("    with folder_of(path).claimed('new'): write(path, 'x')", tmp_path / "run")
    assert count > 8
    for number in range(count):
        path = tmp_path / f"run-{number}"
        if folder_of(path).is_started():
            with pytest.raises(OutputError, match="use `resume`"), folder_of(path).claimed("new"):
                pass
        else:
            with pytest.raises(ZeroDivisionError):
                fail(path, "new")
        if path.exists():
            finish(path, "x", "resume")
            assert sorted(contents(path)) == sorted([MARK, "dpo/model", "recipe.yaml", "run.json", "sft/model"])


def test_r3_the_next_start_deletes_temporary_files_of_its_own_and_no_others(tmp_path):
    path = tmp_path / "run"
    finish(path, "x")
    own = [".run.json.k2_d9ab1.tmp", "..tropism.json.abcdefgh.tmp", "sft/.stage.json.abcd1234.tmp",
           "sft/.groups.parquet.0123456789abcdef.tmp"]  # fmt: skip
    foreign = [".notes.txt.abcd1234.tmp", "notes.tmp", ".run.json.swp", "sft/notes.tmp"]
    for name in (*own, *foreign):
        (path / name).write_text("half")
    (path / "dpo" / ".model.abcd1234").mkdir()
    (path / "dpo" / ".model.abcd1234" / "weights").write_text("half")
    (path / "sft" / "inner").mkdir()
    (path / "sft" / "inner" / MARK).write_text("")
    (path / "sft" / "inner" / ".run.json.abcd1234.tmp").write_text("another process may write it")
    finish(path, "x", "resume")
    assert not [name for name in own if (path / name).exists()]
    assert not (path / "dpo" / ".model.abcd1234").exists()
    assert all((path / name).exists() for name in (*foreign, "sft/inner/.run.json.abcd1234.tmp"))


@pytest.mark.parametrize("name", ["../precious", "/precious", "..", ".", "", "a/b", MARK, REPLACED])
def test_r14_a_mark_that_names_what_is_not_inside_is_refused(tmp_path, name):
    (tmp_path / "precious").write_text("mine")
    path = tmp_path / "run"
    finish(path, "x")
    mark = json.loads((path / MARK).read_text())
    (path / MARK).write_text(json.dumps(mark | {"names": ["sft", name]}))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="is not a file or folder inside"), folder_of(path).claimed("replace"):
        pass
    assert contents(tmp_path) == before


def test_r14_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    path = tmp_path / "run"
    finish(path, "x")
    (path / "sft" / "model").unlink()
    (path / "sft").rmdir()
    (path / "sft").symlink_to(tmp_path / "precious")
    finish(path, "y", "replace")
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "mine"
    assert not (path / "sft").is_symlink()


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"kind": "party", "identity": {}, "names": []}'])
def test_a_broken_mark_is_one_error(tmp_path, text):
    (tmp_path / MARK).write_text(text)
    for mode in ("new", "resume", "continue", "replace"):
        with pytest.raises(OutputError, match="cannot be read as the mark"), folder_of(tmp_path).claimed(mode):
            pass
    assert contents(tmp_path) == {MARK: text.encode()}


def test_r15_a_second_process_gets_one_error_and_a_killed_one_leaves_no_lock(tmp_path):
    path = tmp_path / "run"
    finish(path, "x")
    before = contents(path)
    waits = "with folder_of(sys.argv[1]).claimed('resume'): print('in', flush=True); time.sleep(60)"
    with python(waits, path, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "in\n"
        for mode in ("new", "resume", "continue", "replace"):
            with (
                pytest.raises(OutputError, match=rf"\(process {process.pid}\) is writing to the output folder"),
                folder_of(path).claimed(mode),
            ):
                pass
        process.send_signal(signal.SIGKILL)
    assert (path / LOCK).exists()
    with folder_of(path).claimed("resume"):
        pass
    assert contents(path) == before


def test_r15_one_process_does_not_write_twice_at_the_same_time(tmp_path):
    path = tmp_path / "run"
    (tmp_path / "link").symlink_to(path)
    with folder_of(path).claimed("new"):
        write(path, "x")
        for same in (path, tmp_path / "link"):
            with pytest.raises(OutputError, match="is writing to the output folder"), folder_of(same).claimed("resume"):
                pass
        assert (path / LOCK).exists()
    with folder_of(path).claimed("resume"):
        pass


def test_r15_of_many_that_start_at_once_one_writes(tmp_path):
    claims = (
        "path = Path(sys.argv[1])\n"
        "from tropism.errors import OutputError\n"
        "for _ in range(200):\n"
        "    try:\n"
        "        with folder_of(path).claimed('continue'):\n"
        "            os.mkdir(path / 'sft')\n"  # fails if another one is in
        "            os.rmdir(path / 'sft')\n"
        "            print('in')\n"
        "    except OutputError: pass\n"
    )
    processes = [python(claims, tmp_path / "run", stdout=subprocess.PIPE) for _ in range(3)]
    outs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(out.count("in") for out in outs) > 0


def test_r18_a_run_survives_a_killed_replacement_and_one_that_fails(tmp_path):
    replace = "    with folder_of(path, beta=2).claimed('replace'): write(path, 'new')"
    prepared = "    if not path.exists():\n        with folder_of(path, beta=1).claimed('new'): write(path, 'old')\n"
    for number in range(100):  # more than there are operations: a finished run waits in each folder
        finish(tmp_path / f"run-{number}", "old", beta=1)
        if number == 0:
            old = contents(tmp_path / "run-0")
    finish(tmp_path / "new", "new", beta=2)
    new = contents(tmp_path / "new")
    count = kills(prepared + replace, tmp_path / "run")
    assert 20 < count < 100
    outcomes = set()
    for number in range(count):
        path = tmp_path / f"run-{number}"
        with pytest.raises(ZeroDivisionError):
            fail(path, "replace", beta=3)
        assert contents(path) in (old, new)
        outcomes.add(contents(path)["run.json"])
    assert outcomes == {b"old", b"new"}


def test_r18_a_run_survives_a_kill_while_it_is_brought_back(tmp_path):
    for number in range(100):
        finish(tmp_path / f"run-{number}", "old", beta=1)
    old = contents(tmp_path / "run-0")
    fails = (
        "    try:\n"
        "        with folder_of(path, beta=2).claimed('replace', is_worth_keeping=lambda: False):\n"
        "            (path / 'sft').mkdir(); (path / 'sft' / 'model').write_text('half'); raise ZeroDivisionError\n"
        "    except ZeroDivisionError: pass\n"
    )
    count = kills(fails, tmp_path / "run")
    assert 20 < count < 100
    for number in range(count):
        path = tmp_path / f"run-{number}"
        with pytest.raises(ZeroDivisionError):
            fail(path, "replace", beta=3)
        assert contents(path) == old


def test_a_killed_replacement_is_resumed_and_then_the_old_run_is_gone(tmp_path):
    for number in range(100):
        finish(tmp_path / f"run-{number}", "old", beta=1)
    count = kills("    with folder_of(path, beta=2).claimed('replace'): write(path, 'new')", tmp_path / "run")
    began = {number: has_begun(tmp_path / f"run-{number}") for number in range(count)}
    assert set(began.values()) == {True, False}
    for number in range(count):
        path = tmp_path / f"run-{number}"
        if not began[number]:  # the old run is there
            with pytest.raises(ConfigError, match=r"other settings \(beta\)"):
                fail(path, "resume", beta=2)
        finish(path, "new", "resume" if began[number] else "replace", beta=2)
        assert set(contents(path)) == {MARK, "dpo/model", "recipe.yaml", "run.json", "sft/model"}
        assert (path / "run.json").read_text() == "new"


def has_begun(path: Path) -> bool:
    """Whether a killed replacement has put its own mark down; the old one is moved last and brought back last."""
    if not (path / REPLACED).exists():
        return (path / "run.json").read_text() == "new"
    return (path / MARK).exists() and (path / REPLACED / MARK).exists()
