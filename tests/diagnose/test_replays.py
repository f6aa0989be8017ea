# SPDX-License-Identifier: Apache-2.0
"""Sequences sent before: found within a few scans, and never in noise, however coarse."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serai.diagnose.course import packed, unpacked
from serai.diagnose.replays import FEWEST, Replays

CHANCE = 1e-9


def follow(z):
    watch = Replays(z.shape[1], CHANCE)
    return np.array([watch.scan(row) for row in z])


def noise(n, meters, seed=0):
    return np.random.default_rng(seed).standard_normal((n, meters)).astype(np.float32).astype(float)


def test_what_is_played_again_is_told_within_six_scans():
    z = noise(600, 5)
    z[500:, 2] = z[200:300, 2]
    told = follow(z)
    assert not told[:500].any()
    assert not told[:, [0, 1, 3, 4]].any()
    first = int(np.flatnonzero(told[:, 2])[0])
    assert 500 + FEWEST - 1 <= first <= 506
    assert told[first:, 2].all()


def test_a_station_that_is_played_again_is_told_by_its_second_scan_and_its_coarse_meter_by_its_third():
    z = noise(900, 40)
    z[:, 7] = np.round(z[:, 7])  # five values: it says nothing by itself
    z[600:, 2:9] = z[250:550, 2:9]
    told = follow(z)
    assert not told[:601].any()
    sharp = [2, 3, 4, 5, 6, 8]
    assert told[601:640, sharp].all()
    alone = follow(z[:, [7]])
    assert not alone.any()
    moved = z[600:640, 7] != z[599:639, 7]
    assert told[603:640, 7][moved[3:]].mean() > 0.3  # wherever it has moved for two scans
    assert not np.delete(told, range(2, 9), axis=1).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_hundreds_of_meters_some_of_them_coarse_are_never_told_together(seed):
    z = noise(400, 300, seed)
    z[:, ::3] = np.round(z[:, ::3] / 0.05) * 0.05
    assert not follow(z).any()


def test_a_reading_left_out_does_not_end_the_run():
    z = noise(600, 2)
    z[500:, 0] = z[200:300, 0]
    z[520, 0] = np.nan
    told = follow(z)
    assert told[519, 0]
    assert told[521, 0]
    assert not told[:, 1].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2.0, 0.5, 0.1]))
def test_a_coarse_meter_repeats_itself_and_is_not_told(seed, step):
    """Readings rounded to steps from a tenth to two standard deviations: equal values are common, runs are chance."""
    z = np.round(noise(500, 8, seed) / step) * step
    assert not follow(z).any()


def test_a_meter_that_stands_still_is_not_played_again():
    z = np.full((300, 1), 7.0)
    z[:100] += noise(100, 1)
    assert not follow(z).any()


def test_what_is_kept_is_taken_up_again():
    z = noise(400, 3)
    z[300:, 1] = z[100:200, 1]
    first = Replays(3, CHANCE)
    for row in z[:302]:
        first.scan(row)
    second = Replays(3, CHANCE)
    second.restore({k: unpacked(v) for k, v in json.loads(
        json.dumps({k: packed(v) for k, v in first.save().items()})).items()})  # fmt: skip
    for row in z[302:320]:
        assert np.array_equal(first.scan(row), second.scan(row))
    assert first.scan(z[320])[1]
