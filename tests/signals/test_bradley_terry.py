"""Bradley-Terry: closed forms, choix, ties, players that nothing compares, and how often intervals hold the truth."""

import json
import math
from pathlib import Path

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tropism.errors import ConfigError, DataError
from tropism.signals.statistics.bradley_terry import (
    FALLBACK_PRIOR,
    Games,
    bootstrap_bradley_terry,
    fit_bradley_terry,
    to_elo,
    win_probability,
)

NAMES = list("abcdefg")


def season(seed: int, *, num_players: int = 7, num_games: int = 300) -> list[tuple[int, int]]:
    """Games as (winner, loser) of players with random strengths."""
    rng = np.random.default_rng(seed)
    strengths = rng.normal(size=num_players)
    games = []
    for _ in range(num_games):
        one, other = (int(place) for place in rng.choice(num_players, 2, replace=False))
        first_wins = rng.random() < 1 / (1 + math.exp(strengths[other] - strengths[one]))
        games.append((one, other) if first_wins else (other, one))
    return games


def table(games: list[tuple[int, int]], *, num_players: int = 7) -> np.ndarray:
    wins = np.zeros((num_players, num_players))
    for winner, loser in games:
        wins[winner, loser] += 1
    return wins


def test_two_players_have_the_closed_form() -> None:
    fit = fit_bradley_terry([[0, 9], [3, 0]], names=["a", "b"])
    assert fit.log_strengths == pytest.approx([math.log(3) / 2, -math.log(3) / 2], abs=1e-12)
    # the variance of the difference is 1 / (n p (1 - p)) = 1 / (12 * 3/16); each side moves by half of it
    reach = 1.959963984540054 * math.sqrt(16 / 36) / 2
    assert fit.high - fit.log_strengths == pytest.approx([reach, reach], abs=1e-12)
    assert (fit.wins.tolist(), fit.games.tolist(), fit.tie) == ([9, 3], [12, 12], None)
    assert win_probability(fit) == pytest.approx(np.array([[0.5, 0.75], [0.25, 0.5]]))


def test_ties_as_half_wins_by_hand() -> None:
    fit = fit_bradley_terry([[0, 5], [1, 0]], [[0, 2], [2, 0]], names=["a", "b"])
    assert fit.log_strengths == pytest.approx([math.log(3) / 2, -math.log(3) / 2], abs=1e-12)
    assert fit.wins.tolist() == [6, 2]


def test_davidson_of_two_players_has_the_closed_form() -> None:
    # eq. 2.4: win : tie : loss = r : nu sqrt(r) : 1 with r the ratio of strengths; here 8 : 4 : 2
    fit = fit_bradley_terry([[0, 8], [2, 0]], [[0, 4], [4, 0]], names=["a", "b"], tie_rule="davidson")
    assert fit.log_strengths == pytest.approx([math.log(4) / 2, -math.log(4) / 2], abs=1e-9)
    assert fit.tie == pytest.approx(1.0, abs=1e-9)
    assert win_probability(fit)[0, 1] == pytest.approx((8 + 4 / 2) / 14)


@pytest.mark.parametrize("seed", range(5))
def test_strengths_equal_choix(seed: int) -> None:
    games = season(seed)
    fit = fit_bradley_terry(table(games), names=NAMES)
    theirs = choix.ilsr_pairwise(7, games, max_iter=10_000, tol=1e-12)
    assert fit.log_strengths == pytest.approx(theirs - theirs.mean(), abs=1e-6)
    assert fit.log_strengths == pytest.approx(choix.opt_pairwise(7, games, alpha=0.0, tol=1e-12), abs=1e-6)
    assert fit.log_strengths.mean() == pytest.approx(0, abs=1e-12)


def test_a_prior_equals_choix_with_half_its_alpha() -> None:
    games = season(0, num_games=12)  # too few to connect all
    fit = fit_bradley_terry(table(games), names=NAMES, prior=0.2)
    assert fit.log_strengths == pytest.approx(choix.opt_pairwise(7, games, alpha=0.1, tol=1e-12), abs=1e-6)


