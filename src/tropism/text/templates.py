"""Three ways to write prompt and response as text: the tokenizer's chat template, a plain dialogue, or as is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from tropism.errors import ConfigError, DataError, ModelError
from tropism.groups import Content, Message

TEMPLATES = ("auto", "chat", "dialogue", "plain")
RESERVED = frozenset(
    [
        "chat_template",
        "conversation",
        "tools",
        "documents",
        "add_generation_prompt",
        "continue_final_message",
        "tokenize",
        "padding",
        "truncation",
        "max_length",
        "return_tensors",
        "return_dict",
        "return_assistant_tokens_mask",
        "tokenizer_kwargs",
    ]
)
"""Arguments of `apply_chat_template` that a row of data must not set, above all its own template."""


class Segment(NamedTuple):
    """A piece of a response: its text and whether its tokens are scored."""

    text: str
    scored: bool


class Template(ABC):
    """How a prompt and a response become text."""

    writes_special_tokens = False
    """True if the text itself holds the beginning-of-sequence token."""

    @abstractmethod
    def prompt(self, prompt: Content, extra: Mapping[str, Any]) -> str:
        """The text that a generation starts from."""

    @abstractmethod
    def response(self, prompt: Content, content: Content, extra: Mapping[str, Any]) -> list[Segment]:
        """The text that follows the prompt's."""

    def glues(self, prompt: Content, content: Content) -> bool:
        """Whether prompt and response meet without any mark or blank between them."""
        return False

    def shorter_prompts(self, prompt: Content) -> Iterator[Content]:
        """The same prompt with more and more turns cut from its left; a leading system turn stays."""
        if not isinstance(prompt, tuple):
            return
        system = prompt[:1] if prompt and prompt[0].get("role") == "system" else ()
        turns = prompt[len(system) :]
        for start in range(1, len(turns)):
            if turns[start].get("role") == "user":
                yield (*system, *turns[start:])


def template_for(tokenizer: PreTrainedTokenizerBase, name: str, prompt: Content) -> Template:
    """The template that a recipe's `data.template` means for a prompt.

    `auto` writes messages with the chat template (as a plain dialogue if there is none) and text as it is; `chat` and
    `dialogue` make one user turn of a text; `plain` writes text as it is and refuses messages.

    Raises:
        ConfigError: for an unknown name, or if the tokenizer has no chat template.
    """
    if name not in TEMPLATES:
        raise ConfigError(f"data.template must be one of {', '.join(TEMPLATES)}, not {name!r}.", remedy="Use auto.")
    if name == "auto":
        name = "plain" if isinstance(prompt, str) else "chat" if tokenizer.chat_template else "dialogue"
    if name == "chat":
        if not tokenizer.chat_template:
            raise ConfigError(
                "data.template is 'chat', but the tokenizer has no chat template.",
                remedy="Use data.template=dialogue, or add a chat_template to the tokenizer.",
            )
        return ChatTemplate(tokenizer)
    return DialogueTemplate() if name == "dialogue" else PlainTemplate()


class PlainTemplate(Template):
    """Text as it is: the response follows the prompt without anything between."""

    def prompt(self, prompt: Content, extra: Mapping[str, Any]) -> str:
        return _plain_text(prompt)

    def response(self, prompt: Content, content: Content, extra: Mapping[str, Any]) -> list[Segment]:
        return [Segment(_plain_text(content), True)]

    def glues(self, prompt: Content, content: Content) -> bool:
        text, answer = _plain_text(prompt), _plain_text(content)
        return bool(text and answer) and not text[-1].isspace() and not answer[0].isspace()


