# SPDX-License-Identifier: Apache-2.0
"""Knowns: values that no law can use are refused."""

import pytest

from serai.errors import SeraiError
from serai.known import Known, Series, at


def test_exact_and_weighed():
    assert Known("pressure", "A", 1e5).exact
    assert not Known("pressure", "A", 1e5, sigma=1e3).exact


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_are_finite(value):
    with pytest.raises(SeraiError, match="pressure of A: the value must be a finite number"):
        Known("pressure", "A", value)


@pytest.mark.parametrize("sigma", [-1.0, float("nan")])
def test_sigma_is_zero_or_above(sigma):
    with pytest.raises(SeraiError, match="sigma must be 0"):
        Known("pressure", "A", 1e5, sigma=sigma)


def test_series_need_as_many_values_as_times():
    with pytest.raises(SeraiError, match="as many values as times"):
        Series("withdrawal", "A", (0.0, 1.0), (1.0,))


def test_an_event_has_a_time():
    event = at("06:00", Known("withdrawal", "A", 0.0))
    assert event.time == 21600.0
