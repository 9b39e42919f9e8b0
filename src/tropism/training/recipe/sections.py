"""The sections of a recipe: every key, what it may hold, and its default."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tropism.training.watch.alarms import ALARMS, AlarmSettings, alarm_rule

LossSettings = dict[str, dict[str, Any]]


class Section(BaseModel):
    """A part of the recipe; unknown keys are errors that name the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _expanded(path: str) -> str:
    """A path with `~` and `${VARIABLE}` filled in; an unset variable is an error."""
    filled = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$\{?(\w+)", filled)
    if unset:
        raise ValueError(f"the environment variable {unset.group(1)} is not set")
    return filled


UserPath = Annotated[str, AfterValidator(_expanded)]


def parsed(settings: type[BaseModel], given: Any, *, what: str) -> Any:
    """Settings by the class of a component; its mistakes are one short sentence."""
    try:
        return settings.model_validate(given, from_attributes=True)
    except ValidationError as error:
        known = ", ".join(settings.model_fields) or "nothing"
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ValueError(f"{what} takes {known}; {faults}") from None


class SourceRecipe(Section):
    """One of several data sources: its path and how much of it to take, in (0, 1]."""

    path: UserPath
    fraction: float = Field(default=1.0, gt=0, le=1)


def _as_sources(value: Any) -> Any:
    """A path, a source, or a list of either."""
    if value is None:
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    return tuple({"path": item} if isinstance(item, str) else item for item in items)


class DataRecipe(Section):
    """What to train on, and how long a sequence may be (tokens)."""

    train: tuple[SourceRecipe, ...]
    eval: tuple[SourceRecipe, ...] = ()
    holdout: float = Field(default=0.1, ge=0, lt=1)
    max_groups: int | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, gt=1)
    min_response_tokens: int = Field(default=16, gt=0)
    template: Literal["auto", "chat", "dialogue", "plain"] = "auto"

    _sources = field_validator("train", "eval", mode="before")(_as_sources)


class LoraRecipe(Section):
    """A LoRA adapter: rank, scale, dropout, and which layers get one."""

    r: int = Field(default=16, gt=0)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | list[str] = "all-linear"


class EvaluationRecipe(Section):
    """What to measure when training is over: a suite of evals, on groups that were not trained on.

    Args:
        suite: name of a suite or path of a YAML file.
        judge: `file.py:function`, `module:function`, `reward-model:FOLDER`, or an LLM judge; see docs/judges.md.
        prompts: maximum number of held-out prompts that are answered.
        groups: maximum number of held-out groups whose responses are scored.
        temperature: of the answers that the judge compares.
        max_new_tokens: maximum length of an answer.
        seed: of the answers.

    `prompts`, `groups`, `temperature` and `max_new_tokens` are defaults for the suite's evals of held-out data; a suite
    that sets its own keeps them.
    """

    suite: UserPath = "training"
    judge: UserPath | None = None
    prompts: int = Field(default=100, ge=0)
    groups: int = Field(default=400, gt=0)
    temperature: float = Field(default=0.7, ge=0)
    max_new_tokens: int = Field(default=128, gt=0)
    seed: int = 0


class ProbeRecipe(Section):
    """What is asked of the model while it trains: pairs to order, prompts to answer, restyled contents to read.

    `every` is a share of the stage's steps if it is below 1, else a number of steps.
    """

    prompts: int = Field(default=32, ge=0)
    groups: int = Field(default=64, ge=0)
    contents: int = Field(default=12, ge=0, le=40)
    every: float = Field(default=0.1, gt=0)
    max_new_tokens: int = Field(default=64, gt=0)
    seed: int = 0


def _as_alarm(value: Any) -> Any:
    """`false`, `true` and a threshold alone are all settings of an alarm."""
    if isinstance(value, bool) or value is None:
        return {"on": bool(value)}
    return {"threshold": value} if isinstance(value, int | float) else value


class AlarmsRecipe(Section):
    """What is watched while a stage trains; `choose` is a composite that the best state is kept by.

    Every other key names an alarm, of the table or `file.py:name`, and holds what the alarm's own settings class takes.
    """

    model_config = ConfigDict(extra="allow")

    on: bool = True
    probe: ProbeRecipe = ProbeRecipe()
    choose: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_their_rules(cls, value: Any) -> Any:
        """Check each alarm's settings by the class of its row."""
        if not isinstance(value, dict):
            return value
        return {
            name: given
            if name in cls.model_fields
            else parsed(alarm_rule(name).settings, _as_alarm(given), what=f"alarm {name!r}")
            for name, given in value.items()
        }

    def settings(self) -> dict[str, AlarmSettings]:
        """The alarms that are on, by name."""
        every = {name: rule.settings() for name, rule in ALARMS.items()} | (self.model_extra or {})
        return {name: one for name, one in every.items() if one.on and self.on}

    @property
    def decides(self) -> bool:
        """Whether probes decide which model comes out, so that it must not be evaluated on what they saw."""
        return self.on and (self.choose is not None or any(one.stop for one in self.settings().values()))


