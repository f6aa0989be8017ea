# SPDX-License-Identifier: Apache-2.0
"""Resampling by its rules, against sums over single milliseconds and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from serai.errors import BadTimes, SeraiError
from serai.telemetry.historian.resample import BAD, KINDS, Rule, grid, resample
from serai.telemetry.readings import Quality, Readings, Register

SECOND = 1_000_000
NAN = float("nan")


def of_one_tag(rows):
    """Rows (seconds, value, quality) of the tag `a`."""
    t, v, q = zip(*rows, strict=True) if rows else ((), (), ())
    time = np.rint(np.array(t, np.float64) * SECOND).astype(np.int64)
    return Readings(Register(["a"]), np.zeros(len(t), np.int32), time, np.array(v, float), np.array(q, np.uint16), time)


def values(rows, rule, end=40, step=10.0):
    found = resample(of_one_tag(rows), ["a"], grid(0, end * SECOND, step), rule)
    return found.value[0].tolist(), found.share[0].tolist(), found.bad[0].tolist()


ROWS = [(-5, 1.0, 0), (2, 3.0, 0), (4, 99.0, Quality.INVALID), (8, 5.0, Quality.SUBSTITUTED), (20, 7.0, 0)]


def test_mean_is_weighted_with_time_and_knows_gaps():
    """Hold 10 s. From 0: 1 for 2 s, 3 for 2 s, not known for 4 s, 5 for 2 s; then 5 for 8 s, a gap of 2 s; then 7."""
    value, share, bad = values(ROWS, Rule("mean", 10))
    assert value[:3] == pytest.approx([(1 * 2 + 3 * 2 + 5 * 2) / 6, 5.0, 7.0], abs=1e-12)
    assert np.isnan(value[3])
    assert share == pytest.approx([0.6, 0.8, 1.0, 0.0])
    assert bad == [1, 0, 0, 0]


def test_a_bad_reading_ends_what_held_before_it():
    good = values([(0, 1.0, 0), (3, 9.0, 0)], Rule("mean", 60), 10)
    ended = values([(0, 1.0, 0), (3, 9.0, Quality.NOT_TOPICAL)], Rule("mean", 60), 10)
    nan = values([(0, 1.0, 0), (3, NAN, 0)], Rule("mean", 60), 10)
    assert good[0] == pytest.approx([(3 * 1.0 + 7 * 9.0) / 10])
    assert ended[:2] == nan[:2] == ([1.0], [pytest.approx(0.3)])
    kept = values([(0, 1.0, 0), (3, 9.0, Quality.NOT_TOPICAL)], Rule("mean", 60, bad=Quality.INVALID), 10)
    assert kept[0] == good[0]


def test_last_lowest_highest_and_count_are_of_good_readings_in_the_bucket():
    rows = [*ROWS[:4], (9, 4.0, 0), (20, 7.0, 0), (29.999, 6.0, 0), (30, 8.0, 0)]
    nan = pytest.approx([4.0, NAN, 6.0, 8.0], nan_ok=True)
    assert values(rows, Rule("last", 10))[0] == nan
    assert values(rows, Rule("min", 10))[0] == pytest.approx([3.0, NAN, 6.0, 8.0], nan_ok=True)
    assert values(rows, Rule("max", 10))[0] == pytest.approx([5.0, NAN, 7.0, 8.0], nan_ok=True)
    assert values(rows, Rule("count", 10))[0] == [3.0, 0.0, 2.0, 1.0]


def test_interpolation_joins_good_neighbours_within_the_hold_and_nothing_else():
    rows = [(-4, 2.0, 0), (6, 4.0, 0), (10, 1.0, 0), (20, 9.0, Quality.INVALID), (25, 5.0, 0), (40.1, 0.0, 0)]
    assert values(rows, Rule("interpolation", 15), 50)[0] == pytest.approx([2.8, 1.0, NAN, NAN, NAN], nan_ok=True)
    assert values(rows, Rule("interpolation", 16), 50)[0] == pytest.approx(
        [2.8, 1.0, NAN, 5.0 - 5.0 * 5 / 15.1, 5.0 - 5.0 * 15 / 15.1], nan_ok=True
    )


@pytest.mark.parametrize("seed", range(5))
def test_mean_equals_the_sum_over_single_milliseconds(seed):
    rng = np.random.default_rng(seed)
    at = np.sort(rng.choice(40_000, 30, replace=False))
    value = 1e6 + rng.standard_normal(30)
    quality = np.where(rng.random(30) < 0.2, int(Quality.INVALID), 0)
    rows = list(zip(at / 1000.0, value, quality, strict=True))
    hold = 1.5
    known = np.full(40_000, np.nan)
    for ms in range(40_000):
        k = int(np.searchsorted(at, ms, side="right")) - 1
        if k >= 0 and not quality[k] and ms - at[k] < hold * 1000:
            known[ms] = value[k]
    mean, share, _ = values(rows, Rule("mean", hold), 40, 7.0)
    for k in range(6):
        bucket = known[k * 7000 : min((k + 1) * 7000, 40_000)]
        expected = np.nan if np.isnan(bucket).all() else np.nanmean(bucket)
        if k < 5:  # the last bucket goes beyond the 40 s of the reference
            assert mean[k] == pytest.approx(expected, abs=1e-6, nan_ok=True)  # of 1e6: digits of float64
            assert share[k] == pytest.approx(np.mean(~np.isnan(bucket)), abs=1e-9)


def test_what_is_bad_is_said():
    assert not BAD & (Quality.SUBSTITUTED | Quality.DUPLICATED | Quality.OUT_OF_ORDER | Quality.CLOCK_SKEW)
    for bit in (Quality.INVALID, Quality.NOT_TOPICAL, Quality.OVERFLOW, Quality.STALE, Quality.SPIKE, Quality.FROZEN):
        assert values([(0, 1.0, bit)], Rule("count", 10), 10)[0] == [0.0]


def test_no_readings_are_gaps_and_bad_rules_are_refused():
    for kind in KINDS:
        value, share, bad = values([], Rule(kind, 10), 20)
        assert value == ([0.0, 0.0] if kind == "count" else pytest.approx([NAN, NAN], nan_ok=True))
        assert share == [0.0, 0.0] == bad
    with pytest.raises(SeraiError, match="one of mean, last"):
        Rule("median", 10)
    for hold in (0.0, -1.0, NAN, float("inf")):
        with pytest.raises(SeraiError, match="above 0"):
            Rule("mean", hold)
    for start, end, step in ((0, 0, 1.0), (0, 10, 0.0), (10, 0, 1.0), (0, 1 << 60, 1e-6)):
        with pytest.raises(BadTimes):
            grid(start, end, step)


def test_from_a_history_with_what_held_before_the_start(history):
    start = 1_795_348_800_000_000
    register = Register(["b", "a"])
    history.append("1", Readings(
        register, np.array([1, 0, 1], np.int32), np.array([start - 5 * SECOND, start, start + 12 * SECOND]),
        np.array([4.0, 1.0, 8.0]), np.zeros(3, np.uint16), np.full(3, start),
    ))  # fmt: skip
    found = history.resample(["a", "b"], start, start + 20 * SECOND, 10.0, Rule("mean", 60))
    assert found.value.tolist() == [pytest.approx([4.0, (2 * 4.0 + 8 * 8.0) / 10]), [1.0, 1.0]]
    line = history.resample(["a"], start, start + 20 * SECOND, 10.0, Rule("interpolation", 60))
    assert line.value[0].tolist() == pytest.approx([4.0 + 4.0 * 5 / 17, 4.0 + 4.0 * 15 / 17])
    dataset = found.to_xarray()
    assert dataset["value"].sel(tag="b").values.tolist() == [1.0, 1.0]
    assert dataset.attrs["rule"] == "mean"
