"""From groups to token ids: every text is tokenised once, and prompt and response never share a token.

The prompt is tokenised as generation will see it, each response on its own, and the ids are joined. So the boundary is
exact in token ids, and all responses of a group have the same prompt.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tropism.errors import ConfigError, DataError, ModelError
from tropism.groups import Content, PreferenceGroup, content_key
from tropism.records import Account
from tropism.text.prepared import prepare_each
from tropism.text.rendered import RenderedGroup, RenderedResponse
from tropism.text.templates import ChatTemplate, Segment, Template, template_for


@dataclass(frozen=True)
class RenderRules:
    """How long a sequence may be, and what may be cut.

    Args:
        max_tokens: prompt and response together.
        min_response_tokens: a response is never cut below this; a group that would need it is dropped.
        template: `auto`, `chat`, `dialogue` or `plain`, see `tropism.text.templates`.
    """

    max_tokens: int = 1024
    min_response_tokens: int = 16
    template: str = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.min_response_tokens < self.max_tokens:
            raise ConfigError(
                f"data.min_response_tokens must lie between 0 and data.max_tokens, not at {self.min_response_tokens} "
                f"where max_tokens is {self.max_tokens}.",
                remedy="Raise data.max_tokens or lower data.min_response_tokens.",
            )


class Renderer:
    """Turns groups into token ids.

    Args:
        tokenizer: a fast tokenizer; it must know an end-of-sequence token.
        rules: see `RenderRules`.
        stops: token ids beside EOS that end a response, such as the model's end of turn.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rules: RenderRules, *, stops: Iterable[int] = ()) -> None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer names no end-of-sequence token, so no response could be told to be complete.",
                remedy="Set `eos_token` in the model's tokenizer_config.json.",
            )
        self.tokenizer = tokenizer
        self.rules = rules
        self.eos: int = tokenizer.eos_token_id
        self.stops: frozenset[int] = frozenset({self.eos, *stops, *self._end_of_turn()})
        self._forbidden = special_texts(tokenizer)
        self.special_prefix = self._special_prefix()
        self._anchor = self._continuation_anchor()

    def prompt_ids(self, prompt: Content, extra: dict[str, object] | None = None) -> tuple[int, ...]:
        """The token ids that a generation starts from."""
        template = template_for(self.tokenizer, self.rules.template, prompt)
        return self._prompt_tokens(template, template.prompt(prompt, extra or {}))

    def render(
        self, groups: Iterable[PreferenceGroup], *, progress: Callable[[int], None] | None = None
    ) -> tuple[list[RenderedGroup], Account]:
        """Render every group that fits, and account for the rest.

        Args:
            groups: the groups to render.
            progress: called with the number of groups done since the last call.

        Returns:
            The rendered groups in order, and an account whose rows are groups.
        """
        return prepare_each(groups, self.render_group, progress=progress)

    def render_group(self, group: PreferenceGroup, notes: Counter[str]) -> RenderedGroup:
        """Render one group.

        Args:
            group: the group.
            notes: counts of what was changed, added to.

        Raises:
            DataError: if it must be dropped; the problem is the reason.
        """
        found = self._special_text(group)
        if found:
            raise DataError(f"a text holds the special token {found!r}.", remedy="Escape it.")
        template = template_for(self.tokenizer, self.rules.template, group.prompts[0])
        used = used_responses(group)
        notes["responses without feedback, not rendered"] += len(group.responses) - len(used)
        segments = [template.response(group.prompts[group.responses[i].prompt], group.responses[i].content, group.extra)
                    for i in used]  # fmt: skip
        whole = [self._response_tokens(parts) for parts in segments]
        prompts = []
        for index, prompt in enumerate(group.prompts):
            longest = max(
                (len(whole[k][0]) for k, i in enumerate(used) if group.responses[i].prompt == index), default=0
            )
            ids, num_cut = self._fitting_prompt(template, prompt, dict(group.extra), longest)
            notes["prompts cut from the left at a turn"] += num_cut > 0
            prompts.append(ids)
        responses = []
        for k, i in enumerate(used):
            room = self.rules.max_tokens - len(prompts[group.responses[i].prompt])
            ids, scored = whole[k]
            if len(ids) > room:
                if room < self.rules.min_response_tokens:
                    raise DataError(
                        f"prompt leaves less than {self.rules.min_response_tokens} of {self.rules.max_tokens} tokens.",
                        remedy="Raise `max_tokens`, or shorten the prompt.",
                    )
                ids, scored = ids[:room], scored[:room]
                notes["responses cut on the right, without EOS"] += 1
            responses.append(RenderedResponse(ids, scored, group.responses[i].prompt, len(ids) == len(whole[k][0])))
        if template.glues(group.prompts[0], group.responses[used[0]].content):
            notes["prompts with nothing between them and the response"] += 1
        return self._assemble(group, used, tuple(prompts), tuple(responses), notes)

    def _assemble(
        self,
        group: PreferenceGroup,
        used: list[int],
        prompts: tuple[tuple[int, ...], ...],
        responses: tuple[RenderedResponse, ...],
        notes: Counter[str],
    ) -> RenderedGroup:
        """Drop the edges whose sides became the same tokens, and re-index the rest."""
        place = {old: new for new, old in enumerate(used)}
        edges = []
        for edge in group.edges:
            winner, loser = responses[place[edge.winner]], responses[place[edge.loser]]
            if winner.ids == loser.ids and prompts[winner.prompt] == prompts[loser.prompt]:
                notes["edges dropped: both sides are the same tokens"] += 1
            else:
                edges.append(dataclasses.replace(edge, winner=place[edge.winner], loser=place[edge.loser]))
        labels = tuple(dataclasses.replace(label, response=place[label.response]) for label in group.labels)
        if group.edges and not edges and not labels:
            raise DataError("every pair became the same tokens.", remedy="Raise `max_tokens`.")
        ranks = tuple(group.responses[i].rank for i in used)
        scores = tuple(group.responses[i].score for i in used)
        return RenderedGroup(group, prompts, responses, tuple(edges), labels, ranks, scores)

    def _fitting_prompt(
        self, template: Template, prompt: Content, extra: dict[str, object], longest: int
    ) -> tuple[tuple[int, ...], int]:
        """The prompt with as few turns cut from its left as the longest response needs, and how many were cut."""
        ids, num_cut = self._prompt_tokens(template, template.prompt(prompt, extra)), 0
        for shorter in template.shorter_prompts(prompt):
            if len(ids) + longest <= self.rules.max_tokens:
                break
            ids, num_cut = self._prompt_tokens(template, template.prompt(shorter, extra)), num_cut + 1
        return ids, num_cut

    def _prompt_tokens(self, template: Template, text: str) -> tuple[int, ...]:
        prefix = () if template.writes_special_tokens else self.special_prefix
        return (*prefix, *self._encode(text))

    def _response_tokens(self, segments: Sequence[Segment]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Token ids of a response and their scored flags.

        The response ends with the last stop token that its template writes, whatever white space it writes after, and
        with EOS if it writes none: what generation stops at, and nothing that it would never draw.
        """
        ids: list[int] = []
        scored: list[bool] = []
        for segment in segments:
            tokens = self._continue(segment.text)
            last = next((k for k in reversed(range(len(tokens))) if tokens[k] in self.stops), len(tokens) - 1)
            ids += tokens
            scored += [segment.scored and k <= last for k in range(len(tokens))]
        end = next((k for k in reversed(range(len(ids))) if ids[k] in self.stops), None)
        if end is not None and segments[-1].scored and scored[end] and not any(scored[end + 1 :]):
            return tuple(ids[: end + 1]), tuple(scored[: end + 1])
        return (*ids, self.eos), (*scored, True)

    def _special_text(self, group: PreferenceGroup) -> str | None:
        """A special token of the tokenizer that stands in the data as text, so that it could forge a turn."""
        texts = [content_key(prompt) for prompt in group.prompts]
        texts += [content_key(response.content) for response in group.responses]
        return next((token for token in self._forbidden for text in texts if token in text), None)

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids

    def _continue(self, text: str) -> list[int]:
        """Token ids of a text that stands behind another one, for tokenizers that mark the start of a text."""
        if not self._anchor:
            return self._encode(text)
        anchored = self._encode(ANCHOR + text)
        if anchored[: len(self._anchor)] == self._anchor:
            return anchored[len(self._anchor) :]
        return self._encode(text)

    def _end_of_turn(self) -> list[int]:
        """The special token that the chat template writes after an assistant's turn, if it writes one."""
        if not self.tokenizer.chat_template or self.rules.template in ("dialogue", "plain"):
            return []
        probe = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
        try:
            whole = ChatTemplate(self.tokenizer).prompt_and_answer(probe[:1], probe[1:])
        except DataError:
            return []
        special = {token for token, content in self.tokenizer.added_tokens_decoder.items() if content.special}
        return [token for token in self._encode(whole.rpartition("b")[2]) if token in special][:1]

    def _special_prefix(self) -> tuple[int, ...]:
        """What the tokenizer puts before a text automatically: nothing, or a beginning-of-sequence token."""
        bare = self._encode("a")
        special = list(self.tokenizer("a").input_ids)
        return tuple(special[: special.index(bare[0])]) if bare and bare[0] in special else ()

    def _continuation_anchor(self) -> list[int]:
        """The ids of the anchor if the tokenizer treats the start of a text differently, else nothing."""
        anchor = self._encode(ANCHOR)
        return anchor if self._encode(ANCHOR + "a") != [*anchor, *self._encode("a")] else []


ANCHOR = "\n"


def special_texts(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """The special tokens of a tokenizer as they would stand in a text (as JSON writes it)."""
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
    return tuple(sorted(json.dumps(name, ensure_ascii=False)[1:-1] for name in names if len(name) > 1))


def used_responses(group: PreferenceGroup) -> list[int]:
    """The responses that any feedback speaks of; all of them if there is none."""
    used = {i for edge in group.edges for i in (edge.winner, edge.loser)} | {label.response for label in group.labels}
    used |= {i for i, response in enumerate(group.responses) if response.rank is not None}
    return sorted(used) or list(range(len(group.responses)))
