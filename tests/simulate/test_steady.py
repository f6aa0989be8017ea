# SPDX-License-Identifier: Apache-2.0
"""Steady state: by hand, by labels, and what it refuses."""

import numpy as np
import pytest

import serai as sr
from serai.errors import NoReference, NoSwing, NotClosed, NotConverged, PhysicsRefused, SeraiError, UnknownName
from serai.known import Known
from serai.simulate.certificate import certify, worst
from serai.simulate.steady import Run, refuse_mismatch, steady
from serai.system import System
from simulate.small import GAS, GRID, electric_station, line, line_knowns, outlet_pressure, station


def test_a_line_by_hand():
    now = steady(line(), line_knowns())
    assert float(now.pressure["B"]) == pytest.approx(outlet_pressure(50.0), rel=1e-9)
    assert float(now.flow["P"]) == pytest.approx(50.0, rel=1e-12)
    assert float(now.supplied["field"]) == pytest.approx(50.0, rel=1e-12)
    assert float(now.delivered["town"]) == 50.0
    assert now.mismatch < 1e-12
    assert now.pressure.attrs["units"] == "Pa"


def test_linepack_and_velocity_by_hand():
    now = steady(line(), line_knowns(), cell=1e3)
    p1, p2 = 60e5, outlet_pressure(50.0)
    mean = 2 / 3 * (p1**3 - p2**3) / (p1**2 - p2**2)  # of p over a pipe with p^2 falling linearly
    area = np.pi * 0.7**2 / 4
    RT = GAS.specific_constant * GAS.temperature
    assert float(now.linepack["P"]) == pytest.approx(mean / RT * area * 100e3, rel=1e-5)
    assert float(now.velocity["P"]) == pytest.approx(50.0 * RT / (p2 * area), rel=1e-9)


def test_cells_do_not_change_a_level_steady_pipe():
    coarse, fine = (steady(line(), line_knowns(), cell=c) for c in (None, 5e3))
    assert float(fine.pressure["B"]) == pytest.approx(float(coarse.pressure["B"]), rel=1e-10)


def test_a_station_by_hand():
    knowns = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0), Known("ratio", "CS", 1.3)]
    now = steady(station(), knowns)
    k, p = 1.3, now.pressure
    assert float(p["C"]) == pytest.approx(1.3 * float(p["B"]), rel=1e-12)
    head = GAS.specific_constant * GAS.temperature * k / (k - 1) * (1.3 ** ((k - 1) / k) - 1)
    assert float(now.power["CS"]) == pytest.approx(30.0 * head / 0.8, rel=1e-12)
    fuel = float(now.power["CS"]) / 0.32 / (GAS.net_heating_value / GAS.standard_density)
    assert float(now.fuel["CS"]) == pytest.approx(fuel, rel=1e-12)
    assert float(now.flow["AB"]) == pytest.approx(30.0 + fuel, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "value", "reads"),
    [
        ("ratio", 1.25, lambda r: r.ratio["CS"]),
        ("outlet_pressure", 65e5, lambda r: r.pressure["C"]),
        ("power", 1.5e6, lambda r: r.power["CS"]),
    ],
)
def test_swapping_one_known_changes_the_control(quantity, value, reads):
    base = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0)]
    now = steady(station(), [*base, Known(quantity, "CS", value)])
    assert float(reads(now)) == pytest.approx(value, rel=1e-9)
    other = steady(station(), [*base, Known("ratio", "CS", float(now.ratio["CS"]))])
    np.testing.assert_allclose(other.pressure.values, now.pressure.values, rtol=1e-9)


def test_inlet_pressure_control_needs_the_flow_free():
    knowns = [
        Known("supply", "field", 30.0),
        Known("pressure", "town", 40e5),
        Known("inlet_pressure", "CS", 35e5),
    ]
    now = steady(station(), knowns)
    assert float(now.pressure["B"]) == pytest.approx(35e5, rel=1e-12)
    assert float(now.delivered["town"]) == pytest.approx(30.0 - float(now.fuel["CS"]), rel=1e-9)


def test_a_new_control_replaces_the_old_one():
    knowns = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0), Known("ratio", "CS", 1.25)]
    net = station()
    setpoints = sr.network.table(
        "setpoints", [{"quantity": k.quantity, "where": k.where, "value": k.value, "unit": ""} for k in knowns]
    )
    own = net.with_tables(setpoints=setpoints)
    assert float(steady(own).ratio["CS"]) == 1.25
    assert float(steady(own, [Known("outlet_pressure", "CS", 66e5)]).pressure["C"]) == pytest.approx(66e5)


def test_modes_take_over_at_limits():
    base = [Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0)]
    high = steady(station(ratio_max=1.2), [*base, Known("outlet_pressure", "CS", 90e5)])
    assert float(high.ratio["CS"]) == pytest.approx(1.2)
    assert ("CS", "largest ratio") in {(n, m) for _, n, m in high.modes}
    weak = steady(station(power_max=1e6), [*base, Known("outlet_pressure", "CS", 90e5)])
    assert float(weak.power["CS"]) == pytest.approx(1e6)
    low = steady(station(), [*base, Known("outlet_pressure", "CS", 20e5)])
    assert float(low.ratio["CS"]) == 1.0
    assert ("CS", "bypass") in {(n, m) for _, n, m in low.modes}


