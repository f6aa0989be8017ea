# SPDX-License-Identifier: Apache-2.0
"""Tap positions: no neighbour of the answer is better, by enumeration; the gain foretold against differences."""

from itertools import product

import numpy as np
import pytest

import serai as sr
from serai.dispatch import dispatch
from serai.dispatch.ask import Ask
from serai.dispatch.taps import Taps
from serai.errors import SeraiError
from serai.known import Known


def fed(step=0.04, span=2, position=0.0, cable=30e3):
    """A 110 kV ring feeds two towns at 35 kV, each over a transformer with a tap changer."""
    plate = {
        "rating": 40e6, "short_circuit_voltage": 0.105, "short_circuit_resistive": 0.004, "iron_loss": 30e3,
        "no_load_current": 0.003, "tap_min": -span, "tap_max": span, "tap_step": step, "tap_position": position,
    }  # fmt: skip
    line = {"resistance": 1.2e-4, "reactance": 4e-4, "susceptance": 2.8e-9}
    bus = {"magnitude_min": 0.95, "magnitude_max": 1.05}
    set_ = [("active_power", "Town A load", 30e6), ("active_power", "Town B load", 22e6), ("magnitude", "Unit", 1.04),
            ("angle", "Plant", 0.0)]  # fmt: skip
    return sr.Network(
        name="two towns",
        tables={
            "buses": sr.table("buses", [
                {"name": n, "voltage": v, **bus}
                for n, v in (("Plant", 110e3), ("A", 110e3), ("B", 110e3), ("Town A", 35e3), ("Town B", 35e3))
            ]),
            "lines": sr.table("lines", [
                {"name": f"{a}-{b}", "from_bus": a, "to_bus": b, "length": length, **line}
                for a, b, length in (("Plant", "A", 60e3), ("Plant", "B", 80e3), ("A", "B", 50e3))
            ] + [{"name": "Cable", "from_bus": "Town A", "to_bus": "Town B", "length": cable, **line}]),
            "transformers": sr.table("transformers", [
                {"name": f"T{s}", "hv_bus": s, "lv_bus": f"Town {s}", **plate} for s in "AB"
            ]),
            "generators": sr.table("generators", [
                {"name": "Unit", "bus": "Plant", "active_power_min": 0.0, "active_power_max": 100e6,
                 "reactive_power_min": -60e6, "reactive_power_max": 60e6},
            ]),
            "loads": sr.table("loads", [
                {"name": f"Town {s} load", "bus": f"Town {s}", "power_factor": 0.92} for s in "AB"
            ]),
            "setpoints": sr.table("setpoints", [{"quantity": q, "where": w, "value": v} for q, w, v in set_]),
        },
    )  # fmt: skip


def taps_of(found):
    return {k.where: k.value for k in found.setpoints if k.quantity == "tap_position"}


def exact(net, a, b):
    """Output of the unit with the positions given and all else as the case has it; infinite where a limit breaks."""
    got = sr.steady(net, [Known("tap_position", "TA", a), Known("tap_position", "TB", b)])
    return np.inf if got.breaks() else float(got.active_power.sum())


@pytest.fixture(scope="module")
def every():
    """`steady` at all 25 pairs of positions."""
    net = fed()
    return {(a, b): exact(net, a, b) for a, b in product(range(-2, 3), repeat=2)}


@pytest.mark.parametrize("start", [(2, -1), (-2, 2)])
def test_no_neighbour_is_better(every, start):
    known = [Known("tap_position", n, v) for n, v in zip(("TA", "TB"), start, strict=True)]
    found = dispatch(fed(), known, objective="losses", choose=["taps"])
    at = tuple(int(v) for v in taps_of(found).values())
    assert found.status == "optimal"
    assert found.breaks() == []
    assert found.value == pytest.approx(every[at], rel=1e-9)
    near = [every.get((at[0] + i, at[1] + j), np.inf) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    assert found.value <= min(near) * (1 + 1e-9)
    assert np.isinf(every[start])  # where it began a limit was broken
    assert found.value == pytest.approx(min(every.values()), rel=1e-9)  # here the local optimum is the best of all
    assert found.table["before"].values.tolist() == list(start)
    again = sr.steady(fed(), found.setpoints)
    assert float(again.active_power.sum()) == pytest.approx(found.value, rel=1e-9)


def test_the_other_set_points_are_chosen_with_them():
    """With the unit's voltage free as well, no pair of neighbours with a voltage of its own is better."""
    net = fed()
    found = dispatch(net, objective="losses", choose=["voltages", "taps"])
    alone = dispatch(net, objective="losses", choose=["taps"])
    assert found.status == "optimal"
    assert found.value < alone.value
    at = taps_of(found)
    for name, step in product(at, (1, -1)):
        if abs(at[name] + step) <= 2:
            moved = [Known("tap_position", n, v + step * (n == name)) for n, v in at.items()]
            other = dispatch(net, moved, objective="losses", choose=["voltages"])
            assert not other.feasible or found.value <= other.value * (1 + 1e-7)


def test_the_gain_foretold_is_that_of_a_small_step():
    net = fed(step=1e-4, span=100)
    search = Taps(Ask(net, (), ("taps",), "losses", seconds=0.0), None)
    value = exact(net, 0, 0)
    for tap, up in zip(search.taps, ((1, 0), (0, 1)), strict=True):
        assert search.slope(tap) * value == pytest.approx(value - exact(net, *up), rel=1e-2)


def test_time_ends_it_with_the_best_so_far():
    found = dispatch(fed(), objective="losses", choose=["taps"], seconds=1e-9)
    assert (found.status, found.reason) == ("feasible", "time")
    assert taps_of(found) == {"TA": 0.0, "TB": 0.0}


def test_a_bound_and_a_name_narrow_what_is_tried():
    found = dispatch(fed(position=1.0), objective="losses", choose=["TA"], bounds={("tap_position", "TA"): (0.5, 2.0)})
    assert set(taps_of(found)) == {"TA"}
    assert taps_of(found)["TA"] in (1.0, 2.0)


@pytest.mark.parametrize(
    ("net", "asked", "text"),
    [
        ({"position": 5.0}, {}, "tap_position of TA is 5: .* from -2 to 2"),
        ({"position": 0.5}, {}, "tap_position of TA is 0.5"),
        ({"span": 0}, {}, "no transformer in service"),
        ({"step": 0.0}, {"choose": ["TB"]}, "TB has no tap changer"),
        ({}, {"bounds": {("tap_position", "TA"): (0.2, 0.8)}}, "no whole step lies between"),
        ({}, {"hours": 2.0}, "one position for all hours"),
    ],
)
def test_what_cannot_be_stepped_is_named(net, asked, text):
    with pytest.raises(SeraiError, match=text):
        dispatch(fed(**net), objective="losses", **{"choose": ["taps"], **asked})
