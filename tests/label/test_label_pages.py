"""The pages without a script: one form after the other, blind, and resumed where they were left."""

import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from tropism.data.label_choices import ChoiceItem, Option
from tropism.label.access import Access
from tropism.label.choice_store import StoreBusy
from tropism.label.images import ImageFolder
from tropism.label.label_app import make_app
from tropism.label.label_service import LabelService, ShownItem
from tropism.label.pages import choice_page
from tropism.label.queue import Progress


def visitor(service: LabelService, name: str | None = None) -> TestClient:
    """A browser without scripts, with a name already given where one is."""
    client = TestClient(make_app(service, ImageFolder(None), Access()), base_url="http://127.0.0.1:8000")
    if name is not None:
        assert client.post("/name", data={"name": name}).status_code == 200
    return client


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def send(client: TestClient, page: str, answer: str, **more: object) -> str:
    """The page after a form was sent."""
    return client.post("/choose", data=fields_of(page) | {"answer": answer} | more).text


def test_the_name_is_asked_once_and_kept(make_service: Callable[..., LabelService]) -> None:
    client = visitor(make_service())
    assert 'name="name"' in client.get("/").text
    assert client.post("/name", data={"name": "\x00"}).status_code == 400
    assert client.post("/name", data={"name": "x" * 61}).status_code == 400
    page = client.post("/name", data={"name": "  Zoë & <b>Ada</b> "}).text
    assert "Zoë &amp; &lt;b&gt;Ada&lt;/b&gt;" in page
    assert "Zoë" in client.get("/").text
    assert 'name="name" type="text"' in client.post("/name", data={"name": ""}).text


def test_everything_is_answered_by_plain_forms(make_service: Callable[..., LabelService]) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    page = client.get("/").text
    for place, answer in enumerate(("1", "2", "tie", "both_bad", "skip")):
        assert f"<b>{place}</b>" in page
        page = send(client, page, answer, reason=["kind", "forged"])
    assert "You are done." in page
    made = service.store.standing()
    assert [choice.verdict for choice in made] == ["win", "win", "tie", "both_bad", "skip"]
    assert (made[0].winner, made[1].winner) == (made[0].shown[0], made[1].shown[1])
    assert {choice.reasons for choice in made} == {("kind",)}
    assert all(choice.seconds is not None and 0 <= choice.seconds < 60 for choice in made)  # by our own clock


def test_the_page_does_not_tell_whose_answers_they_are(make_service: Callable[..., LabelService]) -> None:
    client = visitor(make_service(), "Ann")
    for _ in range(5):
        page = client.get("/").text
        assert "answer to" in page
        assert not re.search(r"model-[xy]|\bg\d\b", page)
        send(client, page, "1")


def test_a_form_sent_twice_counts_once_and_a_stale_one_not_at_all(make_service: Callable[..., LabelService]) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    page = client.get("/").text
    for _ in range(2):
        answer = client.post("/choose", data=fields_of(page) | {"answer": "1"}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/?note=saved")
    assert client.post("/choose", data=fields_of(page) | {"answer": "2"}).status_code == 409
    other = fields_of(page) | {"choice_id": "another-id", "answer": "2"}
    assert client.post("/choose", data=other).status_code == 409
    assert service.store.num_rows() == 1


def test_undo_brings_the_item_back(make_service: Callable[..., LabelService]) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    first = client.get("/").text
    second = send(client, first, "1")
    assert fields_of(second)["item_id"] != fields_of(first)["item_id"]
    back = client.post("/undo", data=fields_of(second)).text
    assert "Undone." in back
    assert fields_of(back)["item_id"] == fields_of(first)["item_id"]
    assert client.post("/undo", data=fields_of(second)).status_code == 200  # the same undo: nothing more is taken back
    send(client, back, "2")
    assert [choice.winner == choice.shown[1] for choice in service.store.standing()] == [True]
    assert service.store.num_rows() == 3
    assert "nothing to undo" in visitor(service, "Bob").post("/undo", data={"undo_id": "0123-4567"}).text


@pytest.mark.parametrize("answer", ["1", "2"])
def test_an_old_page_whose_choice_was_taken_back_saves_nothing_and_says_so(
    answer: str, make_service: Callable[..., LabelService]
) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    old = client.get("/").text
    back = client.post("/undo", data=fields_of(send(client, old, "1"))).text
    late = client.post("/choose", data=fields_of(old) | {"answer": answer}, follow_redirects=False)
    assert late.status_code == 409
    assert "so it was not saved again" in late.text
    assert service.store.standing() == []
    assert fields_of(client.get("/").text)["item_id"] == fields_of(old)["item_id"] == fields_of(back)["item_id"]
    send(client, back, answer)
    assert len(service.store.standing()) == 1


def test_work_goes_on_where_it_was_left_after_a_restart(make_service: Callable[..., LabelService]) -> None:
    client = visitor(make_service(), "Ann")
    page = client.get("/").text
    shown = [fields_of(page)["item_id"]]
    for _ in range(2):
        page = send(client, page, "1")
        shown.append(fields_of(page)["item_id"])
    again = visitor(make_service(), "Ann")
    page = again.get("/").text
    assert "<b>2</b> answered, 3 left" in re.sub("</?span[^>]*>", "", page)
    assert fields_of(page)["item_id"] == shown[2]


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "3"},
        {"answer": ""},
        {"answer": "undo"},
        {"item_id": "nothing"},
        {"choice_id": "'; --"},
        {"choice_id": ""},
    ],
)
def test_what_no_page_sends_is_refused(make_service: Callable[..., LabelService], change: dict[str, str]) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    fields = fields_of(client.get("/").text) | {"answer": "1"} | change
    assert client.post("/choose", data=fields).status_code == 400
    assert service.store.num_rows() == 0


