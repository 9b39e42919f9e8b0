"""The forum's own measures of answers, computed exactly: are they on topic, in whole sentences, and how well liked."""

from __future__ import annotations

from pydantic import Field

from tropism.applications.quickstart.taste import diagnose
from tropism.evals.core.items import Eval, Item, Measured, Settings, Task
from tropism.evals.preference.drift import chosen_prompts
from tropism.groups import content_key, content_text
from tropism.records import EvalWords, Measure


class ForumSettings(Settings):
    """Settings of the eval.

    Args:
        prompts: maximum number of held-out questions that are answered.
        temperature: of the sampling.
        max_new_tokens: an answer is cut here.
    """

    prompts: int = Field(400, gt=0)
    temperature: float = Field(1.0, ge=0)
    max_new_tokens: int = Field(120, gt=0)


def measure(task: Task) -> Measured:
    """Take every answer apart; the parser knows every sentence of the forum."""
    settings = task.settings_as(ForumSettings)
    groups = chosen_prompts(task.groups, settings.prompts)
    with task.progress(f"Answering questions ({task.subject.name})", len(groups)) as done:
        answers = task.subject.answers(
            groups,
            temperature=settings.temperature,
            max_new_tokens=settings.max_new_tokens,
            seed=task.seed,
            progress=done,
        )
    items = []
    for group, (answer,) in zip(groups, answers, strict=True):
        prompt = group.prompts[0]
        found = diagnose(content_text(prompt), answer)
        values = {"on_topic": float(found.on_topic), "parsed": float(found.parses), "taste": found.taste}
        key = content_key(prompt)
        items.append(Item(key, key, values, {"prompt": content_text(prompt), "answer": answer}))
    return Measured(items=items)


forum = Eval(
    measure,
    ForumSettings,
    words=EvalWords(title="The forum's taste", question="What would the forum's readers say about the answers?"),
    measures={
        "on_topic": Measure(
            label="On topic", unit="share", better="higher", meaning="Share of answers with a fitting cause or remedy."
        ),
        "parsed": Measure(
            label="Whole sentences",
            unit="share",
            better="higher",
            meaning="Share of answers that consist of the forum's own sentences.",
        ),
        "taste": Measure(
            label="Taste", better="higher", meaning="How much readers like an answer; about 4.3 is the best."
        ),
    },
    needs=frozenset({"groups", "generate"}),
)
