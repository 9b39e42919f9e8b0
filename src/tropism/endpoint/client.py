"""Asks an OpenAI-compatible endpoint many things at once: bounded, patient, never trusting, losing nothing finished."""

from __future__ import annotations

import contextlib
import datetime
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, final

import httpx2

from tropism.endpoint.endpoint_reply import Reply, Unanswered, check_status, read_reply
from tropism.endpoint.endpoint_settings import EndpointSettings
from tropism.endpoint.endpoint_store import Ask, ReplyStore
from tropism.errors import TropismError

FIRST_WAIT_SECONDS = 0.5
CONNECT_SECONDS = 10.0
FAILURES_IN_A_ROW = 8
"""Requests that may fail for good one after the other, whatever their attempts; then the endpoint counts as down."""


class EndpointError(TropismError):
    """An endpoint that did not answer everything; what it did answer is kept."""

    exit_status = 4


class Refusal(NamedTuple):
    """A request that the endpoint will not answer, however often it is asked."""

    reason: str


@dataclass
class Spent:
    """What an endpoint was asked so far, and what that took.

    Attributes:
        asked: replies that came over the network.
        found: replies that were on disk already, and cost nothing.
        tokens_in, tokens_out: of the former, as the endpoint counts them.
    """

    asked: int = 0
    found: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def sentence(self, settings: EndpointSettings) -> str:
        """The same in words, with the cost where prices are given."""
        cost = ""
        if settings.price_in is not None and settings.price_out is not None:
            price = (self.tokens_in * settings.price_in + self.tokens_out * settings.price_out) / 1e6
            cost = f", cost {price:.4f} at {settings.price_in:g} and {settings.price_out:g} per million tokens"
        return (
            f"{settings.place}: {self.asked:,} replies asked for, {self.found:,} found on disk; "
            f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out{cost}"
        )


@dataclass
class Patience:
    """Whether to go on asking: shared by the threads of one call.

    Attributes:
        stopped: set when nothing more is to be asked.
        failures: requests that failed for good since the last reply.
    """

    stopped: threading.Event = field(default_factory=threading.Event)
    failures: int = 0


Outcome: TypeAlias = Reply | Refusal | Unanswered


