# SPDX-License-Identifier: Apache-2.0
"""The true world: what exact instruments read in it, leaks and thefts to the kilogram, commands without an answer."""

from __future__ import annotations

from math import isnan, pi, sqrt

import numpy as np
import pytest

import serai as sr
from field.metered import grid, loop
from serai.errors import BadTimes, SeraiError
from serai.field.disturbed import SUBSTANCES, composed, disturbed
from serai.field.scenario import Leak, Operation, Scenario, Theft, Truth
from serai.field.world import Wander, World
from serai.known import Known
from serai.network.instruments import instruments
from serai.simulate.certificate import stored
from serai.simulate.measured import measured


def world_of(network, scenario=None, *, step=60.0, seed=3):
    made = World(network, scenario or Scenario(), seed=seed, step=step)
    made.begin()
    return made


def read(world, tag, time):
    """Return the exact reading of a tag at a time that was solved."""
    k = int(np.flatnonzero(np.abs(world.times - time) < 1e-9)[0])
    return world.values[k, world.exact.tags.index(tag)]


# ------------------------------------------------------------------------------------------------- exact instruments


def test_every_instrument_of_the_country_reads_what_is_measured_one_by_one():
    """Truth: `measured`, a look-up per instrument, in a steady state solved apart."""
    net = sr.read("turkmenistan")
    world = world_of(net)
    state = sr.steady(net, hour=0.0, cell=10e3)
    for k, i in enumerate(instruments(net)):
        wanted = float(measured(state, i.quantity, i.where))
        wanted = 0.0 if isnan(wanted) else wanted
        assert world.values[0, k] == pytest.approx(wanted, rel=1e-6, abs=1e-6 * (i.high - i.low)), i.tag


def test_between_two_instants_the_grid_is_as_good_as_solved():
    """Truth: the same loads solved at the middle of a step; the line between misses it by less than 1 % of a sigma."""
    net = grid()
    scenario = Scenario(truth=Truth(wander=0.02))
    coarse, fine = world_of(net, scenario), world_of(net, scenario, step=30.0)
    for w in (coarse, fine):
        w.advance(1800.0)
    path = coarse.path()
    power = [k for k, i in enumerate(instruments(net)) if i.quantity.startswith(("active", "reactive", "magn"))]
    sigma = np.array([i.sigma_at(v) for i, v in zip(instruments(net), fine.values[-1], strict=True)])
    half = np.arange(30.0, 1800.0, 60.0)
    at = np.searchsorted(fine.times, half)
    assert np.allclose(fine.times[at], half)
    off = [np.abs(path(half, np.full(len(half), k)) - fine.values[at, k]).max() / sigma[k] for k in power]
    moved = [np.ptp(fine.values[:, k]) / sigma[k] for k in power]
    assert max(moved) > 3.0  # it does move
    assert max(off) < 0.01


def test_a_jump_stands_close_to_its_moment():
    net = grid()
    scenario = Scenario(operations=(Operation(130.0, Known("active_power", "City load", 140e6)),))
    world = world_of(net, scenario)
    world.advance(300.0)
    before, after = read(world, "P city", 130.0), read(world, "P city", 131.0)
    assert before == pytest.approx(180e6, rel=1e-9)
    assert after == pytest.approx(140e6, rel=1e-9)
    assert [t for t in world.times if 120.0 < t < 180.0] == [130.0, 131.0, 133.0, 137.0, 145.0, 161.0]


def test_steps_that_fit_no_minute_are_refused():
    with pytest.raises(BadTimes, match="must divide 60 s"):
        World(loop(), Scenario(), seed=0, step=7.0)


# -------------------------------------------------------------------------------------------------- leaks and thefts


