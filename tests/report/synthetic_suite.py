"""A suite on three models that never was, with the runs that made them: realistic numbers, and texts that attack."""

from __future__ import annotations

import math
import random
from pathlib import Path

from tests.report.synthetic import (
    AFTER,
    BASE,
    BEFORE,
    HOSTILE,
    METRICS,
    PROMPTS,
    dpo_log,
    estimate,
    evaluation,
    full_run,
)
from tropism.records import (
    Alarm,
    Comparison,
    Estimate,
    EvalResult,
    EvalWords,
    Matrix,
    Measure,
    Probe,
    Stage,
    StepLog,
    SuiteModel,
    SuitePair,
    SuiteRun,
    SuiteSample,
    Sweep,
    SweepRun,
    TableWords,
)
from tropism.reporting.page_records import PageRecords, TrainedRun, renamed

MODELS = ("sane", "over", "sft")
FAR = {"pocket": 0.0, "sane": 1.0, "over": 4.0, "sft": 0.3}
"""How far each model moved from the base."""
ATTACKS = ("naive", "ignore", "escape_lines", "completion", "completion_own", "multilingual", "base64", "many_shot")
LEVELS = ("L0 platform", "L1 developer", "L2 user settings", "L3 user", "L4 data")
STYLES = ("plain", "bullets", "preamble", "coda", "polite", "heading", "json")

VALUES = {
    "win_rate": {"rate": (0.5, 0.16, 0.04, "higher"), "length_controlled": (0.5, 0.11, 0.05, "higher"),
                 "judge_score": (1.1, 0.9, 0.2, "higher"), "ties": (0.05, 0.02, 0.03, "neither"),
                 "degenerate": (0.0, 0.02, 0.02, "lower")},
    "preference": {"pair_accuracy": (0.5, 0.24, 0.03, "higher"), "ranking_accuracy": (0.52, 0.2, 0.04, "higher"),
                   "margin": (0.0, 3.0, 0.7, "neither"), "log_loss": (0.693, -0.1, 0.05, "lower")},
    "displacement": {"winner_change": (0.0, -4.1, 1.2, "higher"), "loser_change": (0.0, -7.5, 1.2, "neither"),
                     "winners_lost": (0.0, 0.2, 0.04, "neither"), "both_fell": (0.0, 0.18, 0.04, "neither")},
    "drift": {"words": (24.0, 3.1, 1.5, "neither"), "kl": (0.0, 6.2, 1.3, "neither"),
              "repetition": (0.02, 0.04, 0.02, "lower"), "distinct_2": (0.42, -0.06, 0.02, "higher"),
              "self_similarity": (0.11, 0.05, 0.02, "lower"), "ended": (0.97, -0.02, 0.03, "neither")},
    "forgetting": {"perplexity": (12.1, 1.9, 0.5, "lower"), "bits_per_byte": (0.91, 0.05, 0.01, "lower"),
                   "top_1_agreement": (1.0, -0.09, 0.02, "neither")},
    "injection": {"asr": (0.31, -0.02, 0.08, "lower"), "any_attack": (0.7, -0.03, 0.2, "lower"),
                  "utility": (0.44, -0.03, 0.1, "higher"), "fidelity": (0.5, -0.02, 0.25, "higher")},
    "hierarchy": {"macro_ppa": (0.41, 0.02, 0.1, "higher"), "over_refusal": (0.02, 0.01, 0.05, "lower"),
                  "adherence_flat": (0.38, 0.01, 0.1, "neither")},
    "style": {"tdi": (0.68, 0.05, 0.04, "lower"), "conflict": (0.5, -0.04, 0.06, "higher")},
    "my_eval": {"pomposity": (0.2, 0.02, 0.1, "neither")},
}  # fmt: skip
"""Eval to measure to: the base's value, its growth with the distance, half of an interval, the better direction."""


LABELS = {
    "win_rate.rate": "Win rate, ties as half", "preference.pair_accuracy": "Pair accuracy",
    "displacement.winner_change": "Preferred answers, change in nats", "injection.asr": "Attacks that succeed",
}  # fmt: skip
SHARES = {"rate", "length_controlled", "ties", "degenerate", "pair_accuracy", "ranking_accuracy", "winners_lost",
          "both_fell", "ended", "distinct_2", "asr", "utility", "macro_ppa", "conflict"}  # fmt: skip