def test_davidson_is_where_the_likelihood_written_out_is_highest() -> None:
    rng = np.random.default_rng(3)
    wins, ties = rng.integers(1, 20, (4, 4)) * (1 - np.eye(4)), rng.integers(1, 9, (4, 4))
    ties = np.triu(ties, 1) + np.triu(ties, 1).T
    fit = fit_bradley_terry(wins, ties, names=list("abcd"), tie_rule="davidson")
    assert fit.tie is not None

    def likelihood(point: np.ndarray) -> float:
        """Eq. 2.5, game by game; the last entry is the logarithm of nu."""
        strength, nu, total = np.exp(point[:-1]), math.exp(point[-1]), 0.0
        for i in range(4):
            for j in range(4):
                draw = nu * math.sqrt(strength[i] * strength[j])
                whole = strength[i] + strength[j] + draw
                total += wins[i, j] * math.log(strength[i] / whole) + ties[i, j] / 2 * math.log(draw / whole)
        return total

    best = np.append(fit.log_strengths, math.log(fit.tie))
    step = 1e-4
    moved = np.eye(5) * step
    for one in moved:
        assert (likelihood(best + one) - likelihood(best - one)) / (2 * step) == pytest.approx(0, abs=1e-5)
    curvature = np.array(
        [
            [
                (
                    likelihood(best + a + b)
                    - likelihood(best + a - b)
                    - likelihood(best - a + b)
                    + likelihood(best - a - b)
                )
                / (4 * step**2)
                for a in moved
            ]
            for b in moved
        ]
    )
    spread = np.sqrt(np.diagonal(np.linalg.pinv(-curvature, rcond=1e-6))[:-1])
    assert (fit.high - fit.log_strengths) / 1.959963984540054 == pytest.approx(spread, rel=1e-3)


def test_davidson_without_ties_is_plain() -> None:
    wins = table(season(1))
    fit = fit_bradley_terry(wins, names=NAMES, tie_rule="davidson")
    assert fit.log_strengths == pytest.approx(fit_bradley_terry(wins, names=NAMES).log_strengths)
    assert fit.tie is None


def test_players_that_nothing_compares_are_named() -> None:
    wins = [[0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 3], [0, 0, 1, 0]]
    with pytest.raises(DataError, match=r"a, b never met c, d, so nothing compares them\..*prior=0\.1"):
        fit_bradley_terry(wins, names=list("abcd"))


def test_a_player_who_never_lost_is_named() -> None:
    wins = [[0, 2, 1], [1, 0, 2], [0, 0, 0]]
    with pytest.raises(DataError, match="a, b never lost to c, so their distance is not finite"):
        fit_bradley_terry(wins, names=list("abc"))
    fit = fit_bradley_terry(wins, names=list("abc"), prior=0.1)
    assert np.isfinite([fit.log_strengths, fit.low, fit.high]).all()
    assert fit.log_strengths[2] < fit.log_strengths[:2].min()


def test_ties_that_no_cycle_of_wins_holds_back_are_refused() -> None:
    ties = [[0, 3], [3, 0]]
    with pytest.raises(DataError, match=r"fit the probability of a tie.*tie_rule='half'"):
        fit_bradley_terry([[0, 2], [0, 0]], ties, names=["a", "b"], tie_rule="davidson")
    assert fit_bradley_terry([[0, 2], [0, 0]], ties, names=["a", "b"]).log_strengths[0] == pytest.approx(
        math.log(3.5 / 1.5) / 2
    )
    # a beats b, b beats c, a and c tie: no cycle of wins, yet the tie of a and c bounds the rest
    chain = fit_bradley_terry(
        [[0, 2, 0], [0, 0, 2], [0, 0, 0]],
        [[0, 0, 2], [0, 0, 0], [2, 0, 0]],
        names=list("abc"),
        tie_rule="davidson",
    )
    assert np.isfinite(chain.log_strengths).all()
    assert chain.tie is not None
    assert chain.tie < 1e3


