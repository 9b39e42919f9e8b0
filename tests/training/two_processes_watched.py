"""Run by torchrun from test_alarms.py: a watched training on two gloo processes that an alarm stops."""

import json
import sys
from pathlib import Path

from tests.training.test_alarms import prober
from tests.training.test_trainer import make_trainer
from tropism.testing import tiny_policy
from tropism.training.loop.callbacks import JsonlLog
from tropism.training.loop.machine import leave_process_group
from tropism.training.recipe.sections import AlarmsRecipe, ProbeRecipe
from tropism.training.watch import AlarmSettings
from tropism.training.watch.watch_training import WatchTraining


def main(folder: Path) -> None:
    """Train until the alarm, and leave behind where each process stopped."""
    policy = tiny_policy()
    log = JsonlLog(folder / "log.jsonl")
    alarms = AlarmsRecipe(probe=ProbeRecipe(every=1), displacement=AlarmSettings(threshold=-1e-4, stop=True))
    watch = WatchTraining(prober(policy), alarms, folder=folder, log=log)
    trainer = make_trainer(
        folder, policy=policy, batch=2, accumulation=2, ddp_backend="gloo", tokens_per_batch=150,
        loss={"dpo": {"beta": 0.01}}, learning_rate=1e-2, callbacks=[log, watch],
    )  # fmt: skip
    trainer.train()
    found = {"step": trainer.state.global_step, "alarms": [alarm.name for alarm in watch.alarms]}
    (folder / f"process-{trainer.args.process_index}.json").write_text(json.dumps(found))
    leave_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