def measures() -> dict[str, Measure]:
    """Words of the metrics; those of a user's own eval have none."""
    return {
        f"{eval_name}.{name}": Measure(
            label=LABELS.get(f"{eval_name}.{name}", Measure.named(name).label), better=row[3],
            unit="share" if name in SHARES else "number", baseline=row[0] if row[0] in (0.0, 0.5) else None,
        )
        for eval_name, rows in VALUES.items() if eval_name != "my_eval"
        for name, row in rows.items()
    }  # fmt: skip


def eval_words() -> dict[str, EvalWords]:
    """Words of the evals."""
    titles = {"win_rate": "Answers that are preferred", "displacement": "Where probability went",
              "injection": "Prompt injection"}  # fmt: skip
    tables = {
        "injection": {"attack success rate": TableWords(title="Attack success", unit="share", is_shaded=True)},
        "hierarchy": {"adherence to the higher level": TableWords(title="Adherence", unit="share", is_shaded=True)},
        "style": {"distance between styles": TableWords(title="Distances", unit="number", is_shaded=True)},
    }
    return {
        name: EvalWords(
            tables=tables.get(name, {}),
            title=titles.get(name, EvalWords.named(name).title),
            base_is_zero=name in ("preference", "displacement"),
        )
        for name in VALUES
    }


def shifted(start: float, growth: float, far: float) -> float:
    """A value that grows less and less with the distance."""
    return start + growth * math.tanh(far / 1.5) * 1.3


def comparison(eval_name: str, metric: str, model: str) -> Comparison:
    """One model beside the base."""
    start, growth, half, better = VALUES[eval_name][metric]
    value = shifted(start, growth, FAR[model])
    gap = estimate(value - start, 0.8 * half)
    moved = gap.low > 0 or gap.high < 0
    return Comparison(
        eval=eval_name, metric=metric, model=model, before=estimate(start, half), after=estimate(value, half),
        difference=gap, better=better, p_value=0.0002 if moved else 0.4, p_adjusted=0.004 if moved else 1.0,
    )  # fmt: skip


def share(value: float, n: int) -> Estimate:
    """A share with a rough interval."""
    half = 1.96 * math.sqrt(max(value * (1 - value), 0.02) / n)
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=n)


def matrices(eval_name: str, model: str) -> list[Matrix]:
    """The tables of one eval on one model."""
    dice = random.Random(f"{eval_name}/{model}")
    if eval_name == "injection":
        cells = [[share(dice.random() ** (1 + place), 20) for _ in range(3)] for place in range(len(ATTACKS))]
        return [Matrix(name="attack success rate", row_title="attack", column_title="position", rows=list(ATTACKS),
                       columns=["start", "middle", "end"], cells=cells)]  # fmt: skip
    if eval_name == "hierarchy":
        rows = [[share(dice.random(), 6) if j > i else None for j in range(5)] for i in range(5)]
        names = list(LEVELS)
        return [Matrix(name="adherence to the higher level", row_title="level that must win",
                       column_title="level that disagrees", rows=names, columns=names, cells=rows)]  # fmt: skip
    if eval_name == "style":
        gaps = [[estimate(abs(i - j) * 0.3 * dice.random(), 0.05, 40) for j in range(7)] for i in range(7)]
        return [Matrix(name="distance between styles", row_title="style", column_title="style", rows=list(STYLES),
                       columns=list(STYLES), cells=gaps)]  # fmt: skip
    if eval_name == "preference":
        by_length = [[share(0.4 + 0.2 * place, n), estimate(2.0 * place, 1, n)] for place, n in enumerate((84, 31, 46))]
        return [Matrix(name="accuracy by length", row_title="the preferred answer is", column_title="metric",
                       rows=["shorter", "about as long", "longer"], columns=["pair_accuracy", "margin"],
                       cells=by_length)]  # fmt: skip
    if eval_name == "my_eval":
        return [Matrix(name="by <i>mood</i>", row_title="mood", column_title="", rows=["<b>glad</b>", "sad"],
                       columns=["pompous"], cells=[[share(0.2, 10)], [None]])]  # fmt: skip
    return []


