"""Suites: which evals to run, with which settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, ValidationError

from tropism.errors import ConfigError
from tropism.evals.core.items import Eval, Item, Measured, Settings, Task
from tropism.evals.eval_table import EVALS
from tropism.functions import load_object
from tropism.records import Better, Measure

SUITES = Path(__file__).parent / "suites"
RESERVED = ("better", "same_within")
"""Keys that every eval of a suite may have in addition to its own settings."""


class AnySettings(Settings):
    """Settings of a user's own function, which checks them itself."""

    model_config = ConfigDict(frozen=True, extra="allow")


@dataclass(frozen=True)
class SuiteEval:
    """One eval of a suite.

    Args:
        name: of the eval, as metrics are named by it.
        eval: what runs.
        settings: checked.
        same_within: metric to its smallest relevant difference, for a test of equivalence.
        code: digest of the file that a user's own function is in.
    """

    name: str
    eval: Eval
    settings: Settings
    same_within: Mapping[str, float] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class Suite:
    """Evals to run, in order; `left_out` maps an eval that is switched off to the reason."""

    name: str
    evals: tuple[SuiteEval, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Suite:
        """The suite with other defaults for its evals of held-out groups; what an entry sets itself stays.

        Args:
            defaults: name of a setting to its value; None switches off the evals that have the setting and do not set
                it.

        Raises:
            ConfigError: if a value is not valid for an eval.
        """
        kept, left_out = [], dict(self.left_out)
        for one in self.evals:
            open_names = set(one.eval.settings.model_fields) - one.settings.model_fields_set
            given = {name: value for name, value in defaults.items() if name in open_names}
            off = [name for name, value in given.items() if value is None]
            if "groups" not in one.eval.needs or not given:
                kept.append(one)
            elif off:
                left_out[one.name] = f"`{off[0]}` is 0"
            else:
                own = {name: getattr(one.settings, name) for name in one.settings.model_fields_set}
                kept.append(replace(one, settings=_checked_settings(one.name, one.eval, given | own)))
        return replace(self, evals=tuple(kept), left_out=left_out)


def load_suite(name: str) -> Suite:
    """A suite by its name, or by the path of a YAML file.

    The file holds `evals:`, a list. An entry is an eval's name, or a name with settings: `- drift: {prompts: 50}`. A
    name with a colon is a user's own: `file.py:function` or `module:function`, which is run as code. `better` (metric
    to `higher` or `lower`) and `same_within` (metric to the least difference that matters) are allowed in every entry.

    Raises:
        ConfigError: for an unknown suite, eval or setting; the message lists the available ones.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SUITES / f"{name}.yaml"
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(one.stem for one in SUITES.glob("*.yaml")))
        raise ConfigError(
            f"unknown suite {name!r}; available: {known}.", remedy="Use one of them, or the path of a YAML file."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the suite {path} is not YAML: {' '.join(str(error).split())}.", remedy="Fix the YAML syntax."
        ) from None
    if not isinstance(read, dict) or not isinstance(read.get("evals"), list) or set(read) - {"evals"}:
        raise ConfigError(
            f"the suite {path} must hold one key, `evals`, with a list.", remedy="See docs/evaluation.md."
        )
    evals = tuple(parse_entry(entry) for entry in read["evals"])
    names = [one.name for one in evals]
    if len(set(names)) < len(names):
        raise ConfigError(f"the suite {path} names an eval twice.", remedy="Remove one of them.")
    return Suite(path.stem, evals)


def parse_entry(entry: Any) -> SuiteEval:
    """One entry of a suite's list."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not (isinstance(entry, dict) and len(entry) == 1):
        raise ConfigError(
            f"an entry of a suite must be an eval, got {entry!r}.",
            remedy="Write `- name` or `- name: {setting: value}`.",
        )
    ((name, given),) = entry.items()
    given = dict(given or {})
    better, same_within = (given.pop(key, None) or {} for key in RESERVED)
    if any(way not in ("higher", "lower", "neither") for way in better.values()):
        raise ConfigError(
            f"`better` of eval {name!r} must map metrics to higher, lower or neither, got {better}.",
            remedy="Fix the suite.",
        )
    row = _own_eval(name, better) if ":" in name else EVALS.get(name)
    if row is None:
        raise ConfigError(
            f"unknown eval {name!r}; available: {', '.join(EVALS)}.",
            remedy="Use one of them, or file.py:function for your own.",
        )
    settings = _checked_settings(name, row, given)
    file = Path(name.rpartition(":")[0])
    code = hashlib.sha256(file.read_bytes()).hexdigest() if file.suffix == ".py" else ""
    return SuiteEval(name.rpartition(":")[2], row, settings, same_within, code)


def _checked_settings(name: str, row: Eval, given: Mapping[str, Any]) -> Settings:
    """An eval's settings.

    Raises:
        ConfigError: for an unknown setting or an invalid value.
    """
    try:
        return row.settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"setting {key!r} of eval {name!r} is not valid, got {first.get('input')!r}: {first['msg']}.",
            remedy=f"Available settings: {', '.join(row.settings.model_fields) or 'none'}.",
        ) from None


def _own_eval(name: str, better: Mapping[str, Better]) -> Eval:
    """A user's own eval: a row of its own, or a function `(Task) -> Measured` or `(Task) -> list[Item]`.

    Args:
        name: `file.py:name` or `module:name`.
        better: metric to its direction, in addition to the row's measures.
    """
    found = load_object(name, role="eval", remedy="Check the suite.")
    if not isinstance(found, Eval) and not callable(found):
        raise ConfigError(f"the eval {name!r} must be a function or an Eval, got {found!r}.", remedy="Check the suite.")
    row = found if isinstance(found, Eval) else Eval(_checked(name, found), AnySettings)
    measures = {
        metric: (row.measures.get(metric) or Measure.named(metric)).model_copy(update={"better": way})
        for metric, way in better.items()
    }
    return replace(row, measures={**row.measures, **measures})


def _checked(name: str, function: Callable[[Task], Any]) -> Callable[[Task], Measured]:
    """A user's function as one that returns `Measured`."""

    def measure(task: Task) -> Measured:
        found = function(task)
        if isinstance(found, Measured):
            return found
        if isinstance(found, list | tuple) and all(isinstance(one, Item) for one in found):
            return Measured(items=list(found))
        raise ConfigError(
            f"the eval {name!r} must return Measured or a list of Item, got {type(found).__name__}.",
            remedy="Correct the function's return value.",
        )

    return measure
