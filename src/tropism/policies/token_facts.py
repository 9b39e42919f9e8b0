"""Facts about a group in a model's tokens, for the audit of data; no weights are loaded."""

from __future__ import annotations

from dataclasses import replace

from transformers import AutoConfig, GenerationConfig

from tropism.data.audit.marks import escaped, marks_in
from tropism.data.audit.token_faults import TokenFacts
from tropism.errors import ConfigError, DataError, ModelError
from tropism.groups import Label, PreferenceGroup
from tropism.policies.loading import first_line, load_tokenizer
from tropism.text.render import Renderer, RenderRules, used_responses
from tropism.text.rendered import RenderedGroup
from tropism.text.templates import ChatTemplate, template_for

HEAD = 40
"""Letters of a response that decide how the boundary before it is tokenised."""


class TokenReader:
    """Renders groups one at a time and reports truncations, collisions and drops.

    Args:
        renderer: as training uses it.
        num_embeddings: number of token ids that the model knows.
    """

    def __init__(self, renderer: Renderer, *, num_embeddings: int) -> None:
        self.renderer = renderer
        self.tokenizer = renderer.tokenizer
        self._num_embeddings = num_embeddings
        added = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        names = {*added, *self.tokenizer.all_special_tokens}
        self._special_texts = tuple(sorted(name for name in names if len(name) > 1))

    @property
    def special_texts(self) -> tuple[str, ...]:
        """The special tokens, as they would stand in a text."""
        return self._special_texts

    @property
    def num_embeddings(self) -> int:
        """Number of token ids that the model knows."""
        return self._num_embeddings

    def facts(self, group: PreferenceGroup) -> TokenFacts:
        """The facts of a group; special tokens that it spells are escaped first."""
        try:
            whole = self._prompts(group)
            starts_twice = (self.tokenizer.bos_token_id,) * 2 in [ids[:2] for ids in whole]
            if marks_in(group, self._special_texts):
                group = escaped(group, self._special_texts)
                whole = self._prompts(group)
            labels = tuple(Label(index, True) for index in used_responses(group))
            rendered, account = self.renderer.render([replace(group, edges=(), labels=labels)])
            if rendered:
                return replace(self._of_rendered(group, whole, rendered[0]), starts_twice=starts_twice)
            rules = self.renderer.rules
            if max(map(len, whole)) > rules.max_tokens - rules.min_response_tokens:
                return TokenFacts(is_too_long=True, starts_twice=starts_twice)
            return TokenFacts(refused=next(iter(account.dropped)), starts_twice=starts_twice)
        except DataError as error:
            return TokenFacts(refused=error.problem.rstrip("."))

    def _of_rendered(self, group: PreferenceGroup, whole: list[tuple[int, ...]], rendered: RenderedGroup) -> TokenFacts:
        """The facts of a group that fits."""
        template = template_for(self.tokenizer, self.renderer.rules.template, group.prompts[0])
        used = used_responses(group)
        responses = dict(zip(used, rendered.responses, strict=True))
        contents = {index: group.responses[index].content for index in used}
        prompts = {index: group.prompts[group.responses[index].prompt] for index in used}
        written = {index: template.response(prompts[index], contents[index], group.extra) for index in used}
        return TokenFacts(
            is_prompt_cut=any(ids != cut for ids, cut in zip(whole, rendered.prompts, strict=True)),
            cut=frozenset(index for index, response in responses.items() if not response.complete),
            collapsed=frozenset(
                index
                for index, edge in enumerate(group.edges)
                if contents[edge.winner] != contents[edge.loser]
                and responses[edge.winner].ids == responses[edge.loser].ids
                and rendered.prompts[responses[edge.winner].prompt] == rendered.prompts[responses[edge.loser].prompt]
            ),
            lacks_end=isinstance(template, ChatTemplate)
            and any(
                parts and not self.renderer.stops.intersection(self._ids(parts[-1].text)) for parts in written.values()
            ),
            merges=self._merges(
                {
                    (template.prompt(prompts[index], group.extra), "".join(part.text for part in parts)[:HEAD])
                    for index, parts in written.items()
                }
            ),
            is_glued=any(template.glues(prompts[index], contents[index]) for index in used),
            largest_id=max(max(rendered.sequence(place)) for place in range(len(used))),
        )

    def _prompts(self, group: PreferenceGroup) -> list[tuple[int, ...]]:
        """The token ids of each prompt, uncut."""
        return [self.renderer.prompt_ids(prompt, dict(group.extra)) for prompt in group.prompts]

    def _merges(self, pairs: set[tuple[str, str]]) -> bool:
        """Whether a prompt's token ids change when a response follows in the same text."""
        alone = {prompt: self._ids(prompt) for prompt, _ in pairs}
        return any(self._ids(prompt + start)[: len(alone[prompt])] != alone[prompt] for prompt, start in sorted(pairs))

    def _ids(self, text: str) -> list[int]:
        """Token ids of a text, without any that the tokenizer adds."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def open_token_reader(path: str, *, max_tokens: int | None, min_response_tokens: int, template: str) -> TokenReader:
    """Open a model's tokenizer and configuration, not its weights.

    Args:
        path: a model folder or a hub id.
        max_tokens: prompt and response together; None takes 1,024 or the model's context, whichever is smaller.
        min_response_tokens: see `RenderRules`.
        template: see `tropism.text.templates`.

    Raises:
        ModelError: if tokenizer or configuration is missing.
        ConfigError: if `max_tokens` is beyond the model's context.
    """
    tokenizer = load_tokenizer(path)
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False).get_text_config()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"the configuration of {path} cannot be loaded: {first_line(error)}",
            remedy="Name the folder of a whole model, not of an adapter.",
        ) from None
    context = getattr(config, "max_position_embeddings", None)
    if max_tokens and context and max_tokens > context:
        raise ConfigError(
            f"--max-tokens is {max_tokens}, but the context of {path} is {context} tokens.",
            remedy=f"Use {context} or less.",
        )
    rules = RenderRules(max_tokens or min(1024, context or 1024), min_response_tokens, template)
    return TokenReader(Renderer(tokenizer, rules, stops=_stops(path)), num_embeddings=config.vocab_size)


def _stops(path: str) -> list[int]:
    """The token ids at which the model's own generation stops."""
    try:
        own = GenerationConfig.from_pretrained(path).eos_token_id
    except (OSError, ValueError):
        return []
    return own if isinstance(own, list) else [] if own is None else [own]
