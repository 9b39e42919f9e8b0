"""Who says which answer is better: a rule in Python, or a reward model."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tropism.errors import ConfigError, DataError

REWARD_MODEL = "reward-model:"


@dataclass(frozen=True)
class RuleJudge:
    """A Python function from prompt and answer to a number, higher is better.

    Args:
        name: how it was named.
        function: from the prompt's and the answer's text to a finite number.
    """

    name: str
    function: Callable[[str, str], float]

    def score(self, prompt: str, answer: str) -> float:
        """The judge's number for one answer.

        Raises:
            DataError: where the rule gives no finite number.
        """
        try:
            value = float(self.function(prompt, answer))
        except Exception as error:
            raise DataError(
                f"judge {self.name} failed with {type(error).__name__}: {error} on the answer {answer[:60]!r}.",
                remedy="Make the rule return a finite number for every answer.",
            ) from error
        if not math.isfinite(value):
            raise DataError(
                f"judge {self.name} gave {value} to the answer {answer[:60]!r}.",
                remedy="Make the rule return a finite number for every answer.",
            )
        return value


def load_judge(name: str) -> RuleJudge:
    """Load a rule by `file.py:function` or `module:function`, which is run as code, or `reward-model:FOLDER`.

    Raises:
        ConfigError: where the file, module or function is not there.
    """
    if name.startswith(REWARD_MODEL):
        return reward_judge(name)
    place, colon, function = name.rpartition(":")
    if not colon:
        raise ConfigError(
            f"a judge is named `file.py:function`, `module:function` or `reward-model:FOLDER`, not {name!r}.",
            remedy="Add the function's name.",
        )
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        rule = getattr(module, function)
    except Exception as error:
        raise ConfigError(f"the judge {name!r} cannot be loaded: {error}.", remedy="Check evaluation.judge.") from None
    if not callable(rule):
        raise ConfigError(f"the judge {name!r} is not a function.", remedy="Check evaluation.judge.")
    return RuleJudge(name, rule)


def reward_judge(name: str) -> RuleJudge:
    """A reward model as a judge: the score of an answer is its reward.

    Raises:
        ModelError: where the folder holds none.
    """
    from tropism.policies.reward import load_reward_policy  # only where a judge asks for a second model

    policy = load_reward_policy(name.removeprefix(REWARD_MODEL))
    return RuleJudge(name, lambda prompt, answer: policy.rewards([prompt], [answer])[0])