def test_the_mass_of_a_leak_closes():
    """Truth: linepack from the density at every node, and what went in and out, counted apart."""
    leak = Leak("Pipe A", 0.3, 630.0, 2430.0, rate=2.5)
    world = world_of(loop(), Scenario(leaks=(leak,)))
    system, first = world.running.system, stored(world.running.system, world.running.x).sum()
    world.advance(3600.0)
    ledger = world.running.ledger
    lost = ledger["delivered"] - 120.0 * 3600.0  # the towns take 60 kg/s each
    assert lost == pytest.approx(2.5 * 1800.0, rel=1e-9)
    change = stored(system, world.running.x).sum() - first
    gained = ledger["supplied"] - ledger["delivered"] - ledger["burnt"]
    assert change == pytest.approx(gained, abs=1e-6 * ledger["supplied"])


def test_a_pipe_that_will_leak_is_the_same_pipe_until_it_does():
    leak = Leak("Pipe A", 0.3, 1800.0, share=0.05)
    clean, leaking = world_of(loop()), world_of(loop(), Scenario(leaks=(leak,)))
    for world in (clean, leaking):
        world.advance(1800.0)
    assert np.allclose(leaking.values, clean.values, rtol=2e-5)  # cut elsewhere, so cells are not the same
    for world in (clean, leaking):
        world.advance(3600.0)
    flow = read(clean, "A flow in", 0.0)
    assert leaking.leak_rate("Pipe A") == pytest.approx(0.05 * flow, rel=1e-5)
    drop = {tag: read(leaking, tag, 3600.0) - read(clean, tag, 3600.0) for tag in ("A PT", "B PT")}
    assert drop["A PT"] < drop["B PT"] < 0.0
    gap = read(leaking, "A flow in", 3600.0) - read(leaking, "A flow out", 3600.0)
    assert gap > 0.8 * leaking.leak_rate("Pipe A")


def test_a_hole_bleeds_as_choked_flow_says():
    """Truth: the nozzle equation for an ideal gas in its textbook form, times the discharge coefficient."""
    world = world_of(loop(), Scenario(leaks=(Leak("Pipe B", 0.5, 60.0, hole=0.05),)))
    world.advance(600.0)
    gas, column = world.network.gas, world.running.system.equations.columns["pressure"].index["Pipe B leak point"]
    k, p = gas.heat_capacity_ratio, float(world.running.x[column])  # the rate of a step is that of its beginning
    world.advance(660.0)
    ideal = pi * 0.05**2 / 4 * p * sqrt(k / (gas.specific_constant * gas.temperature))
    rate = 0.85 * ideal * (2 / (k + 1)) ** ((k + 1) / (2 * (k - 1)))
    assert world.rates()["Pipe B"] == pytest.approx(rate, rel=1e-9)


def test_gas_is_stolen_by_the_hour_and_power_all_the_time():
    gas = Theft("Town B", 1.5, 600.0, on=600.0, off=1200.0)
    world = world_of(loop(), Scenario(thefts=(gas,)))
    world.advance(5400.0)
    stolen = world.running.ledger["delivered"] - 120.0 * 5400.0
    assert stolen == pytest.approx(1.5 * 600.0 * 3, rel=1e-9)  # from 10, 40 and 70 min on
    assert read(world, "B FT", 1200.0) == pytest.approx(60.0, rel=1e-12)  # the meter sees none of it
    net = grid()
    clean, robbed = world_of(net), world_of(net, Scenario(thefts=(Theft("Bus 2", 5e6, 0.0),)))
    for w in (clean, robbed):
        w.advance(120.0)
    assert read(robbed, "P city", 120.0) == pytest.approx(180e6, rel=1e-12)
    more = read(robbed, "P21", 120.0) - read(clean, "P21", 120.0)
    assert -5e6 < more < -1e6  # more comes over the line; the rest over the other one


def test_two_leaks_in_one_pipe_are_refused():
    with pytest.raises(SeraiError, match="two leaks"):
        disturbed(loop(), Scenario(leaks=(Leak("Pipe A", 0.2, 0.0, rate=1.0), Leak("Pipe A", 0.7, 0.0, rate=1.0))), 1)


# ------------------------------------------------------------------------------------------------- another gas, wander


