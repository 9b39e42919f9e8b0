"""An endpoint that may be down, slow or lying: nothing finished is lost, nothing it sends is trusted."""

import datetime
import json
import time

import httpx2
import pytest

from tests.lying_server import LIES, completion, lying_server
from tropism.endpoint.client import ChatEndpoint, EndpointError, Refusal
from tropism.endpoint.endpoint_reply import Unanswered, check_status, read_reply, wait_of
from tropism.endpoint.endpoint_settings import EndpointSettings, open_settings
from tropism.endpoint.endpoint_store import Ask, ReplyStore
from tropism.errors import ConfigError
from tropism.evals.core.endpoint_writer import endpoint_subject

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def server():
    with lying_server() as running:
        yield running


def ask(words, seed=0):
    return Ask(({"role": "user", "content": words},), 0.7, 16, seed)


def endpoint(url, *, sleep=lambda seconds: None, transport=None, fresh=False, **settings):
    given = {"timeout_seconds": 0.3, "attempts": 3, "concurrency": 4, "most_bytes": 100_000} | settings
    return ChatEndpoint(EndpointSettings(url=url, model="m", **given), sleep=sleep, transport=transport, fresh=fresh)


def mocked(handler, **settings):
    return endpoint("https://example.org/v1", transport=httpx2.MockTransport(handler), **settings)


def honest(request):
    return httpx2.Response(200, content=completion(json.loads(request.content)["messages"][-1]["content"].upper()))


@pytest.mark.parametrize("lie", [*sorted(set(LIES) - {"redirect", "400", "401"}), "hang", "drip", "cut", "noise"])
def test_every_lie_is_survived_when_the_truth_follows(server, lie):
    replies = endpoint(server.url).ask_all([ask(f"{lie}*2:a"), ask("truth:b")])
    assert [reply.text for reply in replies] == ["echo a", "echo b"]
    assert server.asked[f"{lie}*2:a"] == 3


def test_no_finished_reply_is_lost_and_the_error_names_the_counts(server):
    asks = [ask(f"truth:{n}") for n in range(20)] + [ask(f"html:{n}") for n in range(3)] + [ask("hang:x"), ask("500:y")]
    with pytest.raises(EndpointError) as raised:
        endpoint(server.url).ask_all(asks)
    text = str(raised.value)
    assert f"5 of 25 replies of m at 127.0.0.1:{server.server_port} are missing" in text
    assert "3 x HTML in place of JSON" in text
    assert "1 x no answer within 0.3 s" in text
    assert "1 x status 500" in text
    assert "20 are kept" in text
    assert "alert" not in text
    again = endpoint(server.url)
    replies = again.ask_all(asks[:20])
    assert [reply.text for reply in replies] == [f"echo {n}" for n in range(20)]
    assert (again.spent.asked, again.spent.found) == (0, 20)
    assert all(server.asked[f"truth:{n}"] == 1 for n in range(20))


def test_an_endpoint_that_is_down_is_given_up_soon():
    started = time.monotonic()
    with pytest.raises(EndpointError, match="cannot be reached") as raised:
        endpoint("http://127.0.0.1:9/v1").ask_all([ask(str(n)) for n in range(500)])
    assert "500 of 500" in str(raised.value)
    assert "not asked, because the endpoint is down" in str(raised.value)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("lie", "reason"), [("401", "status 401"), ("redirect", "status 302, a redirect")])
def test_what_every_request_would_get_ends_the_call_at_once(server, lie, reason):
    with pytest.raises(EndpointError, match=reason):
        endpoint(server.url, concurrency=1).ask_all([ask(f"{lie}:{n}") for n in range(50)])
    assert server.asked.total() <= 2


def test_what_is_refused_for_good_is_not_asked_again_and_hinders_nothing(server):
    replies = endpoint(server.url).ask_all([ask("400:long"), ask("truth:b")])
    assert replies[0] == Refusal("status 400")
    assert replies[1].text == "echo b"
    assert server.asked["400:long"] == 1


