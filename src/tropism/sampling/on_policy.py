"""A model's own answers become groups: to be labelled by people, or compared by a judge at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tropism.data.dialogues import said
from tropism.data.group_keys import prompt_key, short_hash
from tropism.errors import ConfigError
from tropism.evals.core.answer_store import Answer
from tropism.evals.core.items import Progress
from tropism.evals.core.subject import Subject
from tropism.groups import Content, PreferenceGroup, Response, content_key, content_text
from tropism.judges.degenerate import fault_of
from tropism.judges.judge import Judge
from tropism.metrics.bootstrap import mean_by_cluster
from tropism.metrics.pair_order import order_credit
from tropism.records import Account, DataCard, Estimate
from tropism.sampling.judged_edges import Pairing, judge_groups
from tropism.sampling.prompt_files import Prompts


@dataclass(frozen=True)
class Draws:
    """How answers are drawn.

    Args:
        num_answers: to each prompt.
        temperature: above 0, or all answers to a prompt are equal.
        max_new_tokens: an answer that has not ended is cut here.
        seed: another seed, other answers.
    """

    num_answers: int = 4
    temperature: float = 0.8
    max_new_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_answers < 1 or self.max_new_tokens < 1:
            raise ConfigError(
                f"at least one answer and one token, not {self.num_answers} and {self.max_new_tokens}.",
                remedy="Ask for 4 answers of 256 tokens.",
            )
        if self.num_answers > 1 and self.temperature <= 0:
            raise ConfigError(
                f"temperature {self.temperature} gives {self.num_answers} equal answers.",
                remedy="Raise it to 0.8, or ask for one answer.",
            )


class SampledGroups(NamedTuple):
    """Groups of a model's own answers, and the card that says how they came about.

    Attributes:
        groups: one for each prompt that got an answer.
        card: its account counts the rows of prompts.
        flips: share of verdicts that changed with the order of the answers; None without a judge that sees an order.
        notes: plain sentences that a reader must know.
    """

    groups: tuple[PreferenceGroup, ...]
    card: DataCard
    flips: Estimate | None
    notes: tuple[str, ...]


def sample_groups(
    subject: Subject,
    prompts: Prompts,
    *,
    draws: Draws,
    progress: Progress,
    judge: Judge | None = None,
    pairing: Pairing | None = None,
) -> SampledGroups:
    """Draw answers to prompts and make groups of them; with a judge, compare them.

    Equal answers to a prompt are one response; empty ones are dropped. What was drawn before an interruption is read
    from disk.

    Args:
        subject: the model, see `tropism.evals.core.subject.policy_subject`.
        prompts: see `tropism.sampling.prompt_files`.
        draws: how many answers, and how.
        progress: makes a progress bar from a title and a total.
        judge: who compares; None leaves the groups without edges, for people to label.
        pairing: which verdicts become edges.
    """
    notes: Counter[str] = Counter()
    dropped = Counter(prompts.dropped)
    groups = _draw_groups(subject, prompts, draws, notes=notes, dropped=dropped, progress=progress)
    rule = (
        f"{draws.num_answers} answers of {subject.name} to each prompt, temperature {draws.temperature:g}, at most "
        f"{draws.max_new_tokens} tokens, seed {draws.seed}"
    )
    judged = judge_groups(groups, judge, pairing or Pairing(), notes=notes, progress=progress) if judge else None
    if judged:
        groups = judged.groups
        rule += f"; {judged.rule}"
    account = _account_of(prompts, groups, dropped, notes)
    card = DataCard(source=prompts.source, rule=rule, account=account, confounds=confounds(groups))
    return SampledGroups(tuple(groups), card, judged.flips if judged else None, judged.notes if judged else ())


def _draw_groups(
    subject: Subject,
    prompts: Prompts,
    draws: Draws,
    *,
    notes: Counter[str],
    dropped: Counter[str],
    progress: Progress,
) -> list[PreferenceGroup]:
    """A group of distinct answers for every prompt that got one; `notes` and `dropped` are counted up."""
    with progress(f"Answering prompts ({subject.name})", len(prompts.contents)) as done:
        answers = subject.drawn(
            prompts.contents,
            num_answers=draws.num_answers,
            temperature=draws.temperature,
            max_new_tokens=draws.max_new_tokens,
            seed=draws.seed,
            progress=done,
        )
    groups = []
    for prompt, num_rows, drawn in zip(prompts.contents, prompts.num_rows, answers, strict=True):
        distinct = _distinct_answers(_as_written(subject, prompt, drawn), notes)
        if distinct:
            groups.append(group_of_answers(prompt, distinct, source=subject.name))
            notes["rows that ask a prompt again"] += num_rows - 1
            notes["prompts with one distinct answer"] += len(distinct) == 1
        else:
            dropped["every answer is empty"] += num_rows
    return groups


def _as_written(subject: Subject, prompt: Content, answers: Sequence[Answer]) -> list[str]:
    """Answers as training will see them, with the blank before them where nothing else parts them from the prompt."""
    if subject.generator is None:
        return [answer.text for answer in answers]
    return subject.generator.texts_after(prompt, [answer.ids for answer in answers])


def _distinct_answers(texts: Sequence[str], notes: Counter[str]) -> list[str]:
    """Answers without empty ones and repetitions, in their order; both are counted."""
    said_something = [text for text in texts if fault_of(text) != "empty"]
    distinct = list(dict.fromkeys(said_something))
    notes["empty answers, dropped"] += len(texts) - len(said_something)
    notes["equal answers, merged"] += len(said_something) - len(distinct)
    return distinct


def group_of_answers(prompt: Content, texts: Sequence[str], *, source: str) -> PreferenceGroup:
    """A group of answers in the prompt's own form: texts to a text, turns to a dialogue."""
    contents: list[Content] = [text if isinstance(prompt, str) else (said("assistant", text),) for text in texts]
    responses = tuple(Response(short_hash(content_key(content)), content) for content in contents)
    return PreferenceGroup(short_hash(prompt_key([prompt], {})), (prompt,), responses, source=source)


def _account_of(
    prompts: Prompts, groups: Sequence[PreferenceGroup], dropped: Counter[str], notes: Counter[str]
) -> Account:
    """What became of every row of prompts."""
    rows_read = sum(prompts.num_rows) + sum(prompts.dropped.values())
    return Account(
        rows_read=rows_read,
        rows_used=rows_read - sum(dropped.values()),
        dropped={reason: count for reason, count in dropped.items() if count},
        groups=len(groups),
        responses=sum(len(group.responses) for group in groups),
        edges=sum(len(group.edges) for group in groups),
        labels=0,
        notes={note: count for note, count in notes.items() if count},
        examples=prompts.examples,
    )


def confounds(groups: Sequence[PreferenceGroup]) -> dict[str, Estimate]:
    """Share of edges whose winner has more characters (as many count half), drawn by prompt."""
    longer: list[float] = []
    owners: list[str] = []
    for group in groups:
        lengths = [len(content_text(response.content)) for response in group.responses]
        for edge in group.edges:
            gap = lengths[edge.winner] - lengths[edge.loser]
            longer.append(order_credit(gap, 0))
            owners.append(group.id)
    estimate = mean_by_cluster(longer, owners)
    return {"chosen_longer": estimate} if estimate else {}
