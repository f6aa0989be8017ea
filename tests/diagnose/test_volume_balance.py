# SPDX-License-Identifier: Apache-2.0
"""The volume balance: exact readings balance, a leak is what is missing, biases go with the mean of the day."""

import numpy as np
import pytest

from estimate.moving_line import SCAN, STEP, moving, truth
from serai.diagnose.volume_balance import BLOCK, VolumeBalance


@pytest.fixture(scope="module")
def balance():
    return VolumeBalance(moving())


def test_zones_end_at_the_station(balance):
    assert balance.count == 2
    assert sorted(balance.through.round().tolist()) == [200.0, 200.0]


def test_what_leaks_is_what_is_missing(balance):
    """Exact readings of a same-model truth: a steady leak of 5 kg/s is lost in its zone, 0 in the other."""
    exact = truth(10.0, 3, leak=("CD [10/20]", 5.0, 2.0), same=True)[:: round(SCAN / STEP)]
    lost = balance.imbalance(exact)
    late = lost[round(6 * 3600 / SCAN / BLOCK) :].mean(0)
    zone = balance.zones[2]  # of node C
    assert late[zone] == pytest.approx(5.0, abs=0.4)
    assert late[1 - zone] == pytest.approx(0.0, abs=0.3)


def test_a_constant_loss_is_a_bias(balance):
    lost = np.ones((600, 2)) * 3.0
    assert np.abs(balance.steadied(lost)[2:]).max() < 1e-9


def test_evidence_grows_with_a_loss_and_stays_low_without(balance):
    r = np.random.default_rng(1)
    lost = r.standard_normal((400, 2))
    lost[300:, 0] += 3.0
    e = balance.evidence(lost, np.ones(2))
    assert e[299].max() < 12.0
    assert e[340, 0] > 20.0


def test_a_silent_meter_keeps_its_last_value(balance):
    z = np.tile(np.array([200.0, 30.0, 170.0, 200.0, 65e5, 58e5, 67e5, 59e5, 53e5]), (31, 1))
    z[5:, 1] = np.nan
    assert np.isfinite(balance.imbalance(z)).all()
