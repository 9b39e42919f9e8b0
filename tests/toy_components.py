"""A policy kind, a loss, an eval, an alarm, a reference and an application from outside, by public names alone."""

import dataclasses

from tropism import Edge, PreferenceGroup, Response
from tropism.applications import Application, ApplicationSettings, Claim, GroupSet, value_of
from tropism.evals import Eval, EvalWords, Item, Measure, Measured, Settings
from tropism.losses import Positive, log_ratio_margin, logistic, preference_loss
from tropism.policies import PolicySettings, TextPolicy
from tropism.references import CachedReference
from tropism.scores import Feedback, ResponseScores, Terms
from tropism.training import AlarmRule, AlarmSettings, last_metric


class ShoutSettings(PolicySettings):
    """How loud."""

    marks: int = 1


class ShoutPolicy(TextPolicy):
    """A language model that reads every prompt in capitals."""

    settings_type = ShoutSettings

    @classmethod
    def open(cls, path, model, settings):
        policy = super().open(path, model, settings)
        policy.marks = settings.marks
        return policy

    def prepare_group(self, group, notes):
        prompts = tuple(one.upper() + "!" * self.marks if isinstance(one, str) else one for one in group.prompts)
        return super().prepare_group(dataclasses.replace(group, prompts=prompts), notes)


@preference_loss(family="pairwise", needs={"edges", "reference"}, honours={"prob"}, paper="a toy")
def focal(scores: ResponseScores, feedback: Feedback, *, beta: Positive = 0.1, gamma: Positive = 2.0) -> Terms:
    """Comparisons that are already ordered count less."""
    margin = beta * log_ratio_margin(scores, feedback)
    terms = logistic(margin, feedback)
    return Terms(terms.value * (1 - margin.sigmoid()) ** gamma, terms.weight)


class LetterSettings(Settings):
    """Which letter is counted."""

    letter: str = "a"


def count_letters(task):
    """How often a letter is in the held-out preferred answers; the same for every model."""
    letter = task.settings_as(LetterSettings).letter
    winners = [(group.id, group.responses[group.edges[0].winner].content) for group in task.groups]
    return Measured(items=[Item(name, name, {"letters": float(text.count(letter))}) for name, text in winners])


letters = Eval(
    count_letters,
    LetterSettings,
    words=EvalWords(title="Letters", question="How many?"),
    measures={"letters": Measure(label="Letters per preferred answer")},
    needs=frozenset({"groups"}),
)

wordy = AlarmRule(
    lambda probes, settings: last_metric("words")(probes, settings),
    ("words",),
    "above",
    -1.0,
    "answers have {value} words",
    "Stop.",
    AlarmSettings,
)


class LoudReference(CachedReference):
    """Cached scores under a name of their own."""


class ToySettings(ApplicationSettings):
    """The demo needs the folder of a tiny model."""

    model: str | None = None
    groups: int = 30


def groups(settings, seed):
    """Pairs in which the answer that repeats the prompt wins."""
    answers = (Response("w", "a plant"), Response("l", "none"))
    made = [PreferenceGroup(f"g{i}", (f"what is {i}?",), answers, (Edge(0, 1),)) for i in range(settings.groups)]
    return {"pairs": GroupSet(made)}


def arms(settings, seed):
    """The toy's loss, and DPO as the control."""
    shared = {
        "model": settings.model,
        "policy": {"kind": f"{__file__}:ShoutPolicy", "marks": 2},
        "data": {"train": "pairs", "holdout": 0.3, "max_tokens": 64, "min_response_tokens": 2},
        "reference": f"{__file__}:LoudReference",
        "alarms": {f"{__file__}:wordy": True, "probe": {"prompts": 2, "groups": 2, "contents": 0, "max_new_tokens": 4}},
        "train": {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "use_cpu": True},
        "evaluation": {"prompts": 2, "max_new_tokens": 4},
    }
    return {"focal": {**shared, "loss": {f"{__file__}:focal": {"gamma": 1.5}}}, "dpo": {**shared, "loss": "dpo"}}


def suite(settings):
    """The toy's eval, and the ordinary one of held-out pairs."""
    return [{f"{__file__}:letters": {"letter": "p"}}, "preference"]


claim = Claim("letters", "Preferred answers hold half a p at least.", value_of("focal", "letters.letters"), 0.5)
TOY = Application("toy", "nowhere", "Shows the seams.", ToySettings, groups, arms, suite, (claim,))