class DialogueTemplate(Template):
    """Turns marked `Human:` and `Assistant:` after a blank line, for models without a chat template."""

    MARKS = {"system": "", "user": "\n\nHuman:", "assistant": "\n\nAssistant:"}  # noqa: RUF012  (a constant)

    def prompt(self, prompt: Content, extra: Mapping[str, Any]) -> str:
        return "".join(self._turn(message) for message in as_messages(prompt, "user")) + self.MARKS["assistant"]

    def response(self, prompt: Content, content: Content, extra: Mapping[str, Any]) -> list[Segment]:
        segments: list[Segment] = []
        for index, message in enumerate(as_messages(content, "assistant")):
            text = self._turn(message)
            if index == 0:
                segments.append(Segment(text.removeprefix(self.MARKS["assistant"]), message["role"] == "assistant"))
            elif message["role"] == "assistant":
                segments.append(Segment(self.MARKS["assistant"], False))
                segments.append(Segment(text.removeprefix(self.MARKS["assistant"]), True))
            else:
                segments.append(Segment(text, False))
        return segments

    def _turn(self, message: Message) -> str:
        role = message["role"]
        if role not in self.MARKS:
            raise DataError(
                f"a plain dialogue knows the roles {', '.join(self.MARKS)}, not {role!r}.",
                remedy="Use a tokenizer with a chat template.",
            )
        mark, content = self.MARKS[role], message.get("content")
        if not isinstance(content, str):
            raise DataError(
                f"a plain dialogue writes text, not {type(content).__name__}.", remedy="Use data.template=chat."
            )
        return f"{mark} {content}" if mark else content


class ChatTemplate(Template):
    """The tokenizer's own chat template, with a row's `tools` and `chat_template_kwargs`."""

    writes_special_tokens = True

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def prompt(self, prompt: Content, extra: Mapping[str, Any]) -> str:
        return self._apply(as_messages(prompt, "user"), extra, generation=True)

    def prompt_and_answer(self, prompt: tuple[Message, ...], answer: tuple[Message, ...]) -> str:
        """A whole dialogue in one text."""
        return self._apply((*prompt, *answer), {}, generation=False)

    def response(self, prompt: Content, content: Content, extra: Mapping[str, Any]) -> list[Segment]:
        messages = as_messages(prompt, "user")
        written = self._apply(messages, extra, generation=True)
        segments: list[Segment] = []
        for message in as_messages(content, "assistant"):
            if message["role"] == "assistant" and segments:
                header = self._apply(messages, extra, generation=True)
                segments.append(Segment(self._rest(header, written), False))
                written = header
            messages = (*messages, message)
            whole = self._apply(messages, extra, generation=False)
            segments.append(Segment(self._rest(whole, written), message["role"] == "assistant"))
            written = whole
        return [segment for segment in segments if segment.text]

    def _rest(self, whole: str, written: str) -> str:
        """What the template adds to the text that was there, which it must not change."""
        if not whole.startswith(written):
            at = next((k for k, (a, b) in enumerate(zip(whole, written, strict=False)) if a != b), len(whole))
            raise ModelError(
                f"the chat template rewrites what comes before a response (first at character {at}: "
                f"{written[at : at + 30]!r} becomes {whole[at : at + 30]!r}), so a response has no beginning.",
                remedy="Pass the template's own switch in `chat_template_kwargs` (enable_thinking: false, say).",
            )
        return whole[len(written) :]

    def _apply(self, messages: tuple[Message, ...], extra: Mapping[str, Any], *, generation: bool) -> str:
        arguments = dict(extra.get("chat_template_kwargs", {}))
        for name in RESERVED & arguments.keys():
            raise DataError(f"chat_template_kwargs must not set {name!r}.", remedy="Remove it from the row.")
        try:
            return self.tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tools=extra.get("tools"),
                add_generation_prompt=generation,
                tokenize=False,
                **arguments,
            )
        except (TemplateError, TypeError, KeyError) as error:
            raise DataError(
                f"the chat template refuses a dialogue with roles {[m.get('role') for m in messages]}: {error}.",
                remedy="Check the order of its turns.",
            ) from None


def as_messages(content: Content, role: str) -> tuple[Message, ...]:
    """A content as turns; a text is one turn of the given role."""
    if isinstance(content, str):
        return ({"role": role, "content": content},)
    if isinstance(content, tuple):
        return content
    raise DataError(
        f"a text model cannot read {content!r}.", remedy="Give text or messages, or use another policy for items."
    )


def _plain_text(content: Content) -> str:
    """A text as it is."""
    if isinstance(content, str):
        return content
    raise DataError(
        f"data.template 'plain' writes text, not {'messages' if isinstance(content, tuple) else repr(content)}.",
        remedy="Use data.template=auto, chat or dialogue.",
    )
