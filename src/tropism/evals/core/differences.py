"""Models compared with the base: differences of every metric on the same items, with interval, test and correction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tropism.evals.core.eval_folder import Kept
from tropism.evals.core.items import Eval, Item, Statistic
from tropism.metrics.bootstrap import bounded, mean_by_cluster
from tropism.metrics.paired_tests import (
    Difference,
    equivalence,
    holm,
    jackknife_difference,
    jackknife_estimate,
    p_in_words,
    paired_difference,
    unpaired_difference,
    widened,
)
from tropism.records import Comparison, Estimate, Measure


def estimates(
    items: Sequence[Item], statistics: Mapping[str, Statistic], measures: Mapping[str, Measure] | None = None
) -> dict[str, Estimate]:
    """Every metric that the items of an eval give.

    Args:
        items: of one model.
        statistics: of the eval's row; all other metrics are means of the items' values by cluster.
        measures: of the eval's row; the interval of a share stays between 0 and 1.
    """
    names = dict.fromkeys(name for item in items for name in item.values)
    found = {name: mean_by_cluster(*_values_of(items, name)) for name in names}
    for name, statistic in statistics.items():
        found[name] = jackknife_estimate(items, statistic=statistic, cluster=_cluster_of)
    return {name: within_unit(one, name, measures or {}) for name, one in found.items() if one is not None}


def within_unit(estimate: Estimate, metric: str, measures: Mapping[str, Measure], *, least: float = 0.0) -> Estimate:
    """An estimate whose interval stays between `least` and 1 if the measure is a share.

    Args:
        estimate: with an interval that may be symmetric, such as Student's.
        metric: its name.
        measures: of the eval's row.
        least: 0 for a value, -1 for a difference of two values.
    """
    is_share = metric in measures and measures[metric].unit == "share"
    return bounded(estimate, least, 1.0) if is_share else estimate


def compare_results(before: Kept, after: Kept, row: Eval) -> list[Comparison]:
    """Comparisons of a model with the base on every metric of one eval, before the correction for many tests."""
    shared = {item.id for item in before.items} & {item.id for item in after.items}
    first, second = ({item.id: item for item in kept.items if item.id in shared} for kept in (before, after))
    bases, values = (
        estimates([side[name] for name in sorted(shared)], row.statistics, row.measures) for side in (first, second)
    )
    made = values if len(shared) == len(after.items) else estimates(after.items, row.statistics, row.measures)
    found = []
    for metric, estimate in after.result.metrics.items():
        base = before.result.metrics.get(metric)
        if base is None:
            continue
        difference = None
        if metric in bases and metric in values and _is_close(made[metric], estimate):
            difference = _difference_of(metric, first, second, row.statistics)
            base, estimate = bases[metric], values[metric]
        found.append(_comparison(after, metric, base, estimate, difference or unpaired_difference(base, estimate), row))
    return found


def _is_close(made: Estimate, kept: Estimate) -> bool:
    """Whether a metric is computed from the items (in any order), and not a number of the eval's own."""
    return math.isclose(made.value, kept.value, rel_tol=1e-9, abs_tol=1e-12)


def _comparison(
    after: Kept, metric: str, before_estimate: Estimate, after_estimate: Estimate, difference: Difference, row: Eval
) -> Comparison:
    """One metric's record."""
    return Comparison(
        eval=after.result.eval,
        metric=metric,
        model=after.result.model,
        before=before_estimate,
        after=after_estimate,
        difference=within_unit(difference.estimate, metric, row.measures, least=-1.0),
        better=row.measures[metric].better if metric in row.measures else "neither",
        p_value=difference.p_value,
    )


def _difference_of(
    metric: str, first: Mapping[str, Item], second: Mapping[str, Item], statistics: Mapping[str, Statistic]
) -> Difference | None:
    """The paired difference of one metric between the items of two models that have the same ids."""
    ids = sorted(first)
    if metric in statistics:
        return jackknife_difference(
            [first[name] for name in ids],
            [second[name] for name in ids],
            statistic=statistics[metric],
            cluster=_cluster_of,
        )
    both = [name for name in ids if metric in first[name].values and metric in second[name].values]
    gaps, clusters = differences(both, metric, first, second)
    found = paired_difference(gaps, clusters)
    are_shares = all(first[name].values[metric] in (0.0, 0.5, 1.0) for name in both)
    return widened(found, len(set(clusters))) if found and are_shares and not any(gaps) else found


def differences(
    ids: Sequence[str], metric: str, first: Mapping[str, Item], second: Mapping[str, Item]
) -> tuple[list[float], list[str]]:
    """After less before of each item, and the items' clusters."""
    return (
        [second[name].values[metric] - first[name].values[metric] for name in ids],
        [second[name].cluster for name in ids],
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one model with p-values adjusted by Holm's method.

    Metrics with a wanted direction are one family of tests, all others a second one, which does not weaken the first.
    """
    adjusted: dict[int, float] = {}
    for family in (True, False):
        tested = {i: one.p_value for i, one in enumerate(comparisons)
                  if one.p_value is not None and (one.better == "neither") == family}  # fmt: skip
        adjusted |= zip(tested, holm(list(tested.values())), strict=True)
    return [one.model_copy(update={"p_adjusted": adjusted.get(i)}) for i, one in enumerate(comparisons)]


def same_notes(before: Kept, after: Kept, same_within: Mapping[str, float]) -> list[str]:
    """For each metric with a smallest relevant difference, whether the models are equivalent up to it."""
    first, second = ({item.id: item for item in kept.items} for kept in (before, after))
    notes = []
    for metric, margin in same_within.items():
        both = [
            name for name in second if name in first and metric in first[name].values and metric in second[name].values
        ]
        p_value = equivalence(*differences(both, metric, first, second), margin=margin)
        if p_value is not None:
            word = "differs by less than" if p_value <= 0.05 else "was not shown to differ by less than"
            notes.append(
                f"{metric} {word} {margin:g} from {before.result.model}'s (two one-sided tests, {p_in_words(p_value)})."
            )
    return notes


def _values_of(items: Sequence[Item], name: str) -> tuple[list[float], list[str]]:
    """One value of every item that has it, and the items' clusters."""
    having = [item for item in items if name in item.values]
    return [item.values[name] for item in having], [item.cluster for item in having]


def _cluster_of(item: Item) -> str:
    """The cluster of an item."""
    return item.cluster