def test_impossible_counts_are_refused() -> None:
    for wins, ties, message in (
        ([[0, 1]], None, "must be 2 x 2"),
        ([[0, -1], [1, 0]], None, "`wins` must be finite, >= 0"),
        ([[1, 1], [1, 0]], None, "0 on the diagonal"),
        ([[0, math.nan], [1, 0]], None, "`wins` must be finite"),
        ([[0, 1], [1, 0]], [[0, 1], [2, 0]], "`ties` must be symmetric"),
    ):
        with pytest.raises(DataError, match=message):
            fit_bradley_terry(wins, ties, names=["a", "b"])
    with pytest.raises(DataError, match="at least two different names"):
        fit_bradley_terry([[0, 1], [1, 0]], names=["a", "a"])
    with pytest.raises(ConfigError, match="`prior` must be finite"):
        fit_bradley_terry([[0, 1], [1, 0]], names=["a", "b"], prior=-1)
    with pytest.raises(DataError, match="players must be indices from 0 to 1"):
        bootstrap_bradley_terry(Games([0], [2], [False], [0]), names=["a", "b"])
    with pytest.raises(DataError, match="must have equal lengths"):
        bootstrap_bradley_terry(Games([0, 1], [1], [False], [0]), names=["a", "b"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=6, max_size=6), st.permutations(range(3)))
def test_order_of_players_and_huge_counts_do_not_matter(counts: list[int], order: list[int]) -> None:
    wins = np.zeros((3, 3))
    wins[~np.eye(3, dtype=bool)] = counts
    fit = fit_bradley_terry(wins, names=list("abc"))
    turned = fit_bradley_terry(wins[np.ix_(order, order)], names=[list("abc")[place] for place in order])
    assert turned.log_strengths == pytest.approx(fit.log_strengths[order], abs=1e-7)
    # the likelihood equations: everybody won as often as the fit expects
    expected = ((wins + wins.T) * win_probability(fit)).sum(axis=1)
    assert expected == pytest.approx(wins.sum(axis=1), rel=1e-6)


