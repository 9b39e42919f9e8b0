"""A whole run that never was: realistic numbers, and answers that try to break the page."""

from __future__ import annotations

import math
import random
from pathlib import Path

from tropism.records import (
    Account,
    Comparison,
    DataCard,
    Estimate,
    EvalResult,
    EvalWords,
    Measure,
    Run,
    Stage,
    StepLog,
    SuiteModel,
    SuiteRun,
    SuiteSample,
)
from tropism.reporting.page_records import PageRecords, TrainedRun

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><style>body{display:none}</style>",
    "{{7*7}} {% include '/etc/passwd' %}",
    '<img src=http://evil.example/pixel.png onerror="alert(2)">',
    "\u202eשלום עולם, this runs the other way\u202c مرحبا",
    "long " * 1000,
    "x" * 5000,
    "</div></main><a href='https://evil.example'>click</a>\x00\x1b[31m",
)


def estimate(value: float, half: float, n: int = 400) -> Estimate:
    """An estimate with a symmetric interval."""
    return Estimate(value=value, low=value - half, high=value + half, n=n)


BASE = "pocket"
SHARE, NUMBER = "share", "number"
MEASURES = {
    "win_rate.rate": Measure(label="Win rate, ties as half", unit=SHARE, better="higher", baseline=0.5),
    "win_rate.won": Measure(label="Won", unit=SHARE),
    "win_rate.ties": Measure(label="Ties", unit=SHARE),
    "win_rate.lost": Measure(label="Lost", unit=SHARE),
    "win_rate.judge_score": Measure(label="Judge's score", better="higher"),
    "preference.pair_accuracy": Measure(label="Pair accuracy", unit=SHARE, better="higher", baseline=0.5),
    "preference.rule_longer_answer": Measure(label="The longer answer", unit=SHARE),
    "displacement.winner_change": Measure(label="Preferred answers, change in nats", better="higher", baseline=0.0),
    "displacement.loser_change": Measure(label="Rejected answers, change in nats", baseline=0.0),
    "drift.kl": Measure(label="KL from the base", baseline=0.0),
    "drift.words": Measure(label="Words per answer"),
    "drift.distinct_2": Measure(label="Distinct word pairs", unit=SHARE, better="higher"),
    "drift.on_topic": Measure(label="On topic", unit=SHARE, better="higher"),
    "perplexity.preferred": Measure(label="Perplexity of preferred answers", better="lower"),
}
WORDS = {
    "win_rate": EvalWords(title="Answers that are preferred", question="Does the judge prefer its answers?"),
    "preference": EvalWords(title="Held-out comparisons", base_is_zero=True),
    "displacement": EvalWords(title="Where probability went", base_is_zero=True),
    "drift": EvalWords(title="How it writes now"),
    "perplexity": EvalWords(title="Held-out responses"),
}
METRICS = {
    "win_rate.rate": (estimate(0.5, 0), estimate(0.705, 0.075, 100)),
    "win_rate.won": (None, estimate(0.57, 0.1, 100)),
    "win_rate.ties": (None, estimate(0.27, 0.09, 100)),
    "win_rate.lost": (None, estimate(0.16, 0.07, 100)),
    "win_rate.judge_score": (estimate(4.81, 0.21), estimate(6.02, 0.19)),
    "preference.pair_accuracy": (estimate(0.5, 0, 812), estimate(0.713, 0.031, 812)),
    "preference.rule_longer_answer": (None, estimate(0.581, 0.02, 812)),
    "displacement.winner_change": (estimate(0, 0, 812), estimate(-4.2, 0.8, 812)),
    "displacement.loser_change": (estimate(0, 0, 812), estimate(-12.9, 1.0, 812)),
    "drift.kl": (estimate(0, 0), estimate(11.4, 1.2)),
    "drift.words": (estimate(52.1, 2.0), estimate(61.3, 2.2)),
    "drift.distinct_2": (estimate(0.742, 0.008), estimate(0.701, 0.009)),
    "drift.on_topic": (estimate(0.885, 0.031), estimate(0.902, 0.029)),
    "drift.refusal_rate": (None, estimate(0.031, 0.012)),
    "perplexity.preferred": (estimate(14.2, 0.5, 1624), estimate(16.9, 0.6, 1624)),
}
"""`eval.metric` to the base's estimate and the model's."""


