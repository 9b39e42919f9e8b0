"""Run by torchrun from test_trainer.py: the same training on two gloo processes, 4 groups a step on each."""

import json
import sys
from pathlib import Path

from tests.training.test_trainer import make_trainer, steps
from tropism.training.loop.machine import leave_process_group


def main(folder: Path) -> None:
    """Train, and leave the losses and gradient norms of the steps behind."""
    trainer = make_trainer(folder, batch=2, accumulation=2, ddp_backend="gloo", tokens_per_batch=150)
    assert trainer.args.world_size == 2
    trainer.train()
    if trainer.is_world_process_zero():
        (folder / "steps.json").write_text(json.dumps(steps(trainer)))
    leave_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
