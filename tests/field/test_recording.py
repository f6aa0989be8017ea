# SPDX-License-Identifier: Apache-2.0
"""Readings without sockets: the same every time, with the truth beside them, faults where the scenario says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from field.metered import found, grid, loop
from serai import field
from serai.errors import SeraiError
from serai.field import Forgery, Leak, MeterFault, Metering, Operation, Scenario, Status, Theft, Truth
from serai.known import Known
from serai.network.instruments import instruments
from serai.telemetry.readings import joined

CALM = Metering(dropout=0.0, invalid=0.0)


def series(recording, tag):
    """Return times [s since the start] and values of one tag."""
    every = joined(list(recording))
    mine = every.take(every.tag == recording.meters().at[tag])
    order = np.argsort(mine.time)
    return mine.time[order] / 1e6 - recording.start, mine.value[order]


def test_the_same_seed_gives_the_same_bits_and_batches_do_not_matter():
    scenario = Scenario(hours=1.0, truth=Truth(efficiency=0.02, wander=0.01))
    one, two = (field.readings(loop(), scenario, seed=4, batch=b) for b in ("60s", "10min"))
    assert found(one) == found(two) == found(one)
    assert found(field.readings(loop(), scenario, seed=5)) != found(one)
    assert found(one.with_seed(5)) != found(one)
    assert np.array_equal(one.with_seed(5).truth.path.values, one.truth.path.values)


def test_readings_lie_about_the_truth_that_comes_with_them():
    recording = field.readings(grid(), Scenario(hours=0.5, metering=CALM))
    every = joined(list(recording))
    true = recording.truth.path(every.time / 1e6 - recording.start, every.tag.astype(np.intp))
    sigma = np.array([i.sigma_at(v) for i, v in zip(instruments(grid()), recording.truth.at(900.0), strict=True)])
    z = (every.value - true) / sigma[every.tag]
    assert np.abs(z).max() < 2.0 + 5 * 0.4359
    assert len(every) == sum(1800 // i.scan for i in instruments(grid()))


def test_a_scan_can_be_given_for_all_and_tags_for_some():
    recording = field.readings(grid(), Scenario(hours=0.1, metering=CALM), scan="30s", tags=["U1", "Field PT"])
    every = joined(list(recording))
    assert len(every) == 2 * 12
    with pytest.raises(SeraiError, match="no instruments U9"):
        list(field.readings(grid(), Scenario(hours=0.1), tags=["U9"]))


def test_the_run_begins_at_local_midnight_when_nothing_else_is_said():
    recording = field.readings(sr.read("turkmenistan"), Scenario(hours=1 / 60), tags=["Malay PT"])
    batch = joined(list(recording))
    assert recording.start == 1_768_435_200 - 5 * 3600  # 2026-01-15 00:00 at UTC+5: `date -u -d 2026-01-15 +%s`
    assert recording.start < batch.time[0] / 1e6 <= recording.start + 60.0


def test_a_leak_is_seen_where_it_is_and_from_when_it_is():
    leak = Leak("Pipe A", 0.5, 1800.0, rate=6.0)
    clean, leaking = (field.readings(loop(), Scenario(hours=2.0, metering=CALM, leaks=x)) for x in ((), (leak,)))
    gaps = []
    for recording in (clean, leaking):
        time, into = series(recording, "A flow in")
        _, out = series(recording, "A flow out")
        gaps.append(into - out)
    change = gaps[1] - gaps[0]
    assert np.abs(change[time < 1800.0]).max() < 0.01
    assert change[-10:].mean() == pytest.approx(6.0, rel=0.1)  # the linepack still gives some
    assert leaking.truth.labels[0] == field.Label("leak", ("Pipe A",), 1800.0, np.inf, 6.0)


def test_what_the_control_room_is_shown_is_not_what_is_true():
    scenario = Scenario(
        hours=1.0,
        operations=(
            Operation(600.0, Known("ratio", "Station", 1.38)),
            Operation(1200.0, Known("ratio", "Station", 1.36), logged=False),
        ),
        thefts=(Theft("Town A", 2.0, 0.0),),
        statuses=(Status(Known("in_service", "Cross pipe", 0.0), 1800.0, 2400.0),),
    )
    recording = field.readings(loop(), scenario)

    def shown(time):
        return {(k.quantity, k.where): k.value for k in recording.shown(time)}

    assert shown(0.0)["ratio", "Station"] == 1.4
    assert shown(3000.0)["ratio", "Station"] == 1.38
    assert ("in_service", "Cross pipe") not in shown(1700.0)
    assert shown(2000.0)["in_service", "Cross pipe"] == 0.0
    assert ("in_service", "Cross pipe") not in shown(2500.0)
    assert not [w for _, w in shown(2000.0) if "theft" in w]
    assert [label.kind for label in recording.truth.labels] == ["theft", "command", "status"]
    k = recording.truth.tags.index("Station PT out")
    assert recording.truth.at(3500.0)[k] == pytest.approx(68e5)


def test_a_stealthy_forgery_of_the_grid_breaks_no_law_of_the_grid_and_the_fuel_does_not_follow():
    """Truth: the forged world solved apart; what is told of the grid is exactly that, what is told of gas is not."""
    told = (Known("active_power", "City load", 150e6), Known("active_power", "Gas unit", 120e6))
    net = grid()
    power = tuple(i.tag for i in instruments(net) if i.tag[0] in "UPQ")
    base = Scenario(hours=0.5, metering=CALM)
    recording = field.readings(net, replace(base, forgeries=(Forgery(power, "stealth", 600.0, story=told),)))
    honest = field.readings(net, base)
    other = field.readings(net, replace(base, operations=tuple(Operation(600.0, k) for k in told)))
    for tag in power:
        (time, value), (_, was), (_, wanted) = (series(r, tag) for r in (recording, honest, other))
        assert np.array_equal(value[time < 600.0], was[time < 600.0])
        late = time > 660.0
        # the meter's gain error is that of what is there, not of what is told: at most 1 % of the lie, and 32 bits
        told_off, lie = np.abs(value - wanted)[late].max(), np.abs(wanted - was)[late].max()
        assert told_off < 0.01 * lie + 4e-7 * np.abs(wanted).max(), tag
    (time, fuel), (_, was), (_, wanted) = (series(r, "Fuel") for r in (recording, honest, other))
    assert np.array_equal(fuel, was)
    burnt = 30e6 * 8.0 / 3.6 * net.gas.standard_density / net.gas.net_heating_value  # 8 MJ/kWh, and 30 MW that are lied
    assert (fuel - wanted)[time > 660.0].mean() == pytest.approx(burnt, rel=0.02)  # a meter of 1 %


def test_faults_and_forgeries_together_change_nobody_else():
    base = Scenario(hours=1.0, metering=CALM)
    wrong = replace(
        base,
        meter_faults=(MeterFault(("A PT",), "bias", 600.0, value=1e5),),
        forgeries=(Forgery(("B FT",), "offset", 1200.0, factor=0.9),),
    )
    one, two = (found(field.readings(loop(), s)) for s in (base, wrong))
    changed = {tag for (tag, time), row in two.items() if one[tag, time] != row}
    assert changed == {"A PT", "B FT"}


def test_a_story_told_twice_is_refused():
    one = Forgery(("U1",), "stealth", 600.0, story=(Known("active_power", "City load", 150e6),))
    two = replace(one, begin=700.0)
    with pytest.raises(SeraiError, match="different stories"):
        field.readings(grid(), Scenario(hours=0.5, forgeries=(one, two)))
