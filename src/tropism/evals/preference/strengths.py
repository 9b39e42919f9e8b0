"""Several models in one order: Bradley-Terry strengths from the pairs of answers of the eval `win_rate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from tropism.errors import DataError
from tropism.evals.core.items import Item
from tropism.judges.judge import by_scores
from tropism.metrics.bootstrap import numbered
from tropism.records import Estimate, Matrix
from tropism.signals.statistics.bradley_terry import FALLBACK_PRIOR, Games, Strengths, bootstrap_bradley_terry, to_elo

COLUMNS = ("log-strength", "Elo points")


def strengths_table(by_model: Mapping[str, Sequence[Item]], base: str) -> list[Matrix]:
    """Strengths of all models with 95 % intervals over prompts.

    If the judge gives scores, every model meets every other one on every answer that both have; otherwise each meets
    the base, as it was judged. A preference above one half is a win; an empty or repeated answer never wins. If
    only wins or only losses are known of a model, a weak prior keeps its strength finite.

    Args:
        by_model: the items of the eval, the base's among them.
        base: the model that the others were compared with.

    Returns:
        One matrix of a row for each model, or nothing for fewer than three models. Log-strengths have mean 0, Elo
        points mean 1000; `n` counts a model's answer_pairs.
    """
    names = list(by_model)
    answer_pairs = [
        (first, second, won, cluster)
        for first, second in combinations(names, 2)
        for won, cluster in _outcomes(by_model[first], by_model[second], is_base=(first == base, second == base))
    ]
    if len(names) < 3 or not answer_pairs:
        return []
    place = {name: index for index, name in enumerate(names)}
    games = Games(
        winner=[place[first if won >= 0.5 else second] for first, second, won, _ in answer_pairs],
        loser=[place[second if won >= 0.5 else first] for first, second, won, _ in answer_pairs],
        tie=[won == 0.5 for *_, won, _ in answer_pairs],
        cluster=numbered([cluster for *_, cluster in answer_pairs]).tolist(),
    )
    fit = fitted(games, names)
    rows: list[list[Estimate | None]] = []
    for index in range(len(names)):
        bounds = [float(part[index]) for part in (fit.log_strengths, fit.low, fit.high)]
        rows.append([estimate(bounds, fit, index), estimate([float(to_elo(one)) for one in bounds], fit, index)])
    return [Matrix(name="strengths", row_title="model", column_title="scale", rows=names, columns=list(COLUMNS),
                   cells=rows)]  # fmt: skip


def _outcomes(
    first: Sequence[Item], second: Sequence[Item], *, is_base: tuple[bool, bool]
) -> Iterator[tuple[float, str]]:
    """The first model's preference over the second on every item that both have, and the item's cluster."""
    others = {item.id: item for item in second}
    for item in first:
        other = others.get(item.id)
        if other is None:
            continue
        sound = [one.values["degenerate"] == 0.0 for one in (item, other)]
        scores = [one.values.get("judge_score") for one in (item, other)]
        verdict = by_scores(scores[0], scores[1])
        if is_base[1]:
            yield item.values["rate"], item.cluster
        elif is_base[0]:
            yield 1 - other.values["rate"], item.cluster
        elif sound[0] != sound[1]:
            yield float(sound[0]), item.cluster
        elif not sound[0]:
            yield 0.5, item.cluster
        elif verdict is not None:
            yield verdict.first, item.cluster


def fitted(games: Games, names: Sequence[str]) -> Strengths:
    """The fit without a prior, or with a weak one if that has no finite maximum."""
    try:
        return bootstrap_bradley_terry(games, names=names)
    except DataError:
        return bootstrap_bradley_terry(games, names=names, prior=FALLBACK_PRIOR)


def estimate(bounds: Sequence[float], fit: Strengths, index: int) -> Estimate:
    """A value with its bounds."""
    value, low, high = bounds
    return Estimate(value=value, low=low, high=high, n=int(fit.games[index]))
