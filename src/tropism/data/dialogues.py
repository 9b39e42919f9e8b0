"""Turns of a dialogue: reading them, and cutting a prompt off the answers that follow it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeAlias

from tropism.groups import Content, Message
from tropism.ingest import Unusable
from tropism.ingest.row_values import check_json, decoded, text, wrong

Turns: TypeAlias = tuple[Message, ...]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "system": "system",
    "observation": "tool",
    "tool": "tool",
}
"""ShareGPT's speakers as the roles of chat templates."""

HH_TURN = re.compile(r"\n\n(Human|Assistant):")


def content(value: object, name: str) -> Content:
    """A prompt or an answer: text or turns, with something in it."""
    return turns(value, name) if isinstance(value, list | tuple | dict) else _text(value, name)


def turns(value: object, name: str) -> Turns:
    """A list of turns (or one turn), each with `role` and `content` or ShareGPT's `from` and `value`."""
    value = decoded(value, name)
    if value is None:
        raise Unusable(f"{name!r} is missing")
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple):
        raise Unusable(f"{name!r} is not a list of messages")
    found = tuple(_turn(item, name) for item in value)
    if not any(_says_something(turn) for turn in found):
        raise Unusable(f"{name!r} is empty")
    return found


def said(role: str, words: object) -> Message:
    """One turn."""
    return {"role": role, "content": words}


def with_prompt(prompt: Content, answers: Sequence[Content]) -> tuple[Content, tuple[Content, ...]]:
    """A prompt and its answers in one form: all text, or all turns if any of them is.

    An answer may repeat the prompt's turns at its start; they are cut off. Dialogues in hh-rlhf's text become turns.

    Example:
        >>> with_prompt("2 + 2?", [({"role": "assistant", "content": "4"},)])
        (({'role': 'user', 'content': '2 + 2?'},), (({'role': 'assistant', 'content': '4'},),))
    """
    texts = [answer for answer in answers if isinstance(answer, str)]
    if isinstance(prompt, str) and len(texts) == len(answers):
        whole = [answer if answer.startswith(prompt) else prompt + answer for answer in texts]
        return _shared_dialogue(whole) if is_hh(prompt) and all(map(is_hh, whole)) else (prompt, tuple(answers))
    spoken = [answer if isinstance(answer, tuple) else (said("assistant", answer),) for answer in answers]
    if isinstance(prompt, tuple):
        asked = prompt
    else:
        before = _shared_turns(spoken) if len(spoken) > 1 else before_answer(spoken[0])
        asked = before if any(turn.get("content") == prompt for turn in before) else (said("user", prompt),)
    return asked, tuple(_without_start(answer, asked) for answer in spoken)


def without_prompt(answers: Sequence[Content]) -> tuple[Content, tuple[Content, ...]]:
    """The prompt that answers share at their start, and what follows it in each.

    Turns are cut between turns. Text is cut as TRL does: after the longest common beginning, or one space earlier
    if that ends with a space; the shorter answer keeps at least one turn or letter.

    Example:
        >>> without_prompt(["The sky is blue", "The sky is green"])
        ('The sky is', (' blue', ' green'))
    """
    texts = [answer for answer in answers if isinstance(answer, str)]
    if len(texts) == len(answers):
        if all(map(is_hh, texts)):
            return _shared_dialogue(texts)
        start = _shared_text(texts)
        prompt: Content = texts[0][:start]
        rests: tuple[Content, ...] = tuple(answer[start:] for answer in texts)
    elif texts:
        raise Unusable("one answer is text and the other messages")
    else:
        spoken = [answer for answer in answers if isinstance(answer, tuple)]
        prompt = _shared_turns(spoken)
        rests = tuple(answer[len(prompt) :] for answer in spoken)
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        raise Unusable("no prompt, and the answers have no common beginning")
    return prompt, rests


def is_hh(words: str) -> bool:
    """Whether a text is a dialogue as hh-rlhf writes it."""
    return words.startswith("\n\nHuman:") and "\n\nAssistant:" in words


def hh_turns(words: str) -> Turns:
    r"""A dialogue in hh-rlhf's text as turns; of each turn only the one leading space is removed.

    Example:
        >>> hh_turns("\n\nHuman: Hi\n\nAssistant: Hello ")
        ({'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Hello '})
    """
    _, *parts = HH_TURN.split(words)
    speakers = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        said(speakers[speaker], content.removeprefix(" "))
        for speaker, content in zip(parts[::2], parts[1::2], strict=True)
    )


def _shared_dialogue(dialogues: Sequence[str]) -> tuple[Turns, tuple[Content, ...]]:
    """The turns that hh-rlhf's dialogues share, and the last turn of each."""
    told = [hh_turns(words) for words in dialogues]
    if any(dialogue[-1]["role"] != "assistant" for dialogue in told):
        raise Unusable("the dialogue does not end with an assistant's turn")
    prompt = told[0][:-1]
    if any(dialogue[:-1] != prompt for dialogue in told):
        raise Unusable("chosen and rejected do not share a prompt")
    return prompt, tuple(dialogue[-1:] for dialogue in told)


def before_answer(dialogue: Turns) -> Turns:
    """The turns before the assistant's first."""
    return tuple(takewhile(lambda turn: turn["role"] != "assistant", dialogue))


def _text(value: object, name: str) -> str:
    """Text, with an error that says what else it could have been."""
    if not isinstance(value, str):
        raise wrong(value, name, "is neither text nor messages")
    return text(value, name)


def _turn(item: object, name: str) -> Message:
    """One turn, without keys that hold nothing."""
    if not isinstance(item, Mapping):
        raise Unusable(f"{name!r} is not a list of messages")
    turn: dict[str, Any] = {key: value for key, value in item.items() if value is not None}
    check_json(turn)
    if "role" not in turn and "from" in turn:
        speaker = turn.pop("from")
        if not isinstance(speaker, str) or speaker not in ROLES:
            raise Unusable(f"a speaker that is none of {', '.join(ROLES)}")
        turn = {"role": ROLES[speaker], "content": turn.pop("value", None)} | turn
    if not isinstance(turn.get("role"), str):
        raise Unusable(f"a turn of {name!r} has no role")
    words = turn.get("content")
    is_parts = isinstance(words, list) and all(isinstance(part, dict) for part in words)
    if not (isinstance(words, str) or is_parts or (words is None and turn.get("tool_calls"))):
        raise Unusable(f"a turn of {name!r} has no content")
    return turn


def _says_something(turn: Message) -> bool:
    """Whether a turn holds words, parts or tool calls."""
    words = turn.get("content")
    return bool(words.strip() if isinstance(words, str) else words) or bool(turn.get("tool_calls"))


def _without_start(answer: Turns, prompt: Turns) -> Turns:
    """An answer without the prompt that it repeats."""
    repeats = len(answer) > len(prompt) and answer[: len(prompt)] == prompt
    return answer[len(prompt) :] if repeats else answer


def _shared_turns(answers: Sequence[Turns]) -> Turns:
    """The turns that all answers begin with, so that each keeps at least one."""
    most = min(map(len, answers)) - 1
    same = takewhile(lambda turn: all(other == turn[0] for other in turn), zip(*answers, strict=False))
    return tuple(turn[0] for turn in same)[:most]


def _shared_text(answers: Sequence[str]) -> int:
    """The length of the common beginning by TRL's rule (`trl.data_utils.extract_prompt`)."""
    shortest = min(map(len, answers))
    start = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*answers, strict=False)))
    if start == shortest:
        return start - 1
    return start - 1 if answers[0][start - 1 : start] == " " else start
