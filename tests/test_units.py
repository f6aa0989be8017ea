# SPDX-License-Identifier: Apache-2.0
"""Units against values that anybody can look up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.errors import UnknownName
from serai.units import UNITS, from_si, to_si, unit_of


@pytest.mark.parametrize(
    ("value", "unit", "si"),
    [
        (1.0, "bara", 1e5),
        (0.0, "barg", 101_325.0),
        (20.0, "degc", 293.15),
        (420.0, "mm", 0.42),
        (180.0, "deg", 3.141592653589793),
        (3.6, "mj_per_kwh", 1.0),
        (36.0, "t_per_h", 10.0),
        (12.0, "percent", 0.12),
        (3.7, "us_per_km", 3.7e-9),
    ],
)
def test_known_conversions(value, unit, si):
    assert to_si(value, unit) == pytest.approx(si, rel=1e-15)


def test_standard_volumes_need_their_density():
    assert to_si(1.0, "million_m3_per_day", 0.7094) == pytest.approx(1e6 * 0.7094 / 86400)
    assert to_si(33.0, "bcm_per_year", 0.7094) == pytest.approx(33e9 * 0.7094 / (365 * 86400))
    assert to_si(1.0, "million_m3_per_day") != to_si(1.0, "million_m3_per_day")  # nan without it


@given(st.sampled_from(sorted(UNITS)), st.floats(-1e9, 1e9))
def test_back_and_forth(unit, value):
    assert from_si(to_si(value, unit, 0.7), unit, 0.7) == pytest.approx(value, rel=1e-12, abs=1e-5)


def test_an_unknown_unit_lists_the_known_ones():
    with pytest.raises(UnknownName, match=r"'furlong'.*bara"):
        unit_of("furlong")
