"""Shares of known collapses that a remedy prevents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from gan_jax.metrics.prevention import mean_share, remedy_scores, share_of


def row(remedy="r1", game="ring", outcome="healthy", cause=None, quality=0.9, modes=1.0, speed=100.0, device="cpu"):
    return {
        "remedy": remedy,
        "game": game,
        "outcome": outcome,
        "cause": cause,
        "quality": quality,
        "modes": modes,
        "steps_per_second": speed,
        "device": device,
    }


@pytest.mark.parametrize(("count", "num"), [(0, 5), (5, 5), (3, 8), (1, 1), (17, 40)])
def test_the_limits_are_those_of_an_independent_implementation(count, num):
    interval = binomtest(count, num).proportion_ci(method="exact")
    share = share_of(count, num)
    assert share.share == count / num
    np.testing.assert_allclose((share.lower, share.upper), (interval.low, interval.high), atol=1e-9)


@pytest.mark.parametrize(("count", "num"), [(0, 0), (-1, 4), (5, 4)])
def test_impossible_counts_are_refused(count, num):
    with pytest.raises(ValueError, match="is not a share"):
        share_of(count, num)


BENCH = (5, 5, 7, 6, 8, 7, 8, 7, 8)
"""Seeds that collapse in the games of CollapseBench."""


def limits_of(trials, nums):
    """The limits of many benches at once, from those of the games: counts [trials, games] -> two arrays [trials]."""
    tables = [np.array([share_of(count, num) for count in range(num + 1)]) for num in nums]
    games = [table[trials[:, game]] for game, table in enumerate(tables)]
    share, lower, upper = np.stack(games, axis=1).transpose(2, 0, 1)
    mean = share.mean(axis=1)
    below, above = (np.sqrt(np.sum(part**2, axis=1)) / len(nums) for part in (share - lower, upper - share))
    return np.maximum(mean - below, 0.0), np.minimum(mean + above, 1.0)


@pytest.mark.parametrize("nums", [(5, 5), BENCH[:7], BENCH, (5,) * 9])
@pytest.mark.parametrize("rate", [0.005, 0.01, 0.02, 0.045, 0.08, 0.2, 0.5, 0.93, 0.99, None])
def test_the_limits_of_the_mean_cover_it_as_often_as_documented(rate, nums):
    rng = np.random.default_rng(1)
    rates = rng.beta(0.3, 0.3, len(nums)) if rate is None else np.full(len(nums), rate)
    trials = rng.binomial(nums, rates, (20_000, len(nums)))
    lower, upper = limits_of(trials, nums)
    for index in range(3):
        made = mean_share([(int(count), num) for count, num in zip(trials[index], nums, strict=True)])
        np.testing.assert_allclose((made.lower, made.upper), (lower[index], upper[index]), atol=1e-12)
    covered = np.mean((lower <= rates.mean()) & (rates.mean() <= upper))
    assert covered >= 0.90 - 3 * np.sqrt(0.9 * 0.1 / len(trials))


def test_the_limits_of_one_game_are_those_of_its_share():
    np.testing.assert_allclose(mean_share([(2, 7)]), share_of(2, 7), atol=1e-12)


def test_no_limit_of_a_mean_of_games_without_exception_is_at_the_mean_itself():
    assert mean_share([(4, 4), (4, 4)]).lower < 1.0 == mean_share([(4, 4), (4, 4)]).upper
    assert mean_share([(0, 4), (0, 4)]).upper > 0.0 == mean_share([(0, 4), (0, 4)]).lower


def test_a_run_counts_by_its_verdict():
    rows = [
        row(outcome="healthy"),
        row(outcome="censored", quality=0.5),
        row(outcome="censored", quality=0.9, modes=0.5),
        row(outcome="never formed", quality=0.1, modes=0.6),
        row(outcome="never formed", quality=0.9, modes=0.5),  # few modes: that is no prevention
        row(outcome="never formed", modes=None),
        row(outcome="never formed", cause="junk"),
        row(outcome="collapsed", cause="total"),
        row(outcome="non-finite"),
    ]
    game = remedy_scores(rows)[0].games["ring"]
    assert (game.num, game.prevented, game.healthy) == (9, 3, 1)
    assert (game.quality, game.modes) == (0.5, 1.0)  # of the three that are prevented


def test_the_mean_over_games_weighs_them_equally_and_plain_stands_first():
    rows = [row(game="ring")] * 9 + [row(game="grid", outcome="collapsed", cause="total")]
    rows += [
        row(remedy="plain", game=game, outcome="collapsed", cause="total", speed=200.0) for game in ("ring", "grid")
    ]
    plain, r1 = remedy_scores(rows)
    assert (plain.remedy, plain.prevented.share, r1.prevented.share) == ("plain", 0.0, 0.5)
    assert r1.cost(plain) == 2.0
    assert plain.cost(None) is None
    for device in ("another", None):
        (elsewhere,) = remedy_scores([row(device=device)])
        (there,) = remedy_scores([row(remedy="plain", device="cpu" if device == "another" else device)])
        assert elsewhere.cost(there) is None
    assert r1.games["grid"].quality is None  # no prevented run there