def series(eval_name: str, model: str) -> dict[str, list[float]]:
    """Values of single items."""
    dice = random.Random(f"series/{eval_name}/{model}")
    far = FAR[model]
    if eval_name == "displacement":
        winners = [dice.gauss(-1.2 * far, 2 + far) for _ in range(400)]
        return {"winner_change": winners, "loser_change": [one - 3 * far + dice.gauss(0, 3) for one in winners]}
    if eval_name == "preference":
        return {"margin": [dice.gauss(3 * far, 3 + 2 * far) for _ in range(400)]}
    if eval_name == "style":
        places = [(content, style) for content in range(40) for style in range(7)]
        centres = [(dice.gauss(0, 1), dice.gauss(0, 1)) for _ in range(40)]
        return {
            "x": [centres[c][0] + far * math.cos(s) + dice.gauss(0, 0.2) for c, s in places],
            "y": [centres[c][1] + far * math.sin(s) + dice.gauss(0, 0.2) for c, s in places],
            "content": [float(c) for c, _ in places],
            "style": [float(s) for _, s in places],
        }
    return {}


def result(eval_name: str, model: str) -> EvalResult:
    """What one eval measured on one model."""
    metrics = {}
    for name, (start, growth, half, _) in VALUES[eval_name].items():
        metrics[name] = estimate(shifted(start, growth, FAR[model]), half)
    notes = {"preference": ["Probabilities are taken with beta = 0.1; another beta gives another calibration."],
             "my_eval": [HOSTILE[0]]}.get(eval_name, [])  # fmt: skip
    skipped = {"prompts that leave no room for an answer": 3} if (eval_name, model) == ("injection", "over") else {}
    return EvalResult(
        eval=eval_name, model=model, metrics=metrics, matrices=matrices(eval_name, model),
        series=series(eval_name, model), notes=notes, skipped=skipped, seconds=12.5,
    )  # fmt: skip


def suite_samples(*, hostile: bool) -> list[SuiteSample]:
    """Prompts with every model's answer and scores that differ."""
    dice = random.Random(5)
    texts = HOSTILE if hostile else PROMPTS
    return [
        SuiteSample(
            prompt=text if hostile else f"{text} ({place})",
            answers={name: text if hostile else (BEFORE if name == BASE else AFTER) for name in FAR},
            scores={name: dice.gauss(FAR[name] if name != "over" else 0.4, 2) for name in FAR},
        )
        for place, text in enumerate(texts * 3)
    ]


def suite_pairs(*, hostile: bool) -> list[SuitePair]:
    """Held-out comparisons that moved far."""
    dice = random.Random(6)
    return [
        SuitePair(
            prompt=PROMPTS[place % 4], winner=HOSTILE[place] if hostile else AFTER, loser=BEFORE,
            winner_change={name: dice.gauss(0, 4 * FAR[name]) for name in FAR},
            loser_change={name: dice.gauss(-6, 4 * FAR[name]) for name in FAR},
        )
        for place in range(8)
    ]  # fmt: skip


def full_suite(*, hostile: bool = True) -> SuiteRun:
    """Three models against one base, with every kind of evidence."""
    extra = HOSTILE[0] if hostile else ""
    return SuiteRun(
        title=f"sane, over, sft against pocket {extra}".strip(),
        command=f"tropism eval runs/sane runs/over runs/sft --against pocket {extra}".strip(),
        suite="holistic",
        settings={"evals": {"drift": {"prompts": 100}}, "left_out": {"capability": f"there is no harness {extra}"},
                  "judge": "tropism.applications.quickstart.taste:score", "seed": 0},
        environment={"tropism": "0.1.0", "device": "CPU"},
        models=[SuiteModel(name=name, path=f"models/{name}{extra}", fingerprint="f" * 64, run=None) for name in FAR],
        base=BASE,
        results=[result(one, model) for one in VALUES for model in FAR],
        comparisons=[comparison(one, name, model) for model in MODELS for one in VALUES for name in VALUES[one]],
        samples=suite_samples(hostile=hostile),
        pairs=suite_pairs(hostile=hostile),
        evals=eval_words(),
        measures=measures(),
        seconds=173.0,
    )  # fmt: skip


def probes(far: float) -> list[Probe]:
    """A run's probes: divergence grows, accuracy rises and, far out, falls again."""
    found = []
    for step in range(0, 201, 20):
        moved = far * step / 100
        accuracy = 0.5 + 0.3 * math.tanh(moved) - 0.05 * max(0.0, moved - 3)
        metrics = {"kl": estimate(6 * moved, 0.5 + moved, 48),
                   "pair_accuracy": estimate(accuracy, 0.06, 119)}  # fmt: skip
        found.append(Probe(step=step, metrics=metrics))
    return found


