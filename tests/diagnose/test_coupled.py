# SPDX-License-Identifier: Apache-2.0
"""Coupled evidence: forged grid readings that agree with each other, held against the gas that is burnt."""

from functools import cache

import numpy as np
import pytest

from diagnose.scans import country, exact
from serai.diagnose import diagnose
from serai.diagnose.forged import GRID, reach
from serai.known import Known
from serai.telemetry.readings import Readings


@cache
def of_grid():
    net, own, *_ = country()
    return np.array([net.kind_of(i.where) in GRID for i in own])


def forged(knowns, seed=11):
    """Gas meters as they are; grid meters as another true state of the grid would have them: a = h(x + c) - h(x)."""
    _, own, register, _ = country()
    true = exact()
    sigma = np.array([i.sigma_at(v) for i, v in zip(own, true, strict=True)])
    noise = sigma * np.random.default_rng(seed).standard_normal(len(true))
    z = np.where(of_grid(), exact(tuple(knowns)), true) + noise
    return Readings.of(register, [(i.tag, 0.0, v, 0, 0.0) for i, v in zip(own, z, strict=True)])


def grid_only(batch):
    kept = of_grid()[batch.tag]
    return Readings(batch.register, *(getattr(batch, c)[kept] for c in ("tag", "time", "value", "quality", "received")))


def setpoint(quantity, where):
    return next(k.value for k in country()[0].knowns() if (k.quantity, k.where) == (quantity, where))


def moved_unit(share):
    unit = "Dashoguz GT1"
    return [Known("active_power", unit, (1.0 - share) * setpoint("active_power", unit))]


def moved_loads(watts):
    """One load shows less than it draws, another more: no unit has to move."""
    a, b = "Mary load", "Bayramaly load"
    return a, b, [Known("active_power", a, setpoint("active_power", a) - watts),
                  Known("active_power", b, setpoint("active_power", b) + watts)]  # fmt: skip


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_stealth_forgery_that_moves_a_gas_fired_unit_passes_the_grid_and_is_caught_by_gas(share):
    net, *_, estimator = country()
    batch = forged(moved_unit(share))
    alone = diagnose(net, grid_only(batch), estimator=estimator)
    assert alone.faults == ()
    assert alone.estimate.chi_square > 0.01
    both = diagnose(net, batch, estimator=estimator)
    assert both.faults
    places = {w for f in both.faults for w in f.where}
    assert any("Dashoguz" in w for w in places)


def test_the_scan_without_forgery_is_clean():
    net, *_, estimator = country()
    assert diagnose(net, forged(()), estimator=estimator).faults == ()


def test_what_moves_no_unit_stays_invisible_and_is_listed():
    net, *_, estimator = country()
    a, b, knowns = moved_loads(5e6)
    batch = forged(knowns)
    d = diagnose(net, batch, estimator=estimator)
    assert d.faults == ()  # as the theory says: nothing tells
    wrong = float(d.estimate.state.drawn[a]) - setpoint("active_power", a)
    assert abs(wrong) > 3.0 * d.estimate.sigma("active_power", a)
    r = reach(net, batch, estimator=estimator)
    loads = {n for q, n in r.invisible if q in ("active_withdrawal", "drawn")}
    buses = {str(net["loads"]["bus"][net["loads"].row(n)]) for n in (a, b)}
    assert buses <= loads or {a, b} <= loads


def test_units_that_burn_metered_gas_give_a_forger_away():
    net, *_, estimator = country()
    r = reach(net, forged(()), estimator=estimator)
    fired = {("active_power", str(g)) for g in net.active("plants")["generator"]}
    assert fired <= set(r.visible)
    assert ("active_power", "Hindukush H1") not in r.visible  # water
    assert ("drive_power", "Samandepe CS") in r.visible
    assert not {n for q, n in r.invisible if q == "pressure"}
    unit = "Dashoguz GT1"
    assert not {(q, n) for q, n in r.invisible if (q, n) == ("active_power", unit)}
    # a unit's fuel meter is the only witness: its class, through the heat rate, is what the visible sigma must be
    fuel = next(i for i in country()[1] if i.quantity == "plant_fuel" and i.where == f"{unit} fuel")
    burnt = exact()[[i.tag for i in country()[1]].index(fuel.tag)]
    expected = fuel.sigma_at(burnt) / burnt * setpoint("active_power", unit)
    assert r.visible["active_power", unit] == pytest.approx(expected, rel=0.2)
    assert "ways to move" in repr(r)
