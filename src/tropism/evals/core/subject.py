"""A model under evaluation: its answers, kept on disk as they are written, and its scores of given responses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias, final

from tropism.cache import cache_root
from tropism.errors import ConfigError
from tropism.evals.core.answer_store import Answer, TokenPrompt, answer_key, open_answers, read_answers, write_answers
from tropism.groups import Content, PreferenceGroup
from tropism.policies.reward import RewardPolicy
from tropism.policies.text import TextPolicy
from tropism.policies.transformer import TransformerPolicy
from tropism.records import Account
from tropism.references.cached import CachedReference
from tropism.text.render import used_responses
from tropism.text.rendered import RenderedGroup
from tropism.text.templates import template_for

PROMPTS_AT_ONCE = 64
"""Number of prompts that are answered together; their answers are on disk before the next ones are started."""

Capability: TypeAlias = Literal["logp", "generate", "states", "rewards"]
"""Log-probabilities of given responses, own answers, hidden states, rewards."""


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
        policy: a local language model; None for an endpoint or a reward model.
        writer: writes its answers; None for a reward model.
        rewards: a local reward model.
        folder: where answers are kept; `$TROPISM_CACHE/answers` if None.
        fresh: ignore the answers that are on disk, and write them again.
    """

    def __init__(
        self,
        name: str,
        fingerprint: str,
        *,
        policy: TextPolicy | None = None,
        writer: Writer | None = None,
        rewards: RewardPolicy | None = None,
        folder: Path | None = None,
        fresh: bool = False,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.policy = policy
        self.reward_policy = rewards
        self._writer = writer
        self._path = (folder or cache_root() / "answers") / f"{fingerprint}.sqlite"
        self._fresh = fresh
        self._written: set[str] = set()
        self._reference: CachedReference | None = None
        self._rendered: dict[int, RenderedGroup] = {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the model can be asked for."""
        found: set[Capability] = set()
        if self.policy is not None:
            found |= {"logp", "states"}
        if self._writer is not None:
            found.add("generate")
        if self.reward_policy is not None:
            found.add("rewards")
        return frozenset(found)

    def prepare(self, groups: Sequence[PreferenceGroup]) -> Account | None:
        """Render groups as training does, for later use, and account for them; None behind an endpoint."""
        policy = self.policy or self.reward_policy
        if policy is None:
            return None
        rendered, account = policy.prepare(groups)
        self._rendered |= {id(one.group): one for one in rendered}
        return account

    def start(self, prompt: Prompt, max_new_tokens: int) -> Content | TokenPrompt:
        """What an answer to a prompt starts from: token ids, or behind an endpoint the prompt itself.

        Args:
            prompt: the prompt of a group that training can render starts in the same token ids as in training.
            max_new_tokens: any other prompt that leaves no room for an answer is cut, see `start_of`.
        """
        content = prompt.prompts[0] if isinstance(prompt, PreferenceGroup) else prompt
        if self.policy is None:
            return content
        if isinstance(prompt, PreferenceGroup):
            if id(prompt) not in self._rendered:
                self.prepare([prompt])
            found = self._rendered.get(id(prompt))
            if found is not None and 0 < len(found.prompts[0]) < self.policy.context:
                return TokenPrompt(found.prompts[0])
        return TokenPrompt(start_of(self.policy, content, max_new_tokens))

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
            raise ConfigError(f"{self.name} is a reward model, which writes no answers.", remedy="Omit this eval.")
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
        if self.policy is None:
            raise ConfigError(
                f"{self.name} gives no log-probabilities of given texts.",
                remedy="Give the folder of a language model, or omit this eval.",
            )
        if self._reference is None:
            self._reference = CachedReference(self.policy)
        rendered = self._rendered_of(groups)
        self._reference.prepare([one for one in rendered if one], progress=progress)
        known = self._reference.known
        scores: list[list[Scored | None]] = []
        for group, one in zip(groups, rendered, strict=True):
            row: list[Scored | None] = [None] * len(group.responses)
            if one is not None:
                for index, response in zip(used_responses(group), one.responses, strict=True):
                    row[index] = Scored(known[one.response_key(response)], response.num_scored)
            scores.append(row)
        return scores

    def rewards(
        self, groups: Sequence[PreferenceGroup], *, progress: Callable[[int], None] | None = None
    ) -> list[list[float | None]]:
        """A reward model's reward of every response of every group; None as in `logp`.

        Raises:
            ConfigError: if the model is not a reward model.
        """
        if self.reward_policy is None:
            raise ConfigError(
                f"{self.name} is not a reward model.", remedy="Give the folder of a reward model, or omit this eval."
            )
        rendered = self._rendered_of(groups)
        found = self.reward_policy.group_rewards([one for one in rendered if one], progress=progress)
        rewards: list[list[float | None]] = []
        for group, one in zip(groups, rendered, strict=True):
            row: list[float | None] = [None] * len(group.responses)
            if one is not None:
                for index, value in zip(used_responses(group), found.pop(0), strict=True):
                    row[index] = value
            rewards.append(row)
        return rewards

    def _rendered_of(self, groups: Sequence[PreferenceGroup]) -> list[RenderedGroup | None]:
        """The groups in token ids; None for a group that is dropped."""
        self.prepare([group for group in groups if id(group) not in self._rendered])
        return [self._rendered.get(id(group)) for group in groups]


class PolicyWriter:
    """Answers by a local policy, on the device that its model is on."""

    def __init__(self, policy: TextPolicy) -> None:
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
            prompt.ids if isinstance(prompt, TokenPrompt) else start_of(self.policy, prompt, max_new_tokens)
            for prompt in prompts
        ]
        rows = self.policy.sample(
            starts, num_answers=num_answers, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed
        )
        for index, answers in enumerate(rows):
            texts = self.policy.texts(answers)
            finished(index, [Answer(text, ids) for text, ids in zip(texts, answers, strict=True)])


def start_of(policy: TextPolicy, prompt: Content, max_new_tokens: int) -> tuple[int, ...]:
    """The token ids that a policy's answer starts from.

    A prompt that leaves no room for the answer is cut on the left, at a turn if possible; at most half of the context
    is kept free for the answer.
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
    return Subject(name, digest_of_policy(policy), policy=policy, writer=PolicyWriter(policy), fresh=fresh)


def digest_of_policy(policy: TransformerPolicy) -> str:
    """Identity of weights, tokenizer, template and length rules."""
    tokenizer = policy.tokenizer
    parts = [
        policy.fingerprint(),
        tokenizer.backend_tokenizer.to_str(),
        tokenizer.chat_template,
        repr(policy.renderer.rules),
    ]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:40]


def reward_subject(name: str, policy: RewardPolicy) -> Subject:
    """A reward model as a subject."""
    return Subject(name, digest_of_policy(policy), rewards=policy)


def share_tokens(one: TextPolicy | None, other: TextPolicy | None) -> bool:
    """Whether both policies are local and have the same vocabulary."""
    return one is not None and other is not None and one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