def test_another_composition_by_kays_rule():
    net = sr.read("turkmenistan")
    gas = composed(net.gas, {"methane": 0.9, "nitrogen": 0.1})
    assert gas.molar_mass == pytest.approx(0.9 * 16.04246e-3 + 0.1 * 28.0134e-3)
    assert gas.critical_temperature == pytest.approx(0.9 * 190.564 + 0.1 * 126.192)
    assert gas.standard_density / net.gas.standard_density == pytest.approx(gas.molar_mass / net.gas.molar_mass)
    own = composed(net.gas, net.gas.composition)  # the case states the same values: facts of its own file
    assert own.critical_pressure == pytest.approx(net.gas.critical_pressure, rel=2e-3)
    assert own.critical_temperature == pytest.approx(net.gas.critical_temperature, rel=2e-3)
    assert own.molar_mass == pytest.approx(net.gas.molar_mass, rel=2e-3)
    assert set(SUBSTANCES) >= set(net.gas.composition)


def test_efficiencies_differ_within_their_share_and_by_the_seed():
    net, scenario = loop(), Scenario(truth=Truth(efficiency=0.03))
    drawn = [disturbed(net, scenario, seed).network["pipes"]["efficiency"] for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    many = np.array([disturbed(net, scenario, seed).network["pipes"]["efficiency"] for seed in range(200)])
    assert 0.97 <= many.min() < 0.972
    assert 1.028 < many.max() <= 1.03


def test_what_wanders_has_the_deviation_and_memory_that_it_is_given():
    """Truth: variance and autocorrelation of an Ornstein-Uhlenbeck process, e^(-lag/memory)."""
    wander = Wander(40, 0.02, 1800.0, [7])
    x = np.array([wander.at(60.0 * k) for k in range(6000)]) - 1.0
    assert x.std() == pytest.approx(0.02, rel=0.05)
    assert (x[30:] * x[:-30]).mean() / x.var() == pytest.approx(np.exp(-1.0), abs=0.04)
    assert np.abs(x).max() <= 0.06 + 1e-12
    again = Wander(40, 0.02, 1800.0, [7])
    assert np.array_equal(again.at(300_000.0), wander.at(300_000.0))


# ------------------------------------------------------------------------------------------------------------ commands


def test_a_command_acts_and_one_without_an_answer_changes_nothing():
    world, untouched = world_of(loop()), world_of(loop())
    for w in (world, untouched):
        w.advance(600.0)
    with pytest.raises(SeraiError):
        world.tell(Known("withdrawal", "Town A gas", 1e6))  # not even for a second
    for w in (world, untouched):
        w.advance(900.0)
    assert np.array_equal(world.values, untouched.values)
    world.tell(Known("ratio", "Station", 1.41))
    for w in (world, untouched):
        w.advance(1200.0)
    assert read(world, "Station PT out", 1200.0) == pytest.approx(70.5e5, rel=1e-9)
    assert read(untouched, "Station PT out", 1200.0) == pytest.approx(70e5, rel=1e-9)


def test_what_cannot_be_kept_up_fails_later_and_can_be_taken_back():
    world = world_of(loop())
    world.advance(600.0)
    asked = Known("withdrawal", "Town A gas", 900.0)
    world.tell(asked)  # the linepack bears it for a while
    with pytest.raises(SeraiError, match=r"the demand cannot flow|no answer"):
        world.advance(6 * 3600.0)
    stood = world.time
    assert 600.0 < stood < 3600.0
    assert world.times[-1] == stood
    world.take_back(asked)
    world.advance(7200.0)
    assert read(world, "A FT", 7200.0) == pytest.approx(60.0, rel=1e-12)
    assert read(world, "A PT", 7200.0) > 40e5


def test_old_instants_are_let_go_and_the_rest_stays():
    world = world_of(loop())
    world.advance(3600.0)
    late = world.path()(np.array([3000.0]), np.array([4]))
    world.forget(2990.0)
    assert world.times[0] == 2940.0
    assert len(world.times) == len(world.values)
    assert world.path()(np.array([3000.0]), np.array([4])) == late
