"""The table of evals: one row for each, with its settings, words, measures and needs."""

from __future__ import annotations

from tropism.evals.core.items import Eval
from tropism.evals.harness import capability
from tropism.evals.preference import (
    displacement,
    drift,
    forgetting,
    implicit_reward,
    perplexity,
    reward_accuracy,
    strengths,
    win_rate,
)
from tropism.evals.security import hierarchy, injection, refusal
from tropism.evals.style import style_preference
from tropism.records import EvalWords, TableWords

EVALS: dict[str, Eval] = {
    "preference": Eval(
        implicit_reward.preference,
        implicit_reward.PreferenceSettings,
        words=EvalWords(
            title="Held-out comparisons",
            question="Does the model prefer the answers that people preferred, on pairs that it was not trained on?",
            base_is_zero=True,
            tables={
                "accuracy by length": TableWords(
                    title="By length",
                    reading="If accuracy is high only for longer answers, the model learned length.",
                ),
                "reliability": TableWords(
                    title="Reliability",
                    reading="In a calibrated model both columns are equal.",
                    unit="share",
                ),
            },
        ),
        measures=implicit_reward.MEASURES,
        needs=frozenset({"groups", "logp"}),
        statistics=implicit_reward.STATISTICS,
    ),
    "displacement": Eval(
        displacement.displacement,
        displacement.DisplacementSettings,
        words=EvalWords(
            title="Where probability went",
            question="Did preferred answers become more likely, or only less unlikely than rejected ones?",
            base_is_zero=True,
            tables={
                "change by quantile": TableWords(
                    title="Change by quantile, nats",
                    reading="Half of the answers are between the 25 % and the 75 % column.",
                    unit="number",
                ),
            },
        ),
        measures=displacement.MEASURES,
        needs=frozenset({"groups", "logp"}),
    ),
    "perplexity": Eval(
        perplexity.perplexity,
        perplexity.PerplexitySettings,
        words=EvalWords(
            title="Held-out responses",
            question="How well does the model predict the responses that people wanted, and those that they did not?",
        ),
        measures=perplexity.MEASURES,
        needs=frozenset({"groups", "logp"}),
        statistics=perplexity.STATISTICS,
    ),
    "reward_accuracy": Eval(
        reward_accuracy.reward_accuracy,
        reward_accuracy.RewardAccuracySettings,
        words=EvalWords(
            title="Rewards on held-out comparisons",
            question="Does the reward model give the higher reward to the answer that people preferred?",
            base_is_zero=True,
        ),
        measures=reward_accuracy.MEASURES,
        needs=frozenset({"groups", "rewards"}),
    ),
    "drift": Eval(
        drift.drift,
        drift.DriftSettings,
        words=EvalWords(
            title="Generated text",
            question="How long, how varied and how far from the base are the model's own answers?",
        ),
        measures=drift.MEASURES,
        needs=frozenset({"groups", "generate"}),
        statistics=drift.STATISTICS,
    ),
    "forgetting": Eval(
        forgetting.forgetting,
        forgetting.ForgettingSettings,
        words=EvalWords(title="Forgetting", question="How well does the model still predict plain text?"),
        measures=forgetting.MEASURES,
        needs=frozenset({"texts", "logp"}),
        statistics=forgetting.STATISTICS,
    ),
    "win_rate": Eval(
        win_rate.win_rate,
        win_rate.WinRateSettings,
        words=EvalWords(
            title="Win rate",
            question="Does the judge prefer the model's answers to the base's for the same prompts?",
            tables={
                "strengths": TableWords(
                    title="Ranking of all models",
                    reading="Bradley-Terry strengths from all comparisons. On Elo's scale, 100 points are a win "
                    "rate of 64 %.",
                    unit="number",
                    is_across=True,
                ),
            },
        ),
        measures=win_rate.MEASURES,
        needs=frozenset({"groups", "judge", "generate"}),
        across=strengths.strengths_table,
    ),
    "capability": Eval(
        capability.capability,
        capability.CapabilitySettings,
        words=EvalWords(title="Capability", question="How does the model do on public benchmark tasks?"),
    ),
    "refusal": Eval(
        refusal.refusal,
        refusal.RefusalSettings,
        words=EvalWords(
            title="Refusals",
            question="Does the model refuse harmless requests, or answer dangerous ones?",
            tables={
                "refusals by category": TableWords(
                    title="Refusals by category",
                    reading="Benign requests should not be refused, dangerous ones should.",
                    unit="share",
                ),
            },
        ),
        measures=refusal.MEASURES,
        needs=frozenset({"generate"}),
    ),
    "injection": Eval(
        injection.injection,
        injection.InjectionSettings,
        words=EvalWords(
            title="Prompt injection",
            question="Does the model follow instructions hidden in the data that it reads?",
            tables={
                "attack success rate": TableWords(
                    title="Attack success by attack and position",
                    reading="One row is a way to hide an instruction in the data, one column the place where it "
                    "was hidden. Darker cells: the model obeyed it more often.",
                    unit="share",
                    is_shaded=True,
                ),
                "task done under attack": TableWords(
                    title="Task done under attack, by attack and position",
                    reading="Darker cells: the model more often still did what its user had asked.",
                    unit="share",
                    is_shaded=True,
                ),
            },
        ),
        measures=injection.MEASURES,
        needs=frozenset({"generate"}),
        statistics=injection.STATISTICS,
    ),
    "hierarchy": Eval(
        hierarchy.hierarchy,
        hierarchy.HierarchySettings,
        words=EvalWords(
            title="Instruction hierarchy",
            question="When two levels of authority disagree, does the model obey the higher one?",
            tables={
                "adherence to the higher level": TableWords(
                    title="Adherence on the ten pairs of levels",
                    reading="The row is the level that must win, the column the one that disagrees. Darker cells: "
                    "the higher level's demand was met, and the lower one's was not, more often.",
                    unit="share",
                    is_shaded=True,
                ),
                "lower level followed": TableWords(
                    title="Lower level followed, on the ten pairs of levels",
                    reading="Darker cells: the model more often did what the lower level asked.",
                    unit="share",
                    is_shaded=True,
                ),
            },
        ),
        measures=hierarchy.MEASURES,
        needs=frozenset({"generate"}),
        statistics=hierarchy.STATISTICS,
    ),
    "style": Eval(
        style_preference.style,
        style_preference.StyleSettings,
        words=EvalWords(
            title="Style",
            question="Does the form of an answer sway the model more than its content?",
            tables={
                "distance between styles": TableWords(
                    title="Distance between styles",
                    reading="Distance between the model's states for one content in two styles. Darker cells: "
                    "farther apart.Distance between the model's states for one content in two styles. "
                    "Darker cells: farther apart.",
                    unit="number",
                    is_shaded=True,
                ),
                "right fact preferred": TableWords(
                    title="Right fact in one style against a wrong fact in another",
                    reading="How often the right fact gets the higher reward. In a pale cell off the diagonal, "
                    "style outweighs truth.",
                    unit="share",
                    is_shaded=True,
                    with_base=False,
                ),
            },
        ),
        measures=style_preference.MEASURES,
        needs=frozenset({"logp", "states"}),
        statistics=style_preference.STATISTICS,
    ),
}
"""Name to eval. An eval is one file with a function `(Task) -> Measured`, and one row here."""
