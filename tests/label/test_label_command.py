"""`tropism label` from the outside: a real server, asked as no browser would, and the account at its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tropism.cli import run
from tropism.cli.json_keys import JSON_KEYS
from tropism.data.group_store import read_groups_file, write_groups
from tropism.data.label_choices import read_choice_items, read_choices
from tropism.groups import PreferenceGroup

TOKEN = "0123456789abcdef" * 4
"""As long as `openssl rand -hex 32` makes it: longer than a column of a table."""


class Running(NamedTuple):
    """A server, where it is, and where it writes."""

    process: "subprocess.Popen[str]"
    port: int
    choices: Path


@pytest.fixture
def folder(tmp_path: Path, groups: list[PreferenceGroup], monkeypatch: pytest.MonkeyPatch) -> Path:
    write_groups(groups, tmp_path / "groups.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[Running]:
    """A server on a free port of the loopback, with a token."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tropism",
        "label",
        "groups.parquet",
        "--token",
        TOKEN,
        "--json",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Running(process, port, folder / "choices.sqlite")
    finally:
        process.kill()
        process.communicate(timeout=10)


def raw(running: Running, target: str, *, method: str = "GET", body: str = "", **headers: str) -> tuple[int, str]:
    """Status and whole answer to a request line that is sent as it stands."""
    given = {"Host": f"127.0.0.1:{running.port}", "Authorization": f"Bearer {TOKEN}", "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        given |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value), "", body]
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return int(answer.split()[1]), answer.decode()


def test_a_real_server_refuses_what_is_not_ours_and_ends_with_its_account(running: Running) -> None:
    assert raw(running, "/")[0] == 200
    assert raw(running, "/", Authorization="")[0] == 401
    assert raw(running, "/results")[0] == 401
    assert raw(running, "/", Host="evil.example")[0] == 403
    assert raw(running, "/choose", method="POST", body="a=1", Origin="https://evil.example")[0] == 403
    tricks = (
        "/static/../pages.py",
        "/static/%2e%2e%2fpages.py",
        "/static/..%2f..%2fpages.py",
        "/static/%2e%2e/guard.py",
        "/static//etc/passwd",
        "/static/label.css%00",
        "/static/..\\pages.py",
        "/images/../choices.sqlite",
        "/images/%2e%2e%2fchoices.sqlite",
        "/images//etc/passwd",
        "/choices.sqlite",
        "/../choices.sqlite",
        "//evil.example/",
        "//results",
        "/./results",
        "/results/",
        "http://evil.example/results/..",
    )
    for target in tricks:
        status, answer = raw(running, target)
        assert status == 404, target
        assert "location:" not in answer
    _, page = raw(running, "/", Cookie=f"tropism_name_{running.port}=Ada")
    fields = {name: page.split(f'name="{name}" value="')[1].split('"')[0] for name in ("choice_id", "item_id")}
    body = "&".join(f"{name}={value}" for name, value in fields.items()) + "&answer=1&milliseconds=1500&reason=clear"
    status, answer = raw(running, "/choose", method="POST", body=body, Cookie=f"tropism_name_{running.port}=Ada")
    assert (status, "location: /?note=saved" in answer) == (303, True)

    running.process.send_signal(signal.SIGINT)
    out, err = running.process.communicate(timeout=20)
    assert running.process.returncode == 0
    (line,) = out.splitlines()
    report = json.loads(line)
    assert report == {
        "groups": 5,
        "items": 5,
        "left_out": {},
        "complete": 1,
        "choices": 1,
        "annotators": 1,
        "checks": {"shown": 0, "passed": 0},
        "agreement": None,
        "output": "choices.sqlite",
    }
    assert set(report) == set(JSON_KEYS["label"])
    assert f"http://127.0.0.1:{running.port}/?token={TOKEN}" in err
    (choice,) = read_choices(running.choices)
    assert (choice.annotator, choice.seconds, choice.reasons) == ("Ada", 1.5, ("clear",))
    assert choice.winner == choice.shown[0]
    assert run(["build", "choices.sqlite", "-o", "again.parquet"]) == 0
    (group,) = read_groups_file(running.choices.with_name("again.parquet"))
    assert [group.responses[edge.winner].content for edge in group.edges] == [
        option.content
        for item in read_choice_items(running.choices)
        for option in item.options
        if (item.item_id, option.id) == (choice.item_id, choice.winner)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from other machines and needs --token. Add --token "),
        (
            ["--allow-host", "a.example"],
            "--allow-host a.example lets other machines in and needs --token. Add --token ",
        ),
        (["--pairs", "some"], "--pairs must be all, edges or a number, got 'some'. Use --pairs 200."),
        (["--pairs", "all", "--best-of", "3"], "--pairs has no effect with --best-of. Omit one of them."),
        (["--best-of", "1"], "--best-of must be in [2, 9], got 1. Use --best-of 4."),
        (["--pairs", "edges"], "nothing to compare in 5 groups (no comparison). Use groups with two different"),
        (["--check-share", "0.1"], "--check-share has no effect without --checks. Add --checks generated."),
        (
            ["--reasons", "kind,kind"],
            "--reasons must be at most 20 different tags, got kind, kind. Write each tag once.",
        ),
        (["--images", "nowhere"], "--images must be a folder, got nowhere. Use the folder that holds the images."),
        (["-o", "groups.parquet"], "groups.parquet exists and is not a choices file. Use another --output"),
        (["--checks", "missing.parquet"], "there is no file missing.parquet."),
    ],
)
def test_label_ends_in_one_clear_error_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["label", "groups.parquet", "--port", "0", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["groups.parquet"]


def test_a_port_in_use_is_said_before_anything_is_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["label", "groups.parquet", "--port", str(port)]) == 3
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert not (folder / "choices.sqlite").exists()
