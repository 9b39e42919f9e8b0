"""Answers of a model behind an endpoint, such as a vLLM server."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import final

from tropism.endpoint.client import ChatEndpoint, EndpointError, Refusal
from tropism.endpoint.endpoint_reply import Reply
from tropism.endpoint.endpoint_store import Ask
from tropism.evals.core.answer_store import Answer, TokenPrompt
from tropism.evals.core.subject import Subject
from tropism.groups import Content
from tropism.text.templates import as_messages


@final
class EndpointWriter:
    """Answers of an endpoint, one request per answer.

    Args:
        endpoint: the model; a text is sent as one user turn.
    """

    def __init__(self, endpoint: ChatEndpoint) -> None:
        self.endpoint = endpoint

    def write(
        self,
        prompts: Sequence[Content | TokenPrompt],
        *,
        num_answers: int,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        finished: Callable[[int, list[Answer]], None],
    ) -> None:
        """See `tropism.evals.core.subject.Writer.write`.

        Raises:
            EndpointError: if an answer is missing; finished answers are kept.
        """
        texts: list[dict[int, str]] = [{} for _ in prompts]
        refused: Counter[str] = Counter()

        def came(place: int, outcome: Reply | Refusal) -> None:
            index, number = divmod(place, num_answers)
            if isinstance(outcome, Refusal):
                refused[outcome.reason] += 1
                return
            texts[index][number] = outcome.text.strip()
            if len(texts[index]) == num_answers:
                finished(index, [Answer(texts[index][k]) for k in range(num_answers)])

        asks = [
            Ask(as_messages(_content_of(prompt), "user"), temperature, max_new_tokens, _seed_of(seed, number))
            for prompt in prompts
            for number in range(num_answers)
        ]
        self.endpoint.ask_all(asks, finished=came)
        if refused:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in refused.most_common())
            raise EndpointError(
                f"{self.endpoint.settings.place} refuses {refused.total()} of {len(asks)} answers: {reasons}.",
                remedy="Check its limits and the model's name, or remove those prompts; the other answers are kept.",
            )


def _content_of(prompt: Content | TokenPrompt) -> Content:
    """A prompt as text or turns: an endpoint cannot be given token ids."""
    assert not isinstance(prompt, TokenPrompt)
    return prompt


def _seed_of(seed: int, number: int) -> int:
    """The seed of an answer by its number; different for every seed and number.

    Example:
        >>> _seed_of(0, 1) == _seed_of(1, 0)
        False
    """
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big") >> 1


def endpoint_subject(endpoint: ChatEndpoint) -> Subject:
    """A model behind an endpoint as a subject: it writes answers but gives no log-probabilities."""
    settings = endpoint.settings
    return Subject(settings.place, settings.identity, writer=EndpointWriter(endpoint))