def test_an_electric_drive_draws_and_its_loss_is_seen_in_the_gas():
    base = [*GRID, Known("pressure", "field", 60e5), Known("withdrawal", "town", 30.0), Known("ratio", "CS", 1.4)]
    net = electric_station()
    now = steady(net, base)
    assert float(now.drive_power["CS"]) == pytest.approx(float(now.power["CS"]) / 0.95)
    assert float(now.active_power["G"]) == pytest.approx(float(now.drive_power["CS"]) + float(now.losses), rel=1e-9)
    lost = steady(net, [*base, Known("in_service", "L", 0.0)])
    assert float(lost.ratio["CS"]) == 1.0
    assert float(lost.pressure["D"]) < float(now.pressure["D"])
    assert lost.notes == (("CS", "bypassed: its motor has no supply, bus 2 is dead"),)
    assert ("bus 2", "no energised path to a bus with a known angle") in lost.dead


def test_demand_that_cannot_flow_is_refused_by_name():
    with pytest.raises(PhysicsRefused, match="below zero at B") as caught:
        steady(line(), line_knowns(withdrawal=500.0))
    assert caught.value.elements == ("B",)


def test_what_is_missing_and_what_is_twice_is_named():
    with pytest.raises(NoReference, match="no pressure is known"):
        steady(line(), [Known("withdrawal", "town", 5.0), Known("supply", "field", 5.0)])
    with pytest.raises(NoSwing, match=r"exceed the supplies by 1 kg/s"):
        steady(line(), [Known("pressure", "A", 60e5), Known("withdrawal", "town", 5.0), Known("supply", "field", 4.0)])
    with pytest.raises(NotClosed, match=r"give the supply or withdrawal there"):
        steady(line(), [Known("pressure", "field", 60e5)])
    with pytest.raises(NotClosed, match="CS: give one of ratio, outlet_pressure"):
        steady(station(), line_knowns(30.0))
    with pytest.raises(NotClosed, match="too much is known"):
        steady(line(), [*line_knowns(), Known("pressure", "B", 50e5)])
    with pytest.raises(NotClosed, match=r"pressure of A is given twice: pressure of A = 5e\+06 and pressure of field"):
        steady(line(), [Known("pressure", "A", 50e5), *line_knowns()])


def test_knowns_that_fit_nothing():
    with pytest.raises(UnknownName, match="did you mean town"):
        steady(line(), [Known("withdrawal", "towm", 1.0)])
    with pytest.raises(UnknownName, match="known there can be flow"):
        steady(line(), [Known("ratio", "P", 1.0)])
    with pytest.raises(SeraiError, match="is a reading"):
        steady(line(), [Known("withdrawal", "town", 1.0, sigma=0.1)])
    with pytest.raises(SeraiError, match="must be above 0"):
        steady(line(), [Known("pressure", "field", -1.0)])
    with pytest.raises(SeraiError, match="finite"):
        Known("withdrawal", "town", float("nan"))


def test_zero_flow_everywhere():
    now = steady(line(), line_knowns(withdrawal=0.0))
    assert float(now.pressure["B"]) == pytest.approx(60e5, rel=1e-12)
    assert abs(float(now.flow["P"])) < 1e-9


def test_the_certificate_finds_a_planted_error():
    system = System(line(), line_knowns())
    x = Run(system).solve(cold=True).x
    assert worst(certify(system, x))[0] < 1e-12
    c = system.equations.columns
    for quantity, name, kind in (("pressure", "B", "momentum"), ("flow", "P", "mass balance")):
        wrong = x.copy()
        wrong[c.find(quantity, name)] *= 1.0 + 1e-6
        value, where = worst(certify(system, wrong))
        assert value > 1e-8
        assert certify(system, wrong)[kind][0] > 1e-8
        assert where
    nan = x.copy()
    nan[c.find("pressure", "B")] = np.nan
    with pytest.raises(NotConverged, match="does not hold"):
        refuse_mismatch(*worst(certify(system, nan)))


def test_results_read_like_labels(tmp_path):
    now = steady(line(), line_knowns())
    with pytest.raises(UnknownName, match="pressure has no gas node 'Z'"):
        now.pressure["Z"]
    with pytest.raises(AttributeError, match="no result 'colour'"):
        now.colour  # noqa: B018
    assert "mismatch" in repr(now)
    path = now.save(tmp_path / "deep" / "now.nc")
    assert path.exists()
    assert not list(path.parent.glob(".*"))
    import xarray as xr

    with xr.open_dataset(path, engine="h5netcdf") as back:
        np.testing.assert_array_equal(back["pressure"].values, now.pressure.values)
    assert now.dataset["pressure"].to_dataframe().loc["B", "pressure"] == float(now.pressure["B"])


def test_limits_one_by_one():
    now = steady(line(), line_knowns(withdrawal=150.0))
    (only,) = now.breaks()
    assert (only.element, only.quantity, only.limit) == ("B", "pressure", 30e5)
    assert only.value < 30e5