def test_equal_requests_are_sent_once_and_others_with_another_seed(server):
    found = endpoint(server.url)
    replies = found.ask_all([ask("truth:a"), ask("truth:a"), ask("truth:a", seed=1)])
    assert [reply.text for reply in replies] == ["echo a"] * 3
    assert server.asked["truth:a"] == 2
    assert (found.spent.asked, found.spent.tokens_in, found.spent.tokens_out) == (2, 20, 4)


def test_fresh_asks_again(server):
    endpoint(server.url).ask_all([ask("truth:a")])
    endpoint(server.url, fresh=True).ask_all([ask("truth:a")])
    assert server.asked["truth:a"] == 2


def test_waits_are_those_that_the_endpoint_asks_for_and_grow_otherwise():
    slept = []
    answers = iter([httpx2.Response(429, headers={"retry-after": "7"}), httpx2.Response(503), httpx2.Response(503)])
    found = mocked(lambda request: next(answers, None) or honest(request), sleep=slept.append, attempts=4)
    assert found.ask_all([ask("a")])[0].text == "A"
    assert slept[0] == 7.0
    assert 0.5 <= slept[1] <= 1.0
    assert 1.0 <= slept[2] <= 2.0


def test_an_endpoint_that_asks_to_wait_too_long_is_not_waited_for():
    slept = []
    found = mocked(lambda request: httpx2.Response(429, headers={"retry-after": "86400"}), sleep=slept.append)
    with pytest.raises(EndpointError, match="1 x status 429"):
        found.ask_all([ask("a")])
    assert slept == []


def test_an_interruption_loses_nothing_that_was_finished():
    def interrupt(place, outcome):
        raise KeyboardInterrupt

    asks = [ask(str(n)) for n in range(6)]
    found = mocked(honest, concurrency=2)
    with pytest.raises(KeyboardInterrupt):
        found.ask_all(asks, finished=interrupt)
    with ReplyStore(found.settings.store) as store:
        kept = [store.find(one.key()) for one in asks]
    again = mocked(honest)
    again.ask_all(asks)
    assert sum(reply is not None for reply in kept) >= 1
    assert again.spent.found == sum(reply is not None for reply in kept)


def test_the_key_goes_into_the_header_and_nowhere_else(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    found = endpoint(server.url, key="MY_KEY")
    found.ask_all([ask("truth:a")])
    assert server.headers_seen[0]["authorization"] == "Bearer sk-secret"
    assert server.headers_seen[0]["accept-encoding"] == "identity"
    assert "sk-secret" not in repr(found.settings)
    assert "sk-secret" not in found.spent.sentence(found.settings)
    assert b"sk-secret" not in found.settings.store.read_bytes()


def test_a_request_carries_model_limit_seed_and_what_is_added(server):
    endpoint(server.url, extra={"reasoning_effort": "low"}, limit_name="max_completion_tokens").ask_all(
        [ask("truth:\ud800", seed=5)]
    )
    body = server.bodies[0]
    assert {name: body[name] for name in body if name != "messages"} == {
        "reasoning_effort": "low",
        "model": "m",
        "temperature": 0.7,
        "max_completion_tokens": 16,
        "seed": 5,
        "stream": False,
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "ftp://host/v1", "model": "m"}, "must begin with http:// or https://"),
        ({"url": "https://me:word77@host/v1", "model": "m"}, "must hold no user name"),
        ({"url": "https://host/v1", "model": ""}, "'model'"),
        ({"url": "https://host/v1", "model": "m", "key": "sk-1234"}, "NAME of an environment variable"),
        ({"url": "https://host/v1", "model": "m", "modle": 1}, "'modle'"),
        ({"url": "https://host/v1", "model": "m", "extra": {"stream": True}}, "must not set stream"),
    ],
)
def test_a_wrong_setting_is_a_plain_error_that_repeats_no_value(tmp_path, settings, message):
    path = tmp_path / "endpoint.yaml"
    path.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=message) as raised:
        open_settings(str(path), EndpointSettings)
    assert "sk-1234" not in str(raised.value)
    assert "word77" not in str(raised.value)