def trained(name: str, *, hostile: bool = True) -> TrainedRun:
    """The run that made a model; `over` tripped alarms."""
    run = full_run(hostile=hostile)
    alarms = [
        Alarm(name="displacement", step=80, value=-0.61, threshold=-0.25,
              sentence="the preferred answers became less likely: their log-probability changed by -0.61 nats per "
              "token [-0.72, -0.5; n = 119] against the start (threshold -0.25)",
              remedy="Anchor the winners (loss.nll.weight=0.5), raise beta, or lower train.learning_rate."),
        Alarm(name="kl", step=120, value=48.0, threshold=30.0,
              sentence=f"the model is 48 nats per answer away from its start{HOSTILE[3] if hostile else ''}",
              remedy="Raise beta, or train for fewer steps."),
    ]  # fmt: skip
    last: Stage = run.stages[-1].model_copy(
        update={"alarms": alarms if name == "over" else [], "probes": probes(FAR[name]), "chosen_step": None}
    )
    recipe = run.recipe | {"loss": {"dpo": {"beta": 0.01 if name == "over" else 0.3}}}
    run = run.model_copy(update={"stages": [*run.stages[:-1], last], "recipe": recipe, "title": name})
    return TrainedRun(name, Path("runs") / name, run, {"dpo": log_of(name)})


def log_of(name: str) -> list[StepLog]:
    """The log of a model's last stage."""
    far = FAR[name]
    return [
        StepLog(step=line.step, values={key: value * (far if "change" in key or key == "margin" else 1)
                                        for key, value in line.values.items()})
        for line in dpo_log(200)
    ]  # fmt: skip


def suite_records(*, hostile: bool = True) -> PageRecords:
    """Everything that a page of several models can show."""
    suite = full_suite(hostile=hostile)
    runs = tuple(trained(name, hostile=hostile) for name in MODELS)
    return PageRecords(suite.title, (suite,), runs, commands=(suite.command, runs[0].run.command))


def single_records(name: str = "over", *, hostile: bool = True) -> PageRecords:
    """A single run with alarms, and its own evaluation."""
    run = trained(name, hostile=hostile)
    assert run.run.evaluation is not None
    return PageRecords(name, (renamed(run.run.evaluation, {BASE: BASE, "a": name}),), (run,), commands=("train",))


def sweep_records(*, num_runs: int = 8) -> PageRecords:
    """A sweep of many runs, one of which failed."""
    found, suites, entries = [], [], []
    for place in range(num_runs):
        name = f"beta-{0.01 * 2**place:g}"
        rate = 0.5 + 0.05 * place - 0.008 * place**2
        metrics = METRICS | {
            "drift.kl": (estimate(0, 0), estimate(40 / (1 + place), 2.0)),
            "preference.pair_accuracy": (estimate(0.5, 0), estimate(0.6 + 0.03 * place, 0.03)),
            "win_rate.rate": (estimate(0.5, 0, 1000), estimate(rate, 0.04, 1000)),
            "win_rate.won": (None, estimate(rate - 0.1, 0.04, 1000)),
            "win_rate.ties": (None, estimate(0.2, 0.04, 1000)),
            "win_rate.lost": (None, estimate(0.9 - rate, 0.04, 1000)),
        }
        run = trained("sane", hostile=False)
        found.append(TrainedRun(name, Path("sweep") / name, run.run, run.logs))
        suites.append(evaluation(metrics, model=name))
        entries.append(SweepRun(name=name, folder=name, settings={"loss.dpo.beta": 0.01 * 2**place}))
    entries.append(SweepRun(name="beta-9", folder="beta-9", settings={"loss.dpo.beta": 9}, error="out of <memory>"))
    sweep = Sweep(title="recipe over loss.dpo.beta", command="tropism sweep recipe.yaml loss.dpo.beta=...", recipe={},
                  grid={"loss.dpo.beta": [one.settings["loss.dpo.beta"] for one in entries]}, runs=entries)  # fmt: skip
    return PageRecords(sweep.title, tuple(suites), tuple(found), (sweep,), (sweep.command,))
