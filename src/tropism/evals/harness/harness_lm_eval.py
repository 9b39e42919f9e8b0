"""Tasks of EleutherAI's lm-evaluation-harness on a model that is at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from tropism.errors import ConfigError
from tropism.evals.core.items import Item
from tropism.evals.core.subject import Subject
from tropism.evals.harness.harness_request import Asked, TaskOutcome, installed, shortened, told_plainly
from tropism.metrics.bootstrap import Z_95
from tropism.policies.transformer import language_model
from tropism.records import Estimate

PACKAGE = "lm-evaluation-harness"


def run_lm_eval(subject: Subject, asked: Asked) -> TaskOutcome:
    """Run tasks, and take over each sample's scores under `task.metric`.

    Args:
        subject: a model whose weights are at hand.
        asked: the tasks; data sets come from the hub's cache or, for tasks of the user's own, from files.

    Raises:
        ConfigError: if the package is missing or fails, or the model is no causal language model on this machine.
    """
    policy = language_model(subject.policy)
    if policy is None:
        raise ConfigError(
            f"{PACKAGE} needs a causal language model of transformers on this machine, and {subject.name} is none.",
            remedy="Use harness: inspect-ai.",
        )
    library = installed("lm_eval", package=PACKAGE)
    models = installed("lm_eval.models.huggingface", package=PACKAGE)
    tasks = installed("lm_eval.tasks", package=PACKAGE)
    with told_plainly(PACKAGE), policy.own_attention():
        found = library.simple_evaluate(
            model=models.HFLM(
                pretrained=policy.model,
                tokenizer=policy.tokenizer,
                batch_size=asked.batch_size,
                max_length=min(policy.context, policy.renderer.rules.max_tokens),
                max_gen_toks=asked.max_new_tokens,
            ),
            tasks=list(asked.tasks),
            num_fewshot=asked.few_shot,
            limit=asked.limit,
            task_manager=tasks.TaskManager(include_path=asked.include),
            log_samples=True,
            bootstrap_iters=1000,
            random_seed=asked.seed,
            numpy_random_seed=asked.seed,
            torch_random_seed=asked.seed,
            fewshot_random_seed=asked.seed,
        )
    return outcome(found)


def outcome(found: Mapping[str, Any]) -> TaskOutcome:
    """The harness's results as items; a metric that is no mean over samples keeps its own standard error."""
    items = [item for task, samples in found["samples"].items() for item in map(_item_of(task), samples)]
    metrics: dict[str, Estimate] = {}
    without = 0
    told = {name for item in items for name in item.values}
    for task, results in found["results"].items():
        for key, value in results.items():
            metric, _, chosen = key.partition(",")
            name = _metric_name(task, metric, chosen)
            if not chosen or metric.endswith("_stderr") or name in told or task not in found["samples"]:
                continue
            error = results.get(f"{metric}_stderr,{chosen}")
            if is_number(value) and is_number(error):
                count = len(found["samples"][task])
                metrics[name] = Estimate(value=value, low=value - Z_95 * error, high=value + Z_95 * error, n=count)
            else:
                without += 1
    higher = [f"{task}.{metric}" for task, which in found.get("higher_is_better", {}).items()
              for metric, is_higher in which.items() if is_higher]  # fmt: skip
    return TaskOutcome(
        items,
        metrics,
        skipped={"metrics that came without a standard error": without} if without else {},
        notes=[f"Higher is better for {', '.join(higher)}, says {PACKAGE}."] if higher else [],
    )


def _item_of(task: str) -> Callable[[Mapping[str, Any]], Item]:
    """From one logged sample of a task to an item."""

    def item(sample: Mapping[str, Any]) -> Item:
        chosen = sample.get("filter", "none")
        scores: dict[str, Any] = {
            _metric_name(task, name, chosen): sample.get(name) for name in sample.get("metrics", ())
        }
        cluster = f"{task}/{sample['doc_id']}"
        detail = {"task": task, "target": shortened(sample.get("target")),
                  "answer": shortened(sample.get("filtered_resps"))}  # fmt: skip
        values = {name: float(score) for name, score in scores.items() if is_number(score)}
        return Item(cluster if chosen == "none" else f"{cluster}/{chosen}", cluster, values, detail)

    return item


def _metric_name(task: str, metric: str, chosen: str) -> str:
    """How a metric is called, with the filter that picked the answer where there is one."""
    return f"{task}.{metric}" if chosen in ("", "none") else f"{task}.{metric}.{chosen}"


def is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false count as 1 and 0."""
    return isinstance(value, Real) and float("-inf") < float(value) < float("inf")
