"""A model under evaluation: its answers, kept on disk as they are written, and its scores of given responses."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias, final

from tropism.cache import cache_root
from tropism.errors import ConfigError
from tropism.evals.core.answer_store import Answer, TokenPrompt, answer_key, open_answers, read_answers, write_answers
from tropism.groups import Content, PreferenceGroup
from tropism.policies.base import Capability, Policy
from tropism.policies.generating import GeneratingPolicy, generator_of
from tropism.policies.rewards import group_rewards
from tropism.records import Account
from tropism.references.cached import CachedReference
from tropism.text.prepared import Prepared, prepare_each
from tropism.text.render import used_responses

PROMPTS_AT_ONCE = 64
"""Number of prompts that are answered together; their answers are on disk before the next ones are started."""


class Scored(NamedTuple):
    """A given response under a model: log-probability of the whole (nats), number of scored tokens."""

    nats: float
    tokens: int


Prompt: TypeAlias = Content | PreferenceGroup
"""A text or a dialogue; a group stands for its first prompt, which is rendered as training renders it."""


class Writer(Protocol):
    """Writes answers: a local policy, or a model behind an endpoint."""

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
        """Write `num_answers` answers to each prompt, and call `finished` with a prompt's index and its answers."""


@final
class Subject:
    """A model under evaluation.

    Args:
        name: its name in records and reports.
        fingerprint: identity of the weights, the tokenizer and the template; equal if answers are equal.
        policy: a model on this machine, of any kind; None for a model behind an endpoint.
        writer: writes its answers; None takes the policy itself if it generates.
        folder: where answers are kept; `$TROPISM_CACHE/answers` if None.
        fresh: ignore the answers that are on disk, and write them again.

    Attributes:
        generator: the policy if it answers prompts; None for any other policy, and behind an endpoint.
    """

    def __init__(
        self,
        name: str,
        fingerprint: str,
        *,
        policy: Policy | None = None,
        writer: Writer | None = None,
        folder: Path | None = None,
        fresh: bool = False,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.policy = policy
        self.generator = generator_of(policy)
        self._writer: Writer | None = writer or (PolicyWriter(self.generator) if self.generator else None)
        self._path = (folder or cache_root() / "answers") / f"{fingerprint}.sqlite"
        self._fresh = fresh
        self._written: set[str] = set()
        self._reference: CachedReference | None = None
        self._prepared: dict[int, tuple[PreferenceGroup, Prepared]] = {}  # the group keeps its id from being reused

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the model can be asked for: what its policy can do; answers alone behind an endpoint."""
        if self.policy is not None:
            return self.policy.capabilities
        return frozenset({"generate"}) if self._writer else frozenset()

    def can(self, *capabilities: Capability) -> bool:
        """Whether the model has all of these capabilities."""
        return self.capabilities.issuperset(capabilities)

    def prepare(self, groups: Sequence[PreferenceGroup]) -> Account | None:
        """Prepare groups as training does, for later use, and account for them; None behind an endpoint."""
        if self.policy is None:
            return None
        policy = self.policy

        def prepare_group(group: PreferenceGroup, notes: Counter[str]) -> Prepared:
            prepared = policy.prepare_group(group, notes)
            self._prepared[id(group)] = (group, prepared)
            return prepared

        return prepare_each(groups, prepare_group)[1]

    def start(self, prompt: Prompt, max_new_tokens: int) -> Content | TokenPrompt:
        """What an answer to a prompt starts from: token ids, or behind an endpoint the prompt itself.

        Args:
            prompt: the prompt of a group that training can render starts in the same token ids as in training.
            max_new_tokens: any other prompt that leaves no room for an answer is cut, see `GeneratingPolicy.start_of`.
        """
        content = prompt.prompts[0] if isinstance(prompt, PreferenceGroup) else prompt
        if self.generator is None:
            return content
        if isinstance(prompt, PreferenceGroup):
            (found,) = self._prepared_of([prompt])
            ids = self.generator.start_of_group(found) if found is not None else ()
            if 0 < len(ids) < self.generator.context:
                return TokenPrompt(ids)
        return TokenPrompt(self.generator.start_of(content, max_new_tokens=max_new_tokens))

    def answers(
        self,
        prompts: Sequence[Prompt],
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
        prompts: Sequence[Prompt],
        *,
        num_answers: int = 1,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Answer]]:
        """Answers to prompts; those that are on disk are read, the others are written and kept at once.

        An answer depends on the model, its prompt and these settings alone, never on the other prompts.

        Args:
            prompts: see `start`.
            num_answers: per prompt.
            temperature: 0 takes the most likely token.
            max_new_tokens: an answer that has not ended is cut here, or at the end of the model's context.
            seed: the same seed draws the same random numbers for every model.
            progress: called with the number of prompts done since the last call.
        """
        if self._writer is None:
            raise ConfigError(
                f"{self.name} writes no answers.", remedy="Give a model that generates, or omit this eval."
            )
        settings = json.dumps([num_answers, temperature, max_new_tokens, seed])
        starts = [self.start(prompt, max_new_tokens) for prompt in prompts]
        keys = [answer_key(start, settings) for start in starts]
        with open_answers(self._path, model=self.name) as cache:
            known = read_answers(cache, [key for key in keys if not self._fresh or key in self._written])
            if progress:
                progress(sum(key in known for key in keys))
            missing = {key: start for key, start in zip(keys, starts, strict=True) if key not in known}
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
            Per group and response; None for a response without feedback, and for all responses of a group that does
            not fit into the policy's `max_tokens`.

        Raises:
            ConfigError: if the model gives no log-probabilities.
        """
        if self.policy is None or not self.policy.can("logp"):
            raise ConfigError(
                f"{self.name} gives no log-probabilities of given texts.",
                remedy="Give the folder of a language model, or omit this eval.",
            )
        if self._reference is None:
            self._reference = CachedReference(self.policy)
        prepared = self._prepared_of(groups)
        self._reference.prepare([one for one in prepared if one], progress=progress)
        known = self._reference.known
        scores: list[list[Scored | None]] = []
        for group, one in zip(groups, prepared, strict=True):
            row: list[Scored | None] = [None] * len(group.responses)
            if one is not None:
                for place, index in enumerate(used_responses(group)):
                    row[index] = Scored(known[one.response_key(one.responses[place])], one.num_scored(place))
            scores.append(row)
        return scores

    def rewards(
        self, groups: Sequence[PreferenceGroup], *, progress: Callable[[int], None] | None = None
    ) -> list[list[float | None]]:
        """A reward model's reward of every response of every group; None as in `logp`.

        Raises:
            ConfigError: if the model is not a reward model.
        """
        if self.policy is None or not self.policy.can("rewards"):
            raise ConfigError(
                f"{self.name} is not a reward model.", remedy="Give the folder of a reward model, or omit this eval."
            )
        prepared = self._prepared_of(groups)
        found = iter(group_rewards(self.policy, [one for one in prepared if one], progress=progress))
        rewards: list[list[float | None]] = []
        for group, one in zip(groups, prepared, strict=True):
            row: list[float | None] = [None] * len(group.responses)
            if one is not None:
                for index, value in zip(used_responses(group), next(found), strict=True):
                    row[index] = value
            rewards.append(row)
        return rewards

    def _prepared_of(self, groups: Sequence[PreferenceGroup]) -> list[Prepared | None]:
        """The groups as the policy takes them; None for a group that is dropped."""
        self.prepare([group for group in groups if id(group) not in self._prepared])
        none = (None, None)
        return [self._prepared.get(id(group), none)[1] for group in groups]


class PolicyWriter:
    """Answers by a local policy, on the device that its model is on."""

    def __init__(self, policy: GeneratingPolicy) -> None:
        self.policy = policy

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
        """See `Writer.write`."""
        starts = [
            prompt.ids
            if isinstance(prompt, TokenPrompt)
            else self.policy.start_of(prompt, max_new_tokens=max_new_tokens)
            for prompt in prompts
        ]
        rows = self.policy.sample(
            starts, num_answers=num_answers, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed
        )
        for index, answers in enumerate(rows):
            texts = self.policy.texts(answers)
            finished(index, [Answer(text, ids) for text, ids in zip(texts, answers, strict=True)])


def policy_subject(name: str, policy: Policy, *, fresh: bool = False) -> Subject:
    """A policy as a subject; its fingerprint covers all that decides its scores and answers."""
    fingerprint = hashlib.sha256(json.dumps(policy.identity(), default=str).encode()).hexdigest()[:40]
    return Subject(name, fingerprint, policy=policy, fresh=fresh)


def share_tokens(one: Policy | None, other: Policy | None) -> bool:
    """Whether both policies are on this machine, and a prepared group means the same to both."""
    return one is not None and other is not None and one.shares_tokens(other)
