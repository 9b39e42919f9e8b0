"""A policy that answers prompts: `GeneratingPolicy`, from which kinds with the capability `generate` derive."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from tropism.errors import ConfigError, DataError
from tropism.groups import Content
from tropism.policies.base import Policy
from tropism.text.prepared import PreparedGroup

NO_LIMIT = 2**30
"""The context of a model without a bound."""


class GeneratingPolicy(Policy[PreparedGroup]):
    """A policy that answers prompts. Prompts and answers are sequences of ids of a vocabulary of its own.

    A kind defines `prompt_ids`, `sample` and `texts`; what follows from them is here, and may be overridden.
    """

    @property
    def context(self) -> int:
        """Maximum number of tokens of a prompt with its answer."""
        return NO_LIMIT

    @property
    def stops(self) -> frozenset[int]:
        """The ids that end an answer."""
        return frozenset()

    @property
    def special_texts(self) -> tuple[str, ...]:
        """Texts that mean more to the policy than their letters, such as the delimiters of turns."""
        return ()

    @property
    def takes_turns(self) -> bool:
        """Whether a prompt may be a dialogue; else it is one text."""
        return True

    @abstractmethod
    def prompt_ids(self, prompt: Content) -> tuple[int, ...]:
        """The ids of a whole prompt.

        Raises:
            DataError: if the policy cannot read the prompt.
        """

    @abstractmethod
    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        *,
        num_answers: int = 1,
        temperature: float,
        max_new_tokens: int,
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[tuple[int, ...]]]:
        """Answers to each prompt, ids in and out.

        Args:
            prompts: ids of each prompt.
            num_answers: per prompt.
            temperature: 0 takes the most likely token.
            max_new_tokens: an answer that has not ended is cut here.
            seed: an answer depends on the seed, its prompt and its number, never on the other prompts.
            progress: called with the number of prompts done since the last call.
        """

    @abstractmethod
    def texts(self, rows: Sequence[tuple[int, ...]]) -> list[str]:
        """The answers that ids stand for, as text."""

    def texts_after(self, prompt: Content, rows: Sequence[tuple[int, ...]]) -> list[str]:
        """Answers to a prompt as training reads them: as `texts`, unless an answer continues the prompt's text."""
        return self.texts(rows)

    def start_of(self, prompt: Content, *, max_new_tokens: int) -> tuple[int, ...]:
        """The ids that an answer starts from: those of the prompt, cut on the left if they leave no room.

        Args:
            prompt: the prompt.
            max_new_tokens: length of the answer; at most half of the context is kept free for it.
        """
        return self.prompt_ids(prompt)[-self.room_of_prompt(max_new_tokens) :]

    def room_of_prompt(self, max_new_tokens: int) -> int:
        """Maximum number of tokens of a prompt whose answer is this long."""
        return self.context - min(max_new_tokens, self.context // 2)

    def start_of_group(self, group: PreparedGroup) -> tuple[int, ...]:
        """The ids of a prepared group's first prompt as in training; empty if the policy cannot tell them."""
        return ()

    def sampled_group(self, name: str, start: tuple[int, ...], answer: tuple[int, ...]) -> PreparedGroup | None:
        """A sampled answer as a group of one response, to be scored in its own ids.

        Args:
            name: id of the group.
            start: ids that the answer started from.
            answer: its ids.

        Returns:
            None if the policy cannot score ids.
        """
        return None

    def takes(self, prompt: Content) -> bool:
        """Whether the policy can read a prompt."""
        try:
            self.prompt_ids(prompt)
        except DataError:
            return False
        return True

    def leaves_room(self, prompt: Content, *, max_new_tokens: int) -> bool:
        """Whether a whole prompt and an answer of this length fit into the context."""
        return len(self.prompt_ids(prompt)) + max_new_tokens <= self.context

    def as_turns(self, user: str, *, system: str = "") -> Content:
        """A user's words, with a system turn before them, in the form that the policy reads.

        A policy that takes no turns, or no system turn, gets both in one text.

        Args:
            user: what the user says.
            system: what the application says, if anything.
        """
        together = f"{system}\n\n{user}" if system else user
        if not self.takes_turns:
            return f"{together}\n"
        first = ({"role": "system", "content": system},) if system else ()
        turns = (*first, {"role": "user", "content": user})
        return turns if not system or self.takes(turns) else ({"role": "user", "content": together},)


def generator_of(policy: Policy | None) -> GeneratingPolicy | None:
    """A policy as one that answers prompts; None if it does not.

    Raises:
        ConfigError: if it has the capability `generate` but lacks the methods.
    """
    if policy is None or not policy.can("generate"):
        return None
    if not isinstance(policy, GeneratingPolicy):
        raise ConfigError(
            f"{type(policy).__name__} has the capability generate, so it must derive from GeneratingPolicy.",
            remedy="Derive it, or remove `generate` from its capabilities.",
        )
    return policy
