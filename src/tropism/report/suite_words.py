"""What the evals of a suite ask and what their measures mean, in words for people."""

from __future__ import annotations

from typing import NamedTuple

from tropism.records import Comparison
from tropism.report.metrics import Metric, humanise
from tropism.report.numbers import Unit


class EvalWords(NamedTuple):
    """An eval in words.

    Args:
        title: what it is about.
        question: what it asks.
        base_is_zero: the base is measured against itself there, so that its tables say nothing.
    """

    title: str
    question: str
    base_is_zero: bool = False


class MeasureWords(NamedTuple):
    """A measure in words: its name, a share or a number, one plain sentence, and what means "no difference"."""

    label: str
    unit: Unit = "number"
    meaning: str = ""
    baseline: float | None = None


EVALS: dict[str, EvalWords] = {
    "win_rate": EvalWords("Answers that are preferred", "Does the judge prefer its answers to the base\u2019s?"),
    "preference": EvalWords(
        "Held-out comparisons", "Does it side with people on pairs of answers that it never trained on?", True
    ),
    "displacement": EvalWords(
        "Where probability went", "Did preferred answers become likelier, or only less unlikely than others?", True
    ),
    "drift": EvalWords("How it writes now", "How long, how varied and how far from the base are its own answers?"),
    "forgetting": EvalWords("What it forgot", "How well does it still read plain text?"),
    "refusal": EvalWords("Refusals", "Does it refuse what it should answer, or answer what it should refuse?"),
    "injection": EvalWords("Prompt injection", "Does it obey orders that somebody hid in the data it reads?"),
    "hierarchy": EvalWords("Whom it obeys", "Where two levels of authority disagree, does the higher one win?"),
    "style": EvalWords("Style", "Does the form of an answer sway it more than what the answer says?"),
    "capability": EvalWords("Capability", "What can it still do, by tasks that others wrote?"),
}