def evaluation(
    metrics: dict[str, tuple[Estimate | None, Estimate]] = METRICS, *, model: str = "a", hostile: bool = False
) -> SuiteRun:
    """The evaluation that a run ends with, of some metrics."""
    by_eval: dict[str, dict[str, tuple[Estimate | None, Estimate]]] = {}
    for key, values in metrics.items():
        by_eval.setdefault(key.partition(".")[0], {})[key.partition(".")[2]] = values
    dice = random.Random(3)
    series = {"preference": {"margin": [dice.gauss(8, 12) for _ in range(812)]}}
    results = [
        EvalResult(
            eval=name, model=who, series=series.get(name, {}) if place else {},
            metrics={metric: pair[place] for metric, pair in own.items() if pair[place]},
        )
        for name, own in by_eval.items()
        for place, who in enumerate((BASE, model))
    ]  # fmt: skip
    return SuiteRun(
        title="", command="tropism train", suite="training", settings={"prompts": 100, "judge": "rules.py:helpful"},
        environment={}, base=BASE, seconds=9.0, results=results, evals=WORDS, measures=MEASURES,
        models=[SuiteModel(name=name, path=f"models/{name}", fingerprint=name * 9) for name in (BASE, model)],
        comparisons=[compared(key, *values, model=model) for key, values in metrics.items() if values[0]],
        samples=samples(hostile=hostile, model=model), accounts={model: account(groups=True)},
    )  # fmt: skip


def compared(key: str, before: Estimate, after: Estimate, *, model: str) -> Comparison:
    """A metric of a model compared with the base, as if measured on different items."""
    eval_name, _, metric = key.partition(".")
    half = math.hypot(after.value - after.low, before.value - before.low)
    difference = estimate(after.value - before.value, half, after.n)
    better = MEASURES[key].better if key in MEASURES else "neither"
    return Comparison(
        eval=eval_name, metric=metric, model=model, before=before, after=after, difference=difference, better=better,
        p_adjusted=0.00001 if difference.low > 0 or difference.high < 0 else 0.4,
    )  # fmt: skip


PROMPTS = (
    "My sourdough starter smells like nail polish remover. Is it ruined?",
    "Why does bread go stale faster in the fridge?",
    "Can I use olive oil instead of butter in brownies?",
    "How do I keep rice from sticking to the pot?",
)
BEFORE = "It is fine. You can feed it and it will be ok. Starter is a living thing and it smells."
AFTER = (
    "No, it is hungry. That sharp smell is acetone, which the yeast makes when it runs out of food.\n\n"
    "Feed it twice a day for three days:\n  1. keep 20 g of starter,\n  2. add 40 g of flour and 40 g of water.\n\n"
    "If pink or orange streaks show, throw it away."
)


def samples(*, hostile: bool, model: str) -> list[SuiteSample]:
    """Samples to look at, or texts that attack the page."""
    if hostile:
        return [SuiteSample(prompt=text, answers={BASE: text, model: text}) for text in HOSTILE]
    scores = ((4.5, 7.0), (5.0, 5.0), (6.5, 4.0), (3.0, 8.25))
    return [
        SuiteSample(prompt=prompt, answers={BASE: BEFORE, model: AFTER}, scores={BASE: a, model: b})
        for prompt, (a, b) in zip(PROMPTS * 2, scores * 2, strict=True)
    ]


def account(*, groups: bool = False) -> Account:
    """An account that adds up, of rows or of groups."""
    if groups:
        return Account(
            rows_read=3218, rows_used=3190, dropped={"prompt longer than 1,024 tokens": 28}, groups=3190,
            responses=9120, edges=7204, labels=0, notes={"answers cut to 1,024 tokens": 12},
            examples={"prompt longer than 1,024 tokens": ["q-1182", "q-2001"]},
        )  # fmt: skip
    return Account(
        rows_read=20000, rows_used=17120, groups=3218, responses=9402, edges=7311, labels=0, ties=214,
        dropped={"deleted comment": 2110, "score hidden": 604, "empty text": 166},
        notes={"keys split because they hold several prompts": 31},
        examples={"deleted comment": ["row 14", "row 92", "row 101"], "empty text": ["<b>row 7</b>"]},
    )  # fmt: skip


def stage(name: str, *, steps: int, loss: dict[str, dict[str, object]]) -> Stage:
    """One stage."""
    return Stage(
        name=name, loss=loss, reference="cached", start_model="models/pocket", model=f"runs/a/{name}",
        log=f"{name}/log.jsonl", groups=3190, steps=steps, first_loss=0.6931, last_loss=0.4127, seconds=184.2,
        tokens_computed=2_114_802, tokens_distinct=2_070_113, reference_tokens_scored=812_330,
        account=account(groups=True),
    )  # fmt: skip


