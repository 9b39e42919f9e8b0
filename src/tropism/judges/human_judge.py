"""People as the judge: what they chose on the label page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

from tropism.data.label_choices import Choice, ChoiceItem, read_choice_items, read_choices
from tropism.errors import DataError
from tropism.groups import Content, content_key, content_text
from tropism.judges.judge import AnswerPair, Judge, Verdict


@final
class HumanChoices(Judge):
    """The choices of a file that `tropism label` wrote.

    The preference for an answer is the share of choices that went to it; ties and `both bad` count one half to each,
    skipped items and attention checks do not count. The page shuffles the sides, so no verdict depends on a place.

    Args:
        name: how it was named.
        items: what was shown.
        choices: those that stand.
    """

    def __init__(self, name: str, items: Sequence[ChoiceItem], choices: Sequence[Choice]) -> None:
        self.name = name
        self._points: dict[tuple[str, str, str], list[float]] = {}
        by_id = {item.item_id: item for item in items}
        for choice in choices:
            if not choice.is_check and choice.verdict != "skip" and choice.item_id in by_id:
                self._count(by_id[choice.item_id], choice)

    def compare_all(
        self, answer_pairs: Sequence[AnswerPair], *, progress: Callable[[int], None] | None = None
    ) -> list[Verdict | None]:
        if progress:
            progress(len(answer_pairs))
        return [self._verdict(answer_pair) for answer_pair in answer_pairs]

    def identity(self) -> str:
        """The name, with a digest of the choices: the file goes on growing."""
        points = repr(sorted(self._points.items())).encode("utf-8", "surrogatepass")
        return f"{self.name} {hashlib.sha256(points).hexdigest()}"

    def _count(self, item: ChoiceItem, choice: Choice) -> None:
        """Add what a choice says of every pair of answers that it is about, from either side."""
        texts = {option.id: content_text(option.content).strip() for option in item.options}
        shown = [one for one in choice.shown if one in texts]
        for one in shown:
            for other in shown:
                about = one != other and (choice.verdict != "win" or choice.winner in (one, other))
                if about:
                    points = 0.5 if choice.verdict != "win" else float(choice.winner == one)
                    self._points.setdefault((content_key(item.prompt), texts[one], texts[other]), []).append(points)

    def _verdict(self, answer_pair: AnswerPair) -> Verdict | None:
        """The share of choices that went to the first answer."""
        points = self._find(answer_pair.prompt, answer_pair.first.strip(), answer_pair.second.strip())
        return Verdict(sum(points) / len(points)) if points else None

    def _find(self, prompt: Content, first: str, second: str) -> list[float] | None:
        """The points under the whole prompt, else under the text of its last turn."""
        whole = self._points.get((content_key(prompt), first, second))
        return whole or self._points.get((content_key(content_text(prompt)), first, second))


def load_choices(name: str) -> HumanChoices:
    """Read `choices:FILE`, the SQLite file of the label page.

    Raises:
        DataError: where it is missing, no such file, or holds no choice that counts.
    """
    path = Path(name.removeprefix("choices:"))
    choices = list(read_choices(path))
    if not any(not choice.is_check and choice.verdict != "skip" for choice in choices):
        raise DataError(f"{path} holds no choice between answers.", remedy=f"Choose some: tropism label ... -o {path}.")
    return HumanChoices(name, list(read_choice_items(path)), choices)