def test_bootstrap_has_the_same_strengths_and_repeats_by_seed() -> None:
    games = np.array(season(2))
    given_games = Games(games[:, 0], games[:, 1], np.zeros(300, dtype=bool), np.arange(300) // 3)
    drawn = bootstrap_bradley_terry(given_games, names=NAMES, num_resamples=200, seed=5)
    fit = fit_bradley_terry(table(season(2)), names=NAMES)
    assert drawn.log_strengths == pytest.approx(fit.log_strengths, abs=1e-9)
    assert ((drawn.low < fit.log_strengths) & (fit.log_strengths < drawn.high)).all()
    again = bootstrap_bradley_terry(given_games, names=NAMES, num_resamples=200, seed=5)
    assert np.array_equal(again.low, drawn.low)
    assert not np.array_equal(
        bootstrap_bradley_terry(given_games, names=NAMES, num_resamples=200, seed=6).low, drawn.low
    )


def test_copied_games_narrow_no_interval_when_their_cluster_is_drawn() -> None:
    once = np.array(season(0))
    often = np.repeat(once, 5, axis=0)
    cluster = np.arange(300)
    plain = bootstrap_bradley_terry(Games(once[:, 0], once[:, 1], np.zeros(300), cluster), names=NAMES)
    copied = Games(often[:, 0], often[:, 1], np.zeros(1500), np.repeat(cluster, 5))
    by_cluster = bootstrap_bradley_terry(copied, names=NAMES)
    by_game = bootstrap_bradley_terry(copied._replace(cluster=np.arange(1500)), names=NAMES)
    assert plain.disconnected == 0
    assert by_cluster.low == pytest.approx(plain.low, abs=1e-9)
    assert (by_game.high - by_game.low).mean() < 0.6 * (plain.high - plain.low).mean()


def test_resamples_that_fall_apart_are_counted() -> None:
    winner, loser = [0] * 9 + [1], [1] * 9 + [0]
    drawn = bootstrap_bradley_terry(Games(winner, loser, [False] * 10, list(range(10))), names=["a", "b"])
    assert drawn.disconnected == pytest.approx(1000 * 0.9**10, abs=60)  # the one game that b won is not drawn
    assert drawn.high[0] == pytest.approx(
        fit_bradley_terry([[0, 10], [0, 0]], names=["a", "b"], prior=FALLBACK_PRIOR).log_strengths[0], abs=1e-6
    )


def test_one_cluster_claims_no_certainty() -> None:
    drawn = bootstrap_bradley_terry(Games([0, 0, 1], [1, 1, 0], [False] * 3, ["x"] * 3), names=["a", "b"])
    fit = fit_bradley_terry([[0, 2], [1, 0]], names=["a", "b"])
    assert (drawn.low.tolist(), drawn.high.tolist()) == (fit.low.tolist(), fit.high.tolist())
    assert fit.low[0] < 0 < fit.high[0]


def test_eight_wins_of_eight_are_no_certainty() -> None:
    drawn = bootstrap_bradley_terry(
        Games([0] * 8, [1] * 8, [False] * 8, list(range(8))), names=["a", "b"], prior=1e-3, num_resamples=50
    )
    # Agresti and Coull: with 1.92 wins each way 9.92 of 11.84, log-odds 1.64, with a standard error of the log-odds of
    # sqrt(11.84 / (9.92 * 1.92)) = 0.79; a strength is half of it
    added = 1.959963984540054**2 / 2
    centre = math.log((8 + added) / added)
    reach = 1.959963984540054 * math.sqrt((8 + 2 * added) / ((8 + added) * added))
    assert drawn.low[0] == pytest.approx((centre - reach) / 2, abs=0.01)  # the prior is a whiff
    assert drawn.low[0] < 0.1
    assert drawn.high[0] == pytest.approx(drawn.log_strengths[0], abs=1e-6)
    assert drawn.log_strengths[0] > 3
    assert (drawn.low[1], drawn.high[1]) == pytest.approx((-drawn.high[0], -drawn.low[0]), abs=1e-6)


def test_games_of_one_pairing_in_one_cluster_are_one_witness_where_nobody_lost() -> None:
    once = Games([0] * 4, [1] * 4, [False] * 4, list(range(4)))
    often = Games([0] * 40, [1] * 40, [False] * 40, [place // 10 for place in range(40)])
    few, many = (bootstrap_bradley_terry(one, names=["a", "b"], prior=1e-3, num_resamples=50) for one in (once, often))
    assert many.low[0] == pytest.approx(few.low[0], abs=1e-9)


def test_clusters_that_all_say_the_same_have_an_interval() -> None:
    ties = Games([0] * 8, [1] * 8, [True] * 8, list(range(8)))
    drawn = bootstrap_bradley_terry(ties, names=["a", "b"], num_resamples=50)
    # 4 + 1.92 wins each way: log-odds 0 with a standard error of sqrt(4 / 11.84)
    reach = 1.959963984540054 * math.sqrt(4 / (8 + 1.959963984540054**2)) / 2
    assert [*drawn.low, *drawn.high] == pytest.approx([-reach, -reach, reach, reach])


def test_a_winner_of_all_is_told_apart_with_a_wide_interval_however_often_resamples_differ() -> None:
    winner, loser = [0] * 8 + [2] * 5, [1] * 13  # a and c beat b: how often, resamples differ in
    drawn = bootstrap_bradley_terry(
        Games(winner, loser, [False] * 13, list(range(13))), names=list("abc"), prior=1e-3, num_resamples=100
    )
    assert (drawn.high - drawn.low > 1).all()
    assert ((drawn.low <= drawn.log_strengths) & (drawn.log_strengths <= drawn.high)).all()


def test_elo_points() -> None:
    assert to_elo([0.0, math.log(10), -math.log(10)]) == pytest.approx([1000, 1400, 600])


def test_intervals_of_independent_games_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.8, 0.2, -0.3, -0.7])
    chance = 1 / (1 + np.exp(truth - truth[:, None]))
    held = []
    for _ in range(1000):
        wins = np.triu(rng.binomial(40, chance), 1)
        wins = wins + np.triu(40 - wins, 1).T
        fit = fit_bradley_terry(wins, names=list("abcd"))
        held.append((fit.low <= truth) & (truth <= fit.high))
    assert 0.93 <= np.mean(held) <= 0.97


def test_committed_coverage_of_cluster_intervals_is_what_it_should_be() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "bt_coverage.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["simulations"] >= 1000
    assert 0.93 <= result["by_cluster"]["value"] <= 0.97
    assert result["by_game"]["value"] < 0.93  # what drawing single games would claim of games that are not independent
