"""Who may ask what: 401 without the token, 403 from elsewhere, 413 for too much."""

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tropism.errors import ConfigError
from tropism.label.access import Access
from tropism.label.images import ImageFolder
from tropism.label.label_app import make_app
from tropism.label.label_service import LabelService
from tropism.label.request_guard import MOST_BODY_BYTES
from tropism.label.serving import check_token, page_address

TOKEN, OWNER = "annotators-token", "the-owners-token"
NETWORK = Access(TOKEN, OWNER, host="0.0.0.0", port=8000, allowed_hosts=("label.example",))


@pytest.fixture
def visit(make_service: Callable[..., LabelService]) -> Callable[..., TestClient]:
    """A browser before the page of `access`."""

    def make(access: Access, *, base: str = "http://127.0.0.1:8000") -> TestClient:
        app = make_app(make_service(), ImageFolder(None), access)
        return TestClient(app, base_url=base, follow_redirects=False)

    return make


def test_every_address_needs_the_token(visit: Callable[..., TestClient]) -> None:
    client = visit(NETWORK)
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    for path in ("/", "/results", "/static/label.js", "/images/x", "/nowhere", "/?token=wrong", "/static/../x"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=wrong).status_code == 401
    for path in ("/choose", "/undo", "/name", f"/choose?token={TOKEN}"):
        assert client.post(path, data={"name": "Ann"}).status_code == 401
    assert client.get("/", headers={"Cookie": f"tropism_key_8000={TOKEN}"}).status_code == 401
    assert client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/", headers={"Authorization": b"Bearer \xff"}).status_code == 401


def test_a_token_in_the_address_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(
    visit: Callable[..., TestClient],
) -> None:
    client = visit(NETWORK)
    answer = client.get(f"/?token={TOKEN}")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert 'content="0; url=/"' in answer.text
    assert client.get("/").status_code == 200
    assert client.get("/results").status_code == 401  # annotators do not see who wins


def test_the_owners_token_opens_the_results_too(visit: Callable[..., TestClient]) -> None:
    client = visit(NETWORK)
    assert 'content="0; url=/results"' in client.get(f"/results?token={OWNER}").text
    assert client.get("/results").status_code == client.get("/").status_code == 200
    assert 'url=/"' in visit(NETWORK).get(f"//evil.example?token={OWNER}").text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_posts_from_other_sites_are_refused_even_with_the_cookie(
    visit: Callable[..., TestClient], headers: dict[str, str]
) -> None:
    for access in (Access(), NETWORK):
        client = visit(access)
        client.get(f"/?token={TOKEN}")
        for path in ("/choose", "/undo", "/name"):
            assert client.post(path, data={"name": "Ann"}, headers=headers).status_code == 403


def test_our_own_forms_and_programs_may_post(visit: Callable[..., TestClient]) -> None:
    client = visit(Access())
    ours = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/name", data={"name": "Ann"}, headers=ours).status_code == 303
    assert client.post("/name", data={"name": "Ann"}).status_code == 303


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "192.168.1.7:8000", "127.0.0.1.evil.example", "[", ""]
)
def test_a_name_that_was_made_to_point_here_is_refused_on_loopback(visit: Callable[..., TestClient], host: str) -> None:
    assert visit(Access()).get("/", headers={"Host": host}).status_code == 403


def test_hosts_that_are_ours_are_known() -> None:
    for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"):
        assert Access().knows_host(host)
    for host in ("192.168.1.7:8000", "label.example", "[fe80::1]:8000", "127.0.0.1"):
        assert NETWORK.knows_host(host)
    assert not NETWORK.knows_host("evil.example:8000")


def test_the_owners_page_has_no_second_spelling(visit: Callable[..., TestClient]) -> None:
    client = visit(NETWORK)
    client.get(f"/?token={TOKEN}")
    for path in ("/results", "/%72esults", "/results?x=1"):
        assert client.get(path).status_code == 401
    for path in ("/results/", "/RESULTS"):
        assert client.get(path).status_code in (401, 404)


def test_bodies_have_a_limit_whatever_they_say_of_their_length(visit: Callable[..., TestClient]) -> None:
    client = visit(Access())
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    large = b"name=" + b"a" * MOST_BODY_BYTES
    assert client.post("/name", content=large, headers=form).status_code == 413
    assert client.post("/name", content=iter([large]), headers=form).status_code == 413
    assert client.post("/name", content=b"name=Ann", headers=form | {"Content-Length": "x"}).status_code == 413
    assert client.post("/name", content=b"&".join([b"a=1"] * 100), headers=form).status_code == 400
    assert client.post("/name", content=b"name=\xff", headers=form).status_code == 400
    assert client.post("/name", json={"name": "Ann"}).status_code == 400


def test_every_answer_forbids_what_pages_do_not_need(visit: Callable[..., TestClient]) -> None:
    client = visit(NETWORK)
    answers = [client.get("/"), client.get(f"/?token={TOKEN}"), client.get("/"), client.get("/nowhere")]
    answers.append(client.get("/", headers={"Host": "evil.example"}))
    assert [answer.status_code for answer in answers] == [401, 200, 200, 404, 403]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_other_methods_are_not_allowed(visit: Callable[..., TestClient]) -> None:
    client = visit(Access())
    assert [client.put("/").status_code, client.get("/choose").status_code] == [405, 405]


def test_a_network_needs_a_token_that_cannot_be_guessed() -> None:
    check_token("127.0.0.1", None)
    check_token("localhost", TOKEN)
    with pytest.raises(ConfigError, match=r"`host=0\.0\.0\.0` can be reached from other machines and needs `token`"):
        check_token("0.0.0.0", None)
    with pytest.raises(ConfigError, match="`token` must have at least 12 characters, got 5"):
        check_token("0.0.0.0", "short")
    for token in ("unverwüstlich und geheim", "two\nlines of a token"):
        with pytest.raises(ConfigError, match="`token` must consist of printable ASCII characters"):
            check_token("0.0.0.0", token)


def test_addresses_carry_the_token_that_opens_them() -> None:
    assert page_address(NETWORK, for_owner=False) == f"http://127.0.0.1:8000/?token={TOKEN}"
    assert page_address(NETWORK, for_owner=True) == f"http://127.0.0.1:8000/results?token={OWNER}"
    assert page_address(Access(host="::1", port=80), for_owner=False) == "http://[::1]:80/"


def test_images_are_served_with_their_type_and_nothing_else(
    make_service: Callable[..., LabelService], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG")
    images = ImageFolder(folder)
    client = TestClient(make_app(make_service(), images, Access()), base_url="http://127.0.0.1:8000")
    answer = client.get(f"/images/{images.key_of('a.png')}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/images/a.png").status_code == 404
