"""Twenty people choose at once and the server is killed: every acknowledged choice is there, once."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tropism.data.group_store import write_groups
from tropism.data.label_choices import read_choice_items, read_choices
from tropism.groups import PreferenceGroup, Response

NUM_ANNOTATORS, NUM_ITEMS = 20, 100
MOST_SECONDS = 120.0
MOST_TRIES = 400

CHOICE_ID = re.compile(r'name="choice_id" value="([^"]+)"')
ITEM_ID = re.compile(r'name="item_id" value="([^"]+)"')


@dataclass
class Hall:
    """What the twenty share: where the server is, and what it acknowledged."""

    port: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: list[tuple[str, str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    deadline: float = field(default_factory=lambda: time.monotonic() + MOST_SECONDS)


class Visitor:
    """One person's browser: asks again while the server is away, as the page does."""

    def __init__(self, hall: Hall, annotator: str) -> None:
        self.hall = hall
        self.headers = {"Cookie": f"tropism_name_{hall.port}={annotator}"}
        self.connection = http.client.HTTPConnection("127.0.0.1", hall.port, timeout=20)

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Status and text of an answer."""
        kind = {} if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
        for _ in range(MOST_TRIES):
            try:
                self.connection.request(method, path, body, self.headers | kind)
                answer = self.connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException):
                self.connection.close()
                assert time.monotonic() < self.hall.deadline, "the server did not come back"
                time.sleep(0.1)
        raise AssertionError("the server did not come back")


def label_everything(hall: Hall, annotator: str) -> None:
    """One person answers all items; a verdict that follows from the item, so that it can be looked for."""
    visitor = Visitor(hall, annotator)
    try:
        for place in range(NUM_ITEMS):
            status, page = visitor.ask("GET", "/")
            assert status == 200
            choice_id, item_id = CHOICE_ID.search(page), ITEM_ID.search(page)
            assert choice_id is not None, f"{annotator} has nothing left after {place}"
            assert item_id is not None
            answer = ("1", "2", "tie")[int(item_id[1], 16) % 3]
            body = f"choice_id={choice_id[1]}&item_id={item_id[1]}&answer={answer}&milliseconds=900"
            status, _ = visitor.ask("POST", "/choose", body)
            assert status == 303
            with hall.lock:
                hall.acknowledged.append((choice_id[1], item_id[1], annotator, answer))
    except Exception as error:
        with hall.lock:
            hall.problems.append(f"{annotator}: {error}")
    finally:
        visitor.connection.close()


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A server that answers."""
    command = [sys.executable, "-m", "tropism", "label", "groups.parquet", "--port", str(port), "--overlap", "20"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=os.environ)
    for _ in range(MOST_TRIES):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.timeout(180)
def test_a_kill_amid_two_thousand_choices_of_twenty_people_loses_none_and_doubles_none(tmp_path: Path) -> None:
    write_groups(
        (
            PreferenceGroup(
                f"g{place}", (f"Question {place}?",), (Response("x", f"Yes {place}."), Response("y", "No."))
            )
            for place in range(NUM_ITEMS)
        ),
        tmp_path / "groups.parquet",
    )
    hall = Hall(free_port())
    people = [
        threading.Thread(target=label_everything, args=(hall, f"person-{place}"), daemon=True)
        for place in range(NUM_ANNOTATORS)
    ]
    server = started(tmp_path, hall.port)
    try:
        for person in people:
            person.start()
        while len(hall.acknowledged) < NUM_ANNOTATORS * NUM_ITEMS // 2 and not hall.problems:
            assert time.monotonic() < hall.deadline
            time.sleep(0.02)
        server.send_signal(signal.SIGKILL)
        server.wait(10)
        with hall.lock:
            before = list(hall.acknowledged)
        kept = {(one.choice_id, one.annotator) for one in read_choices(tmp_path / "choices.sqlite")}
        assert {(one[0], one[2]) for one in before} <= kept
        server = started(tmp_path, hall.port)
        for person in people:
            person.join(max(0.0, hall.deadline - time.monotonic()))
        assert hall.problems == []
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait(10)
    items = {item.item_id: item for item in read_choice_items(tmp_path / "choices.sqlite")}
    stored = {choice.choice_id: choice for choice in read_choices(tmp_path / "choices.sqlite")}
    assert len(hall.acknowledged) == len(stored) == NUM_ANNOTATORS * NUM_ITEMS
    for choice_id, item_id, annotator, answer in hall.acknowledged:
        choice = stored[choice_id]
        assert (choice.item_id, choice.annotator) == (item_id, annotator)
        assert choice.winner == (None if answer == "tie" else choice.shown[int(answer) - 1])
    counted = Counter((choice.annotator, choice.item_id) for choice in stored.values())
    assert set(counted.values()) == {1}
    assert len(items) == NUM_ITEMS
    assert not (tmp_path / "choices.sqlite-wal").exists()
