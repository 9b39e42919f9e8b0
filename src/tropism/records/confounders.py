"""Possible confounders of a data card in words: label, unit, meaning and baseline of each."""

from __future__ import annotations

from tropism.records.suites import Measure

CONFOUNDERS: dict[str, Measure] = {
    "chosen_longer": Measure(label="The winner is longer", unit="share", baseline=0.5),
    "length_only_accuracy": Measure(label="Winners predicted by length alone", unit="share", baseline=0.5),
    "chosen_earlier": Measure(label="The winner was written first", unit="share", baseline=0.5),
    "author_only_accuracy": Measure(label="Winners predicted by the author alone", unit="share", baseline=0.5),
    "chosen_first": Measure(label="The winner was shown first", unit="share", baseline=0.5),
    "bag_of_words_accuracy": Measure(
        label="Winners predicted by word counts",
        unit="share",
        meaning="In threads that the model was not fitted on.",
        baseline=0.5,
    ),
    "topic_leak": Measure(
        label="Prompts with a near-duplicate in training",
        unit="share",
        meaning="Of a tenth that is held out at random.",
    ),
    "near_duplicate_responses": Measure(label="Responses with a near-duplicate elsewhere", unit="share"),
    "near_duplicate_edges": Measure(label="Comparisons of near-duplicates", unit="share"),
    "annotator_agreement": Measure(
        label="Two annotators agree", unit="share", meaning="On comparisons that several people made."
    ),
    "krippendorff_alpha": Measure(
        label="Krippendorff\u2019s alpha", meaning="Agreement beyond chance: 1 is perfect, 0 is chance."
    ),
}
"""Confounder to its description. One that is missing here is shown as a number under its own name."""
