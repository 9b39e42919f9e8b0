"""Ctrl-C, a termination signal, and a standard output that cannot be written: one line, and nothing left behind."""

import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tropism.cli import Terminated, run
from tropism.data.group_store import write_groups, write_tables
from tropism.errors import OutputError
from tropism.signals.engines.duck import connect

COMMAND = [sys.executable, "-m", "tropism"]
OLD = b"the file that was there"
STOPS = [
    (signal.SIGINT, 130, "error: Interrupted. Run the same command again to start over.\n"),
    (signal.SIGTERM, 143, "error: Stopped by a termination signal. Run the same command again to start over.\n"),
]


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """A shell's background jobs ignore SIGINT, and so would every process that is started here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Votes that take seconds to build, an older result, and an empty folder for temporary files."""
    rng = random.Random(0)
    with open(tmp_path / "votes.csv", "w", encoding="utf-8") as file:
        file.write("prompt,response,score\n")
        for row in range(40_000):
            file.write(f"question {row // 4},{rng.random()} {'word ' * 40},{rng.randint(0, 50)}\n")
    (tmp_path / "out.parquet").write_bytes(OLD)
    (tmp_path / "temporary").mkdir()
    return tmp_path


def started(folder: Path) -> subprocess.Popen[str]:
    """A build under way, in a process of its own."""
    return subprocess.Popen(
        [*COMMAND, "build", "votes.csv", "-o", "out.parquet", "--overwrite"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_reading(process: subprocess.Popen[str], folder: Path) -> bool:
    """Whether DuckDB is loaded: from then on, nearly all time is spent in it."""
    return "duckdb" in Path(f"/proc/{process.pid}/maps").read_text()


def is_writing(process: subprocess.Popen[str], folder: Path) -> bool:
    return any(path.name.startswith(".out.parquet.") for path in folder.iterdir())


def is_parting(process: subprocess.Popen[str], folder: Path) -> bool:
    return any(path.is_file() for path in (folder / "temporary").rglob("*"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at the process as Linux shows it")
@pytest.mark.parametrize(("number", "status", "line"), STOPS, ids=["ctrl-c", "termination"])
@pytest.mark.parametrize("is_there", [is_reading, is_parting, is_writing])
def test_stopped_build_ends_in_one_line_and_leaves_nothing(
    folder: Path, number: int, status: int, line: str, is_there: Callable[[subprocess.Popen[str], Path], bool]
) -> None:
    with started(folder) as process:
        while process.poll() is None and not is_there(process, folder):
            time.sleep(0.01)
        assert process.poll() is None, "the build was over before it could be stopped"
        time.sleep(0.2 if is_there is is_reading else 0)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, line)
    assert (folder / "out.parquet").read_bytes() == OLD
    assert sorted(path.name for path in folder.iterdir()) == ["out.parquet", "temporary", "votes.csv"]
    assert list((folder / "temporary").iterdir()) == []


def test_error_that_an_interruption_caused_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None  # as DuckDB does

    monkeypatch.setattr("tropism.cli.status_of", stopped)
    assert run(["build", "votes.csv"]) == 130
    assert capsys.readouterr().err == STOPS[0][2]


def test_fault_of_ours_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("tropism.cli.status_of", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        run(["build", "votes.csv"])


def test_interrupted_writing_keeps_the_old_file(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        assert len(list(tmp_path.iterdir())) == 2
        raise KeyboardInterrupt
        yield

    path = tmp_path / "groups.parquet"
    path.write_bytes(OLD)
    with pytest.raises(KeyboardInterrupt):
        write_tables(tables(), path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"groups.parquet": OLD}


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"file/groups\.parquet cannot be written \(.*\)\. Choose another place\.$"):
        write_groups([], tmp_path / "file" / "groups.parquet")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [["losses"], ["losses", "dpo", "--json"], ["--help"]])
def test_full_output_is_one_line(options: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*COMMAND, *options], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert [line for line in ended.stderr.splitlines() if "rror" in line] == [
        "error: No space left on device. Free some space or choose another folder."
    ]


def test_closed_output_is_one_line() -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "losses", "--json"], stderr=subprocess.PIPE, text=True, check=False
    )
    line = "error: standard output is closed. Send it to a file or to /dev/null.\n"
    assert (ended.returncode, ended.stderr) == (3, line)


@pytest.mark.parametrize("options", [["losses"], ["losses", "dpo", "--json"], ["--help"]])
def test_reader_that_has_gone_is_one_line(options: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*COMMAND, *options], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert ended.returncode == 3
    assert [line for line in ended.stderr.splitlines() if "rror" in line] == [
        "error: standard output cannot be written (Broken pipe). Free some space, or keep the reading program open."
    ]


def test_error_is_told_where_its_json_cannot_be() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*COMMAND, "build", "/none.csv", "--json"]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert ended.returncode == 2
    assert [line[:33] for line in ended.stderr.splitlines()] == ["error: there is no file /none.csv"]


@pytest.mark.parametrize(
    ("inherited", "number", "status", "line"),
    [("default_int_handler", *STOPS[0]), ("default_int_handler", *STOPS[1]), ("SIG_IGN", *STOPS[1])],
    ids=["ctrl-c", "termination", "termination in the background"],
)
def test_stop_that_a_destructor_drops_comes_again(inherited: str, number: int, status: int, line: str) -> None:
    program = (
        "import os, signal, sys, time\n"
        f"signal.signal(signal.SIGINT, signal.{inherited})\n"
        "from tropism import cli\n"
        "class Closing:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "        time.sleep(60)\n"
        "def work(_):\n"
        "    closing = Closing()\n"
        "    del closing\n"
        "    time.sleep(60)\n"
        "cli.status_of = work\n"
        "cli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (status, line)


@pytest.mark.parametrize(("number", "status", "line"), STOPS, ids=["ctrl-c", "termination"])
def test_second_stop_does_not_cut_the_cleaning_short(tmp_path: Path, number: int, status: int, line: str) -> None:
    program = (
        "import os, signal, time\n"
        "from tropism import cli\n"
        "def work(_):\n"
        "    try:\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.1)\n"
        "        open('cleaned', 'w').close()\n"
        "cli.status_of = work\n"
        "cli.main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (status, line)
    assert [path.name for path in tmp_path.iterdir()] == ["cleaned"]


def test_second_stop_is_heeded_where_cleaning_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminated = Terminated()
    with pytest.raises(KeyboardInterrupt):
        terminated.stop(signal.SIGINT, None)
    terminated.stop(signal.SIGTERM, None)
    assert not terminated.came
    monkeypatch.setattr("tropism.cli.CLEANING_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        terminated.stop(signal.SIGTERM, None)
    assert terminated.came


def test_folder_that_duckdb_spills_to_is_private_and_goes() -> None:
    backend = connect()
    ((name,),) = backend.raw_sql("SELECT current_setting('temp_directory')").fetchall()
    assert Path(name).stat().st_mode & 0o777 == 0o700
    del backend
    gc.collect()
    assert not Path(name).exists()


def test_temporary_folder_may_have_an_apostrophe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Anna's"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    ((name,),) = connect().raw_sql("SELECT current_setting('temp_directory')").fetchall()
    assert Path(name).parent == folder


def test_a_process_that_was_split_off_just_ends() -> None:
    program = (
        "import os, signal, time\n"
        "from tropism.cli import Terminated\n"
        "signal.signal(signal.SIGTERM, Terminated().stop)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60)\n"
        "time.sleep(0.2)\n"
        "os.kill(child, signal.SIGTERM)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{-signal.SIGTERM}\n", "")
