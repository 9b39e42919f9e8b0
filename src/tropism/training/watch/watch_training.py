"""What watches a stage while it trains: it probes now and then, sounds alarms, stops, and keeps the best state."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tropism.errors import ConfigError
from tropism.records import Alarm, Probe, write_text
from tropism.training.loop.callbacks import JsonlLog, announce
from tropism.training.loop.monitors import all_reduce
from tropism.training.loop.precision import lowered
from tropism.training.recipe.composite import Composite, parse_composite
from tropism.training.recipe.sections import AlarmsRecipe
from tropism.training.watch.alarms import PROBED, alarms_of
from tropism.training.watch.probe import Prober

PROBES, KEPT = "probes.jsonl", "chosen-"


class WatchTraining(TrainerCallback):
    """Probes the model every so many steps; the first process does, and all learn whether to stop.

    Probes are a file, and everything else follows from them: a resumed stage reads those up to its checkpoint.

    Args:
        prober: what measures; None in the processes that only listen.
        settings: of the alarms.
        folder: the stage's; probes and chosen states are kept there.
        log: additional log for the numbers and the alarms.
    """

    def __init__(self, prober: Prober | None, settings: AlarmsRecipe, *, folder: Path, log: JsonlLog) -> None:
        self.prober = prober
        self.settings = settings
        self.folder = folder
        self.log = log
        self.composite: Composite | None = None
        if settings.choose is not None:
            self.composite = parse_composite(settings.choose, known=PROBED)
        self.probes: list[Probe] = []
        self.alarms: list[Alarm] = []
        self.every = 1

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        share = self.settings.probe.every
        self.every = max(1, math.ceil(share * state.max_steps) if share < 1 else round(share))
        if not state.is_world_process_zero:
            return
        self.probes = [probe for probe in _read_probes(self.folder / PROBES) if probe.step <= state.global_step]
        _write_probes(self.probes, self.folder / PROBES)
        self.alarms = alarms_of(self.probes, self.settings.settings())
        for path in self.folder.glob(f"{KEPT}*"):
            if int(path.name.removeprefix(KEPT)) > state.global_step:
                shutil.rmtree(path)
        if not self.probes:
            self._probe(args, step=0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.every and state.global_step < state.max_steps:
            return
        if state.is_world_process_zero:
            self._probe(args, step=state.global_step)
        ends = {name for name, alarm in self.settings.settings().items() if alarm.stop}
        stop = any(alarm.name in ends for alarm in self.alarms)
        if args.world_size > 1:
            stop = bool(all_reduce(torch.tensor([float(stop)])))
        if stop and state.global_step < state.max_steps:
            announce(f"Training stops after step {state.global_step}, as the alarm's `stop` asks.")
            control.should_save = True
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # a run goes on from a checkpoint before its last step, so that is when older states are not needed any more
        if state.is_world_process_zero and state.global_step < state.max_steps:
            self._prune()

    def chosen_step(self) -> int | None:
        """The step with the best composite of those whose state is kept; None if it is the last, or none chooses."""
        kept = [probe for probe in self.probes if (self.folder / f"{KEPT}{probe.step}").is_dir()]
        if not self.composite or not kept:
            return None
        best = max(kept, key=lambda probe: (self._value(probe), -probe.step))
        return best.step if best.step < self.probes[-1].step else None

    def chosen_state(self) -> Path | None:
        """The folder of the chosen step's model."""
        step = self.chosen_step()
        return self.folder / f"{KEPT}{step}" if step is not None else None

    def forget_states(self) -> None:
        """Delete the kept states, when the stage's model and record are written."""
        for path in self.folder.glob(f"{KEPT}*"):
            shutil.rmtree(path)

    def _probe(self, args: TrainingArguments, *, step: int) -> None:
        """Measure, keep and log the numbers; say which alarms are new; keep the state if it is the best so far."""
        assert self.prober is not None
        with lowered(args):
            probe = self.prober.measure(step)
        self.probes.append(probe)
        _write_probes(self.probes, self.folder / PROBES)
        values = {
            f"probe_{name}{end}": number
            for name, seen in probe.metrics.items()
            for end, number in (("", seen.value), ("_low", seen.low), ("_high", seen.high), ("_n", seen.n))
        }
        self.log.write(step, values)
        known = {alarm.name for alarm in self.alarms}
        self.alarms = alarms_of(self.probes, self.settings.settings())
        for alarm in self.alarms:
            if alarm.name not in known:
                announce(f"Alarm {alarm.name!r} at step {alarm.step}: {alarm.sentence}. {alarm.remedy}")
                self.log.write(step, {f"alarm_{alarm.name}": alarm.value})
        self._keep(args, probe)

    def _keep(self, args: TrainingArguments, probe: Probe) -> None:
        """Keep the state of a probe that is better than all before; the start is none."""
        if not self.composite:
            return
        value = self._value(probe)  # at the start already, so that a name that is not measured costs no training
        assert self.prober is not None
        if probe.step and all(value > self._value(one) for one in self.probes[1:-1]):
            self.prober.policy.save(self.folder / f"{KEPT}{probe.step}")
            if args.save_strategy.value == "no":
                self._prune()

    def _prune(self) -> None:
        """Delete every kept state but the best."""
        kept = {int(path.name.removeprefix(KEPT)): path for path in self.folder.glob(f"{KEPT}*")}
        scored = {probe.step: self._value(probe) for probe in self.probes if probe.step in kept}
        best = max(scored, key=lambda step: (scored[step], -step), default=None)
        for step, path in kept.items():
            if step != best:
                shutil.rmtree(path)

    def _value(self, probe: Probe) -> float:
        assert self.composite is not None
        return self.composite.value({name: seen.value for name, seen in probe.metrics.items()})


def _read_probes(path: Path) -> list[Probe]:
    """The probes of a stage so far; a last line cut short by a kill is left out.

    Raises:
        ConfigError: if the file holds something else.
    """
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(Probe.model_validate(json.loads(line)))
        except json.JSONDecodeError:
            break
        except ValueError:
            raise ConfigError(
                f"{path} does not hold this version's probes.", remedy="Start with --overwrite."
            ) from None
    return found


def _write_probes(probes: list[Probe], path: Path) -> None:
    """Write the probes of a stage, whole or not at all."""
    write_text("".join(f"{probe.model_dump_json()}\n" for probe in probes), path)