def test_settings_come_from_an_address_too_and_a_missing_file_is_a_plain_error():
    found = open_settings("http://localhost:8000/v1/#qwen", EndpointSettings)
    assert (found.url, found.model, found.is_local) == ("http://localhost:8000/v1", "qwen", True)
    with pytest.raises(ConfigError, match=r"judge\.yaml is no readable file"):
        open_settings("judge.yaml", EndpointSettings)


def test_a_key_is_never_sent_unencrypted_and_a_missing_one_is_said(monkeypatch):
    with pytest.raises(ConfigError, match="MY_KEY is not set"):
        endpoint("https://example.org/v1", key="MY_KEY")
    monkeypatch.setenv("TROPISM_ENDPOINT_KEY", "sk-secret")
    with pytest.raises(ConfigError, match="would travel unencrypted") as raised:
        endpoint("http://example.org/v1")
    assert "sk-secret" not in str(raised.value)


def test_the_cost_is_shown_where_prices_are_given():
    found = mocked(honest, price_in=2.0, price_out=10.0)
    found.ask_all([ask("a"), ask("b")])
    assert found.spent.sentence(found.settings) == (
        "m at example.org: 2 replies asked for, 0 found on disk; 20 tokens in, 4 out, "
        "cost 0.0001 at 2 and 10 per million tokens"
    )


def test_usage_that_cannot_be_true_counts_nothing():
    for usage in (
        None,
        7,
        {"prompt_tokens": -1},
        {"prompt_tokens": "9"},
        {"prompt_tokens": True},
        {"prompt_tokens": 1e3},
    ):
        body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
        assert read_reply(body).tokens_in == 0


def test_text_that_no_file_could_hold_is_replaced():
    body = b'{"choices": [{"message": {"content": "a\\ud800b\\u0000"}}]}'
    assert read_reply(body).text == "a?b\N{REPLACEMENT CHARACTER}"


def test_an_answer_that_was_cut_or_filtered_before_its_first_word_is_empty():
    for end in ("length", "content_filter"):
        body = json.dumps({"choices": [{"message": {"content": None}, "finish_reason": end}]}).encode()
        assert read_reply(body).text == ""


def test_a_wait_may_be_seconds_or_a_date():
    assert wait_of("Thu, 01 Jan 2026 12:00:30 GMT", now=NOON) == 30.0
    assert wait_of("Thu, 01 Jan 2026 11:00:00 GMT", now=NOON) == 0.0
    assert [wait_of(value, now=NOON) for value in ("-3", "inf", "nan", "", "x")] == [0.0, None, None, None, None]


def test_statuses_say_whether_to_ask_again():
    reasons = []
    for status in (429, 500, 400, 401, 301):
        with pytest.raises(Unanswered) as raised:
            check_status(status, {}, now=NOON)
        reasons.append((raised.value.again, raised.value.for_all))
    assert reasons == [(True, False), (True, False), (False, False), (False, True), (False, True)]


def test_a_model_behind_an_endpoint_answers_in_place_of_a_policy(server):
    subject = endpoint_subject(endpoint(server.url))
    prompts = ["truth:a", ({"role": "system", "content": "s"}, {"role": "user", "content": "truth:b"})]
    rows = subject.answers(prompts, num_answers=2, temperature=0.7, max_new_tokens=16, seed=0)
    assert rows == [["echo a"] * 2, ["echo b"] * 2]
    assert len({body["seed"] for body in server.bodies}) == 2
    assert server.bodies[-1]["messages"][0]["role"] in ("system", "user")


def test_a_subject_keeps_the_answers_to_the_other_prompts(server):
    prompts = ["truth:a", "400:b"]
    with pytest.raises(EndpointError, match="refuses 1 of 2 answers: 1 x status 400"):
        endpoint_subject(endpoint(server.url)).answers(prompts, temperature=0.0, max_new_tokens=4, seed=0)
    endpoint_subject(endpoint(server.url)).answers(prompts[:1], temperature=0.0, max_new_tokens=4, seed=0)
    assert server.asked["truth:a"] == 1
