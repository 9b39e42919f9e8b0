"""A model under evaluation: its answers, kept on disk as they come, and its log-probabilities of given answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, final

from tropism.cache import cache_root
from tropism.errors import ConfigError
from tropism.evals.core.answer_store import Answer, answer_key, open_answers, read_answers, write_answers
from tropism.groups import Content, PreferenceGroup
from tropism.policies.text import TextPolicy
from tropism.references.cached import CachedReference
from tropism.text.render import used_responses
from tropism.text.templates import template_for

PROMPTS_AT_ONCE = 64
"""Prompts that are answered together; what is finished is on disk before the next ones begin."""


class Scored(NamedTuple):
    """A given response under a model: log-probability of the whole (nats), number of scored tokens."""

    nats: float
    tokens: int


class Writer(Protocol):
    """Whatever writes answers: a policy here, or an endpoint elsewhere."""

    def write(
        self,
        prompts: Sequence[Content],
        *,
        num_answers: int,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        finished: Callable[[int, list[Answer]], None],
    ) -> None:
        """Write `num_answers` answers to each prompt, and hand over each prompt's (by its index) as they come."""


@final
class Subject:
    """A model under evaluation.

    Args:
        name: what to call it.
        fingerprint: identity of the weights, the tokenizer and the template: equal where answers would be equal.
        policy: the model itself; None behind an endpoint.
        writer: who writes its answers.
        folder: where answers are kept; `$TROPISM_CACHE/answers` if None.
        fresh: forget the answers that are on disk, and write them anew.
    """

    def __init__(
        self,
        name: str,
        fingerprint: str,
        *,
        policy: TextPolicy | None,
        writer: Writer,
        folder: Path | None = None,
        fresh: bool = False,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.policy = policy
        self._writer = writer
        self._path = (folder or cache_root() / "answers") / f"{fingerprint}.sqlite"
        self._fresh = fresh
        self._written: set[str] = set()
        self._reference: CachedReference | None = None

    def answers(
        self,
        prompts: Sequence[Content],
        *,
        num_answers: int = 1,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[str]]:
        """The texts of `drawn`."""
        rows = self.drawn(
            prompts,
            num_answers=num_answers,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            seed=seed,
            progress=progress,
        )
        return [[answer.text for answer in row] for row in rows]

    def drawn(
        self,
        prompts: Sequence[Content],
        *,
        num_answers: int = 1,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Answer]]:
        """Answers to prompts; those that are on disk are read, the others are written and kept as they come.

        An answer depends on the model, its prompt and these settings alone, never on what else is asked beside it.

        Args:
            prompts: texts or dialogues; one that leaves no room for an answer is cut, see `start_of`.
            num_answers: to each prompt.
            temperature: 0 takes the likeliest token.
            max_new_tokens: an answer that has not ended is cut here, or where the model's context ends.
            seed: the same seed draws with the same chances for every model.
            progress: called with the number of prompts done since the last call.
        """
        settings = json.dumps([num_answers, temperature, max_new_tokens, seed])
        keys = [answer_key(prompt, settings) for prompt in prompts]
        with open_answers(self._path, model=self.name) as cache:
            known = read_answers(cache, [key for key in keys if not self._fresh or key in self._written])
            if progress:
                progress(sum(key in known for key in keys))
            missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
            wanted = list(missing)
            for start in range(0, len(wanted), PROMPTS_AT_ONCE):
                part = wanted[start : start + PROMPTS_AT_ONCE]

                def finished(index: int, answers: list[Answer], part: list[str] = part) -> None:
                    write_answers(cache, part[index], answers)
                    known[part[index]] = answers
                    self._written.add(part[index])
                    if progress:
                        progress(keys.count(part[index]))

                self._writer.write(
                    [missing[key] for key in part],
                    num_answers=num_answers,
                    temperature=temperature,
                    max_new_tokens=max_new_tokens,
                    seed=seed,
                    finished=finished,
                )
        return [known[key] for key in keys]

    def logp(
        self, groups: Sequence[PreferenceGroup], *, progress: Callable[[int], None] | None = None
    ) -> list[list[Scored | None]]:
        """Log-probability of every response of every group.

        Returns:
            Per group and response; None for a response that no feedback speaks of, and for all of a group that does not
            fit into the policy's `max_tokens`.

        Raises:
            ConfigError: where the model stands behind an endpoint.
        """
        if self.policy is None:
            raise ConfigError(
                f"{self.name} stands behind an endpoint, which gives no log-probabilities of given texts.",
                remedy="Give the model's folder, or leave this eval out of the suite.",
            )
        renderer = self.policy.renderer
        if self._reference is None:
            self._reference = CachedReference(self.policy)
        rendered, _ = renderer.render(groups)
        self._reference.prepare(rendered, progress=progress)
        known = self._reference.known
        found = {id(one.group): one for one in rendered}
        scores: list[list[Scored | None]] = []
        for group in groups:
            row: list[Scored | None] = [None] * len(group.responses)
            if id(group) in found:
                one = found[id(group)]
                for index, response in zip(used_responses(group), one.responses, strict=True):
                    row[index] = Scored(known[one.response_key(response)], response.num_scored)
            scores.append(row)
        return scores


class PolicyWriter:
    """Answers by a policy on this machine.

    Args:
        policy: the model; its device is where it is.
    """

    def __init__(self, policy: TextPolicy) -> None:
        self.policy = policy

    def write(
        self,
        prompts: Sequence[Content],
        *,
        num_answers: int,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        finished: Callable[[int, list[Answer]], None],
    ) -> None:
        """See `Writer.write`."""
        starts = [start_of(self.policy, prompt, max_new_tokens) for prompt in prompts]
        rows = self.policy.sample_each(
            starts, num_answers=num_answers, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed
        )
        for index, answers in enumerate(rows):
            texts = self.policy.texts(answers)
            finished(index, [Answer(text, ids) for text, ids in zip(texts, answers, strict=True)])


def start_of(policy: TextPolicy, prompt: Content, max_new_tokens: int) -> tuple[int, ...]:
    """The token ids that a policy's answer starts from.

    A prompt that leaves no room for the answer is cut from its left, at a turn if there is one; no more than half of
    the context is kept free for the answer.
    """
    renderer = policy.renderer
    most = policy.context - min(max_new_tokens, policy.context // 2)
    ids = renderer.prompt_ids(prompt)
    if len(ids) > most:
        template = template_for(policy.tokenizer, renderer.rules.template, prompt)
        for shorter in template.shorter_prompts(prompt):
            ids = renderer.prompt_ids(shorter)
            if len(ids) <= most:
                break
    return ids if len(ids) <= most else ids[-most:]


def policy_subject(name: str, policy: TextPolicy, *, fresh: bool = False) -> Subject:
    """A policy as a subject; its fingerprint covers weights, tokenizer, template and length rules."""
    tokenizer = policy.tokenizer
    parts = [
        policy.fingerprint(),
        tokenizer.backend_tokenizer.to_str(),
        tokenizer.chat_template,
        repr(policy.renderer.rules),
    ]
    digest = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:40]
    return Subject(name, digest, policy=policy, writer=PolicyWriter(policy), fresh=fresh)


def share_tokens(one: TextPolicy | None, other: TextPolicy | None) -> bool:
    """Whether two policies are at hand and give token ids the same meaning."""
    return one is not None and other is not None and one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