def _as_alarms(value: Any) -> Any:
    """`alarms: false` switches all of them off, and the probes with them."""
    return {"on": bool(value)} if isinstance(value, bool) or value is None else value


class RoundsRecipe(Section):
    """On-policy rounds: how many, and how each one's answers are drawn and compared.

    `prompts` is how many training prompts a round answers (None takes all); `reference` is the model that the round
    starts from, or the first round's.
    """

    count: int = Field(default=1, ge=1)
    answers: int = Field(default=4, ge=2)
    prompts: int | None = Field(default=None, gt=0)
    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=128, gt=0)
    seed: int = 0
    reference: Literal["start", "first"] = "start"


def as_losses(value: Any) -> Any:
    """`dpo`, `{dpo: null}` and `{dpo: {beta: 0.1}}` are all settings of losses."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict):
        return value
    for name in value:
        if not (isinstance(name, str) and (name.isidentifier() or ":" in name)):
            words = [word for word in re.findall(r"[a-z0-9_]+", str(name).lower()) if word != "loss"] or ["dpo"]
            way = "{" + ", ".join(f"{word}: {{}}" for word in words) + "}" if len(words) > 1 else words[0]
            raise ValueError(f"a loss's name has no spaces, commas or signs; write {way}")
    return {name: arguments or {} for name, arguments in value.items()}


class KindRecipe(BaseModel):
    """A kind by name, or a class of the user's by `file.py:Class`; the other keys are the kind's own settings."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, value: Any) -> Any:
        """`cached` and `{kind: cached}` are the same; texts may hold `~` and `${VARIABLE}`."""
        if isinstance(value, str):
            return {"kind": _expanded(value)}
        if isinstance(value, dict):
            return {key: _expanded(one) if isinstance(one, str) else one for key, one in value.items()}
        return value

    @property
    def settings(self) -> dict[str, Any]:
        """The keys beside `kind`."""
        return dict(self.model_extra or {})


class ReferenceRecipe(KindRecipe):
    """Where reference scores come from: a kind of `tropism.references.reference_kinds.REFERENCES`."""


class PolicyRecipe(KindRecipe):
    """The kind of model: one of `tropism.policies.registry.POLICIES`."""


class StageRecipe(Section):
    """One training stage; what it leaves out it takes from the recipe. `data` replaces `data.train` for this stage."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    loss: LossSettings | None = None
    reference: ReferenceRecipe | None = None
    policy: PolicyRecipe | None = None
    data: tuple[SourceRecipe, ...] = ()
    train: dict[str, Any] = Field(default_factory=dict)

    _sources = field_validator("data", mode="before")(_as_sources)
    _losses = field_validator("loss", mode="before")(as_losses)


class Recipe(Section):
    """A whole run.

    `policy` is the kind of model; None is `reward` for a stage whose loss trains rewards, else `text`.
    """

    model: UserPath
    policy: PolicyRecipe | None = None
    data: DataRecipe
    loss: LossSettings = {"dpo": {}}
    reference: ReferenceRecipe = ReferenceRecipe(kind="cached")
    layout: Literal["forest", "padded"] = "forest"
    tokens_per_batch: int | None = Field(default=None, gt=0)
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora: LoraRecipe | None = None
    train: dict[str, Any] = Field(default_factory=dict)
    stages: tuple[StageRecipe, ...] = ()
    alarms: AlarmsRecipe = AlarmsRecipe()
    evaluation: EvaluationRecipe = EvaluationRecipe()
    rounds: RoundsRecipe | None = None
    output: UserPath

    _alarms = field_validator("alarms", mode="before")(_as_alarms)
    _losses = field_validator("loss", mode="before")(as_losses)

    @field_validator("stages", mode="before")
    @classmethod
    def _no_stages(cls, value: Any) -> Any:
        """`stages: null` is no stages."""
        return () if value is None else value

    @field_validator("stages")
    @classmethod
    def _names_differ(cls, stages: tuple[StageRecipe, ...]) -> tuple[StageRecipe, ...]:
        if len({stage.name for stage in stages}) != len(stages):
            raise ValueError("two stages have one name")
        return stages

    def resolved_stages(self) -> tuple[StageRecipe, ...]:
        """The stages with everything filled in; a recipe without stages is one stage named after its losses."""
        stages = self.stages or (StageRecipe(name="-".join(name.rpartition(":")[2] for name in self.loss)),)
        return tuple(
            StageRecipe(
                name=stage.name,
                loss=stage.loss or self.loss,
                reference=stage.reference or self.reference,
                policy=stage.policy or self.policy,
                data=stage.data or self.data.train,
                train={**self.train, **stage.train},
            )
            for stage in stages
        )