@pytest.mark.parametrize("milliseconds", ["nan", "-5", "1e99", "inf", "x", "1e3"])
def test_times_that_cannot_be_are_unknown(make_service: Callable[..., LabelService], milliseconds: str) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    send(client, client.get("/").text, "1", milliseconds=milliseconds)
    (choice,) = service.store.standing()
    expected = {"1e3": 1.0, "x": pytest.approx(0, abs=30)}
    assert choice.seconds == expected.get(milliseconds)


def test_nothing_is_acknowledged_that_was_not_stored(
    make_service: Callable[..., LabelService], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service()
    client = visitor(service, "Ann")
    page = client.get("/").text

    def fail(*_: object) -> None:
        raise StoreBusy("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "_insert", lambda *_, **__: fail())
        answer = client.post("/choose", data=fields_of(page) | {"answer": "1"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "was not saved" in answer.text
    assert service.store.num_rows() == 0
    assert send(client, page, "1") != page
    assert service.store.num_rows() == 1


def test_the_owner_sees_progress_and_annotators_do_not_see_the_owners_page(
    make_service: Callable[..., LabelService],
) -> None:
    service = make_service(overlap=2)
    for name in ("Ann", "Bob"):
        client = visitor(service, name)
        for _ in range(5):
            send(client, client.get("/").text, "tie")
    page = visitor(service).get("/results").text
    assert re.search(r"<b>5</b> of 5 items complete", page)
    assert "<bdi>Ann</bdi>" in page
    assert "model-x" in page
    assert '<a href="/results">' in visitor(service, "Eve").get("/").text
    guarded = make_app(service, ImageFolder(None), Access("annotators-token", "the-owners-token"))
    annotator = TestClient(
        guarded, base_url="http://127.0.0.1:8000", headers={"Authorization": "Bearer annotators-token"}
    )
    assert annotator.post("/name", data={"name": "Eve"}).status_code == 200
    assert "/results" not in annotator.get("/").text


def test_best_of_four_has_four_keys_and_shows_dialogues_with_their_roles() -> None:
    prompt = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"})
    options = tuple(Option(name, ({"role": "assistant", "content": f"Answer {name}"},)) for name in "abcd")
    served = ShownItem(ChoiceItem("i", "g", prompt, options), options, Progress(0, 1))
    page = choice_page(served, "Ann", images=ImageFolder(None), reasons=("kind",), is_owner=False)
    assert re.findall(r'data-key="(\w)"', page) == list("q1234tbsu")
    assert re.findall(r'class="role">(\w+)<', page) == ["system", "user"]
    assert "Which answer is best?" in page
    labels = re.findall(r'aria-label="(Answer \d is best)"', page)
    assert len(labels) == 4


def test_every_field_and_button_has_a_name(make_service: Callable[..., LabelService]) -> None:
    client = visitor(make_service(), "Ann")
    page = client.get("/").text
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    for tag in re.findall(r"<(?:progress|section|fieldset|img)\b[^>]*>", page):
        assert "aria-label" in tag or tag == '<fieldset class="reasons">' or "alt=" in tag
    assert not re.search(r"<script(?! src=)|<style| on\w+=| style=", page)
    assert 'role="status"' in page
    assert '<label for="name">' in visitor(make_service()).get("/").text