@final
class ChatEndpoint:
    """A chat model behind HTTP.

    Args:
        settings: where it is and how patiently to ask.
        fresh: ask again although a reply is on disk.
        transport: of HTTP; the network if None.
        clock: seconds, for the time that an answer takes.
        sleep: waits so many seconds; by default ends early when the call is stopped.
        seed: of the jitter between attempts.

    Raises:
        ConfigError: where the key is missing or would travel unencrypted.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        fresh: bool = False,
        transport: httpx2.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.spent = Spent()
        self._fresh = fresh
        self._transport = transport
        self._clock = clock
        self._sleep = sleep
        self._jitter = random.Random(seed)
        secret = settings.secret()
        self._headers = {"accept-encoding": "identity", "content-type": "application/json"} | (
            {"authorization": f"Bearer {secret}"} if secret else {}
        )

    def ask_all(
        self, asks: Sequence[Ask], *, finished: Callable[[int, Reply | Refusal], None] | None = None
    ) -> list[Reply | Refusal]:
        """Replies to all requests, in their order; every reply is on disk before it is handed over.

        Args:
            asks: the requests; equal ones are asked once.
            finished: called in this thread with a request's index and what became of it, as they come.

        Raises:
            EndpointError: where some have no reply, after all others were given their chance. Ask again for the rest.
        """
        places: dict[str, list[int]] = {}
        for place, ask in enumerate(asks):
            places.setdefault(ask.key(), []).append(place)
        distinct = {key: asks[found[0]] for key, found in places.items()}
        outcomes: dict[int, Reply | Refusal] = {}
        missing: Counter[str] = Counter()
        with ReplyStore(self.settings.store) as store, contextlib.closing(self._outcomes(distinct, store)) as ended:
            for key, outcome in ended:
                for place in places[key]:
                    if isinstance(outcome, Unanswered):
                        missing[outcome.reason] += 1
                    else:
                        outcomes[place] = outcome
                        if finished:
                            finished(place, outcome)
        if missing:
            raise self._error(missing, len(asks))
        return [outcomes[place] for place in range(len(asks))]

    def _outcomes(self, asks: Mapping[str, Ask], store: ReplyStore) -> Generator[tuple[str, Outcome]]:
        """Every request with what became of it, as they come."""
        patience = Patience()
        with (
            httpx2.Client(
                transport=self._transport,
                headers=self._headers,
                timeout=httpx2.Timeout(self.settings.timeout_seconds, connect=CONNECT_SECONDS, pool=None),
                limits=httpx2.Limits(max_connections=self.settings.concurrency),
                follow_redirects=False,
                trust_env=not self.settings.is_local,  # no proxy stands before this machine itself
            ) as client,
            ThreadPoolExecutor(self.settings.concurrency) as threads,
        ):
            open_asks: dict[Future[Outcome], str] = {}
            try:
                for key, ask in asks.items():
                    known = None if self._fresh else store.find(key)
                    if known:
                        self.spent.found += 1
                        yield key, known
                        continue
                    open_asks[threads.submit(self._outcome, client, ask, store, patience)] = key
                    if len(open_asks) >= 2 * self.settings.concurrency:
                        yield from self._done(open_asks)
                while open_asks:
                    yield from self._done(open_asks)
            finally:  # after Ctrl-C too: what is on its way may still come, and is kept
                patience.stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)

    def _done(self, open_asks: dict[Future[Outcome], str]) -> Iterator[tuple[str, Outcome]]:
        """Wait for the next requests to end."""
        done, _ = wait(open_asks, return_when=FIRST_COMPLETED)
        for future in done:
            outcome = future.result()
            if isinstance(outcome, Reply):
                self.spent.asked += 1
                self.spent.tokens_in += outcome.tokens_in
                self.spent.tokens_out += outcome.tokens_out
            yield open_asks.pop(future), outcome

    def _outcome(self, client: httpx2.Client, ask: Ask, store: ReplyStore, patience: Patience) -> Outcome:
        """One request, as many attempts as it may have; runs in a thread of its own."""
        last = Unanswered("not asked, because the endpoint is down")
        for attempt in range(self.settings.attempts):
            if patience.stopped.is_set():
                return last
            try:
                reply = self._post(client, ask)
            except Unanswered as reason:
                last = reason
                pause = self._pause(attempt, reason)
                if pause is None or attempt + 1 == self.settings.attempts:
                    break
                (self._sleep or patience.stopped.wait)(pause)
            else:
                store.keep(ask.key(), reply)
                patience.failures = 0
                return reply
        if not last.again and not last.for_all:
            return Refusal(last.reason)
        patience.failures += 1
        if last.for_all or patience.failures >= FAILURES_IN_A_ROW:
            patience.stopped.set()
        return last

    def _pause(self, attempt: int, reason: Unanswered) -> float | None:
        """Seconds before the next attempt: at least what the endpoint asks for; None to give up."""
        if not reason.again or (reason.wait_seconds or 0.0) > self.settings.longest_wait_seconds:
            return None
        backoff = min(FIRST_WAIT_SECONDS * 2**attempt, self.settings.longest_wait_seconds)
        return max(backoff * self._jitter.uniform(0.5, 1.0), reason.wait_seconds or 0.0)

    def _post(self, client: httpx2.Client, ask: Ask) -> Reply:
        """One attempt.

        Raises:
            Unanswered: where it gives no reply, whatever the endpoint did instead.
        """
        deadline = self._clock() + self.settings.timeout_seconds
        try:
            with client.stream("POST", f"{self.settings.url}/chat/completions", content=self._body(ask)) as response:
                check_status(response.status_code, response.headers, now=datetime.datetime.now(datetime.UTC))
                received = bytearray()
                for chunk in response.iter_bytes():
                    received += chunk
                    if len(received) > self.settings.most_bytes:
                        raise Unanswered(f"more than {self.settings.most_bytes:,} bytes")
                    if self._clock() > deadline:
                        raise Unanswered(f"not finished within {self.settings.timeout_seconds:g} s")
        except httpx2.TimeoutException:
            raise Unanswered(f"no answer within {self.settings.timeout_seconds:g} s") from None
        except httpx2.ConnectError:
            raise Unanswered("cannot be reached") from None
        except httpx2.TransportError:
            raise Unanswered("a connection that broke off") from None
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ValueError):
            raise Unanswered("a response that is not HTTP") from None
        return read_reply(bytes(received))

    def _body(self, ask: Ask) -> bytes:
        """A request as JSON, in ASCII, so that no text can be one that cannot be sent."""
        settings = self.settings
        body = {
            "model": settings.model,
            "messages": [dict(message) for message in ask.messages],
            "temperature": ask.temperature,
            settings.limit_name: ask.max_tokens,
            "seed": ask.seed,
            "stream": False,
        }
        return json.dumps(settings.extra | body).encode("ascii")

    def _error(self, missing: Counter[str], num_asks: int) -> EndpointError:
        """What is missing, why, and that the rest is kept."""
        reasons = "; ".join(f"{count} x {reason}" for reason, count in missing.most_common())
        return EndpointError(
            f"{missing.total()} of {num_asks} replies of {self.settings.place} are missing: {reasons}. "
            f"{num_asks - missing.total()} are kept.",
            remedy="Check the endpoint and run the same command again: only the missing ones are asked for.",
        )