def sft_log(steps: int) -> list[StepLog]:
    """A log of a stage without pairs."""
    dice = random.Random(1)
    return [
        StepLog(
            step=i,
            values={
                "loss": 2.1 + 1.6 * math.exp(-i / 30) + dice.gauss(0, 0.08),
                "logp_per_token": -2.1 - 1.6 * math.exp(-i / 30) + dice.gauss(0, 0.08),
                "grad_norm": 1 + math.exp(-i / 20) + abs(dice.gauss(0, 0.2)),
                "learning_rate": 2e-5 * (1 - i / (steps + 1)),
            },
        )
        for i in range(1, steps + 1)
    ]


def dpo_log(steps: int) -> list[StepLog]:
    """A log of a stage with pairs, in which winners fall too."""
    dice = random.Random(2)
    log = []
    for i in range(1, steps + 1):
        far = 1 - math.exp(-3 * i / steps)
        winners, losers = -4.5 * far + dice.gauss(0, 0.6), -13 * far + dice.gauss(0, 0.9)
        values = {
            "loss": 0.693 - 0.28 * far + dice.gauss(0, 0.04),
            "pair_accuracy": min(1.0, max(0.0, 0.5 + 0.24 * far + dice.gauss(0, 0.07))),
            "margin": winners - losers,
            "winners_logp_change": winners,
            "losers_logp_change": losers,
            "winners_logp": -112 + winners + dice.gauss(0, 3),
            "losers_logp": -108 + losers + dice.gauss(0, 3),
            "reference_gap": -0.11 * far + dice.gauss(0, 0.006),
            "winner_length": 61 + dice.gauss(0, 3),
            "loser_length": 55 + dice.gauss(0, 3),
            "logp_per_token": -2.2,
            "grad_norm": 2 + abs(dice.gauss(0, 0.5)),
            "learning_rate": 5e-7 * min(1, i / (0.1 * steps)) * (1 - i / (steps + 1)),
        }
        log.append(StepLog(step=i, values=values))
    return log


def full_run(*, hostile: bool = True) -> Run:
    """A run with everything in it."""
    extra = HOSTILE[0] if hostile else ""
    return Run(
        title=f"Cooking answers, round 2 {extra}".strip(),
        command=f"tropism train recipe.yaml loss.dpo.beta=0.05 {extra}".strip(),
        recipe={
            "model": "models/pocket", "data": {"train": "groups.parquet", "holdout": 0.1, "max_tokens": 1024},
            "loss": {"dpo": {"beta": 0.05}}, "reference": "cached", "layout": "forest", "lora": None,
            "train": {"learning_rate": 5e-7, "num_train_epochs": 1}, "output": f"runs/a{extra}",
        },
        chosen={"model": "models/pocket", "data": {"train": "groups.parquet"}, "loss": {"dpo": {"beta": 0.05}},
                "output": f"runs/a{extra}"},
        environment={"tropism": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "device": "cpu, 2 cores",
                     "machine": extra or "Linux x86_64"},
        cards=[
            DataCard(
                source=f"votes.csv{extra}", rule="shp", account=account(),
                confounds={"chosen_longer": estimate(0.581, 0.014, 7311), "chosen_earlier": estimate(0.49, 0.02, 7311),
                           "author_karma_gap": estimate(1.24, 0.31, 7311)},
                pairs_per_thread={"mean": 2.27, "median": 2.0, "most": 41.0, "share of the top 1 %": 0.094},
            )
        ],
        stages=[stage("sft", steps=160, loss={"nll": {}}), stage("dpo", steps=600, loss={"dpo": {"beta": 0.05}})],
        evaluation=evaluation(hostile=hostile),
        seconds=431.8,
        peak_memory_mb=3312.5,
    )  # fmt: skip


def full_logs() -> dict[str, list[StepLog]]:
    """The logs of `full_run`."""
    return {"sft": sft_log(160), "dpo": dpo_log(600)}


def page_records(run: Run | None = None, logs: dict[str, list[StepLog]] | None = None) -> PageRecords:
    """What the page of a single run shows; by default everything."""
    run = run or full_run()
    logs = full_logs() if logs is None else logs
    suites = (run.evaluation,) if run.evaluation else ()
    return PageRecords(run.title, suites, (TrainedRun("a", Path("runs/a"), run, logs),), commands=(run.command,))