MEASURES: dict[str, MeasureWords] = {
    "win_rate.rate": MeasureWords(
        "Win rate", "share", "The judge prefers its answer to the base\u2019s; a tie counts one half.", 0.5
    ),
    "win_rate.length_controlled": MeasureWords(
        "Win rate at equal length", "share", "The same, had both answers been equally long.", 0.5
    ),
    "win_rate.judge_score": MeasureWords("Judge\u2019s score", "number", "On the judge\u2019s own scale."),
    "win_rate.ties": MeasureWords("Ties", "share"),
    "win_rate.characters": MeasureWords("Characters per answer"),
    "win_rate.degenerate": MeasureWords("Empty or looping answers", "share"),
    "win_rate.flips": MeasureWords("Verdicts that change with the order", "share"),
    "win_rate.first_place": MeasureWords("Verdicts for the answer shown first", "share", "50 % is fair.", 0.5),
    "preference.pair_accuracy": MeasureWords(
        "Pair accuracy", "share", "Training moved the preferred answer ahead; the base has 50 % by definition.", 0.5
    ),
    "preference.ranking_accuracy": MeasureWords(
        "Ranking accuracy", "share", "The preferred answer is the likelier one, per token.", 0.5
    ),
    "preference.margin": MeasureWords("Margin", "number", "Nats by which the preferred answer moved ahead.", 0.0),
    "preference.log_loss": MeasureWords("Log loss", "number", "Lower is surer and right; 0.693 is a coin toss."),
    "preference.calibration_error": MeasureWords(
        "Calibration error", "share", "How far its sureness is from how often it is right."
    ),
    "displacement.winner_change": MeasureWords(
        "Preferred answers, nats", "number", "Change of their log-probability, per answer.", 0.0
    ),
    "displacement.loser_change": MeasureWords(
        "Rejected answers, nats", "number", "Change of their log-probability, per answer.", 0.0
    ),
    "displacement.winner_change_per_token": MeasureWords(
        "Preferred answers, nats per token", "number", "The same by length.", 0.0
    ),
    "displacement.loser_change_per_token": MeasureWords(
        "Rejected answers, nats per token", "number", "The same by length.", 0.0
    ),
    "displacement.winners_lost": MeasureWords("Preferred answers that became less likely", "share"),
    "displacement.mass_to_loser": MeasureWords("Preferred fell, rejected rose", "share"),
    "displacement.both_fell": MeasureWords(
        "Both fell", "share", "The probability went to answers that nobody compared."
    ),
    "displacement.pair_mass_change": MeasureWords(
        "Probability of either answer", "number", "Change of its logarithm, nats.", 0.0
    ),
    "displacement.pair_mass_change_per_token": MeasureWords(
        "Probability of either answer, per token", "number", "Change of its logarithm, nats.", 0.0
    ),
    "drift.words": MeasureWords("Words per answer"),
    "drift.longest_repeat": MeasureWords(
        "Longest repeat", "number", "Words in the longest run that comes twice in an answer."
    ),
    "drift.repetition": MeasureWords("Repetition", "share", "Runs of words that an answer has said before."),
    "drift.ended": MeasureWords("Answers that end", "share", "The others were cut off."),
    "drift.kl": MeasureWords("KL from the base", "number", "Nats per answer, on its own answers."),
    "drift.kl_per_token": MeasureWords("KL from the base, per token", "number", "Nats per token."),
    "drift.distinct_1": MeasureWords("Distinct words", "share", "Of the words in all answers, different ones."),
    "drift.distinct_2": MeasureWords("Distinct pairs of words", "share", "The same of pairs of neighbouring words."),
    "drift.self_similarity": MeasureWords(
        "Likeness between answers", "share", "How alike answers to different prompts are."
    ),
    "forgetting.perplexity": MeasureWords("Perplexity", "number", "How much plain text surprises it; 1 is not at all."),
    "forgetting.bits_per_byte": MeasureWords("Bits per byte", "number", "The same, whatever the tokenizer."),
    "forgetting.top_1_agreement": MeasureWords("Agreement on the next token", "share", "With the base."),
    "refusal.answered": MeasureWords("Answers that are not empty", "share"),
    "refusal.over_refusal": MeasureWords("Over-refusal", "share", "Refused though only the words look dangerous."),
    "refusal.refused_dangerous": MeasureWords("Dangerous requests refused", "share"),
    "refusal.compliance": MeasureWords("Dangerous requests answered", "share"),
    "refusal.detector_sensitivity": MeasureWords("Detector: refusals found", "share"),
    "refusal.detector_specificity": MeasureWords("Detector: answers let pass", "share"),
    "refusal.over_refusal_corrected": MeasureWords(
        "Over-refusal, corrected", "share", "Allowing for the detector\u2019s own errors."
    ),
    "refusal.refused_dangerous_corrected": MeasureWords(
        "Dangerous requests refused, corrected", "share", "Allowing for the detector\u2019s own errors."
    ),
    "injection.asr": MeasureWords("Attacks that succeed", "share", "The answer begins with the attacker\u2019s word."),
    "injection.asr_in_response": MeasureWords("Attacker\u2019s word anywhere", "share", "Quotations count too."),
    "injection.any_attack": MeasureWords("Tasks that some attack breaks", "share"),
    "injection.worst_attack": MeasureWords("The worst attack succeeds", "share"),
    "injection.gcg_success": MeasureWords("The gradient attack succeeds", "share"),
    "injection.target_lift": MeasureWords(
        "Pull of the attack", "number", "Nats by which it makes the attacker\u2019s word likelier.", 0.0
    ),
    "injection.utility": MeasureWords("Task done under attack", "share"),
    "injection.utility_clean": MeasureWords("Task done without attack", "share"),
    "injection.fidelity": MeasureWords("Task done on data that look like orders", "share"),
    "injection.false_success": MeasureWords("Attacker\u2019s word without attack", "share"),
    "hierarchy.adherence": MeasureWords("Adherence", "share", "The higher level\u2019s demand is met, not the other."),
    "hierarchy.macro_ppa": MeasureWords("Adherence, mean of the ten pairs", "share"),
    "hierarchy.whs": MeasureWords("Adherence, wide gaps count more", "share"),
    **{
        f"hierarchy.gap_{gap}": MeasureWords(f"Adherence, {gap} level{'s' if gap > 1 else ''} apart", "share")
        for gap in range(1, 5)
    },
    "hierarchy.macro_ppa_answered": MeasureWords("Adherence where it answers", "share"),
    "hierarchy.asr": MeasureWords("Demands that fail", "share", "One less adherence: refusals count too."),
    "hierarchy.attacker_followed": MeasureWords("Lower level followed", "share"),
    "hierarchy.over_refusal": MeasureWords("Refusals where nobody disagrees", "share"),
    "hierarchy.aligned_met": MeasureWords("Demands met where nobody disagrees", "share"),
    "hierarchy.completion": MeasureWords("Answers that are not empty", "share"),
    "hierarchy.prefers_higher": MeasureWords("Finds the right answer likelier", "share", "", 0.5),
    "hierarchy.adherence_flat": MeasureWords("Adherence without levels", "share", "The same demands as plain text."),
    "hierarchy.utility_delta": MeasureWords("What telling levels adds", "number", "To adherence.", 0.0),
    "hierarchy.utility_delta_abs": MeasureWords("What telling levels changes", "number", "To adherence, either way."),
    "style.tdi": MeasureWords(
        "Style TDI", "number", "How far style moves the model\u2019s states, beside how far content does."
    ),
    "style.tdi_vs_base": MeasureWords("Style TDI over the base\u2019s", "number", "1 is no difference.", 1.0),
    "style.tdi_within": MeasureWords("Spread between styles", "number", "Of one content: Style TDI\u2019s numerator."),
    "style.tdi_between": MeasureWords("Spread between contents", "number", "Style TDI\u2019s denominator."),
    "style.drift": MeasureWords("Style drift", "number", "The same in squares, from the plain style."),
    "style.blind_spot": MeasureWords("Blind-spot ratio", "number", "The same in cosines."),
    "style.conflict": MeasureWords(
        "Right fact in the wrong style", "share", "How often it beats a wrong fact in the favoured style.", 0.5
    ),
    "style.aligned": MeasureWords("Right fact in the right style", "share", "It should win.", 0.5),
    "style.same": MeasureWords("Right fact in the same style", "share", "Where style says nothing.", 0.5),
}
"""Measures of the suite by `eval.metric`. An unknown one is shown under its own name, as a number."""


def eval_words(name: str) -> EvalWords:
    """An eval in words; a user's own has its name alone."""
    return EVALS.get(name) or EvalWords(humanise(name), "")


def measure_of(comparison: Comparison) -> Metric:
    """The metric that a comparison is about, with the direction that the comparison says."""
    return metric_named(comparison.eval, comparison.metric).with_direction(comparison.better)


def metric_named(eval_name: str, name: str) -> Metric:
    """A suite's measure as a metric without a direction."""
    words = MEASURES.get(f"{eval_name}.{name}") or MeasureWords(humanise(name))
    return Metric(words.label, words.unit, "neither", words.meaning, words.baseline)
