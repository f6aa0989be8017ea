# SPDX-License-Identifier: Apache-2.0
"""Meters: bias and noise as their class says, draws that do not depend on how they are asked for, every fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from field.metered import found, loop
from serai.errors import SeraiError
from serai.field.meters import Arrivals, Meters
from serai.field.scenario import Forgery, MeterFault, Metering, Scenario, Silence
from serai.field.world import Path
from serai.known import Known
from serai.network.instruments import instruments
from serai.telemetry.readings import Quality, Readings, Register, joined

START = 1_767_225_600.0  # 2026-01-01
CALM = Metering(dropout=0.0, invalid=0.0)
HOUR = 3600.0


def level(network, fraction=0.6):
    """Return a world in which every meter stands still at a part of its span."""
    listed = instruments(network)
    value = np.array([i.low + fraction * (i.high - i.low) for i in listed])
    return Path(np.array([0.0, 1e6]), np.stack([value, value]))


def slope(network):
    """Return a world in which every meter rises over a day from 40 to 60 % of its span."""
    one, two = level(network, 0.4).values[0], level(network, 0.6).values[0]
    return Path(np.array([0.0, 86400.0]), np.stack([one, two]))


def meters(network, scenario=None, *, seed=5):
    return Meters(network, scenario or Scenario(metering=CALM), seed=seed, start=START)


def taken(network, path, scenario=None, *, seed=5, hours=1.0, piece=60.0, story=None):
    """Return {(tag, time): (value, quality, received)} over some hours, asked for in pieces."""
    m = meters(network, scenario, seed=seed)
    n = round(hours * HOUR / piece)
    return found([m.batch(k * piece, (k + 1) * piece, path, story) for k in range(n)])


def column(readings, tag):
    """Return times [s since the start], values and qualities of one tag."""
    rows = sorted((s, *r) for (t, s), r in readings.items() if t == tag)
    time, value, quality, _ = (np.array(x) for x in zip(*rows, strict=True))
    return time / 1e6 - START, value, quality


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


# --------------------------------------------------------------------------------------------------------- statistics


def test_bias_and_noise_are_those_of_the_class(country):
    """Truth: `instruments.csv`; sigma^2 = bias^2 + noise^2, the bias inside twice sigma and constant."""
    listed = instruments(country)
    wide = country.with_tables(instruments=country["instruments"].replace(scan=np.full(len(listed), 60.0)))
    path = level(wide)
    sigma = np.array([i.sigma_at(v) for i, v in zip(listed, path.values[0], strict=True)])
    means, spreads = [], []
    for seed in range(8):
        m = Meters(wide, Scenario(metering=CALM), seed=seed, start=START)
        batch = m.batch(0.0, 7200.0, path)
        order = np.lexsort((batch.time, batch.tag))
        z = batch.value[order].reshape(len(listed), 120)
        means.append((z.mean(axis=1) - path.values[0]) / sigma)
        spreads.append(z.std(axis=1, ddof=1) / sigma)
    bias, noise = np.array(means), np.array(spreads)
    assert bias.std() == pytest.approx(np.hypot(0.9, 0.4359 / np.sqrt(120)), rel=0.03)
    assert np.sqrt((noise**2).mean()) == pytest.approx(np.sqrt(1 - 0.9**2), rel=0.02)
    assert np.sqrt((bias**2 + noise**2).mean()) == pytest.approx(1.0, rel=0.03)
    assert np.abs(bias).max() < 2.0 + 4 * 0.4359 / np.sqrt(120) + 0.25  # two uniform parts: at most 1.56 x sqrt(2)
    assert abs(np.corrcoef(bias[0], bias[1])[0, 1]) < 0.15  # drawn anew for another seed


def test_flow_meters_are_biased_within_their_class_and_for_good(country):
    """A 1 % meter is off by a constant of at most 1 % of its reading, and as often either way."""
    flows = [k for k, i in enumerate(instruments(country)) if i.tag.endswith("FT") and i.share == 0.005]
    gains = np.concatenate([meters(country, seed=s).gain[flows] for s in range(40)])
    assert np.abs(gains).max() < 0.01
    assert np.abs(gains).max() > 0.0075
    assert abs(gains.mean()) < 0.0003
    assert gains.std() == pytest.approx(0.9 * 0.005, rel=0.03)


def test_gaps_and_bad_bits_come_as_often_as_they_are_given(country):
    scenario = Scenario(metering=Metering(dropout=0.02, invalid=0.01))
    batch = meters(country, scenario).batch(0.0, 600.0, level(country))
    scans = np.array([i.scan for i in instruments(country)])
    due = (600.0 / scans).sum()
    n = len(batch)
    assert n / due == pytest.approx(0.98, abs=0.002)
    bad = (batch.quality & Quality.INVALID) > 0
    assert bad.sum() / n == pytest.approx(0.01 / 0.98, abs=0.002)
    assert np.array_equal(bad, np.isnan(batch.value))


# ---------------------------------------------------------------------------------------------------------- repeatable


def test_the_same_seed_gives_the_same_readings_however_they_are_asked_for():
    net = loop()
    path = slope(net)
    whole = taken(net, path, Scenario(), piece=HOUR)
    assert whole == taken(net, path, Scenario(), piece=60.0)
    assert whole == taken(net, path, Scenario(), piece=10.0)
    other = taken(net, path, Scenario(), seed=6)
    assert not {v for v, _, _ in other.values()} & {v for v, _, _ in whole.values()}


def test_what_is_sent_is_what_32_bits_hold_and_whole_milliseconds(country):
    m = meters(country)
    batch = m.batch(0.0, 60.0, slope(country))
    sent = (batch.value - m.zero[batch.tag]) / m.factor[batch.tag]
    short = sent.astype(np.float32).astype(np.float64)
    assert np.array_equal(short * m.factor[batch.tag] + m.zero[batch.tag], batch.value)
    assert not (batch.time % 1000).any()
    assert (batch.received >= batch.time - 200_000).all()  # a clock may be ahead by some 20 ms
    assert (np.diff(batch.received) >= 0).all()


def test_scans_come_at_their_interval_with_some_jitter():
    net = loop()
    time, _, _ = column(taken(net, level(net)), "B PT")
    assert len(time) == 180  # a scan of 20 s
    off = time - 20.0 * np.arange(1, 181)
    assert off.std() > 0.01
    assert (off < 0.1).all()
    assert (off > -2.0).all()


def test_one_reads_only_what_one_asks_for():
    m = meters(loop())
    m.only(["A PT", "B PT"])
    batch = m.batch(0.0, 120.0, level(loop()))
    assert {m.register[t] for t in batch.tag} == {"A PT", "B PT"}
    with pytest.raises(SeraiError, match="no instruments Nobody"):
        m.only(["Nobody"])


def test_beyond_its_span_a_meter_says_overflow_and_at_rest_it_shows_zero():
    net = loop()
    m = meters(net)
    top = Path(np.array([0.0, 1e6]), np.repeat(1.02 * m.high[None], 2, axis=0))
    batch = m.batch(0.0, 60.0, top)
    assert (batch.quality == Quality.OVERFLOW).all()
    assert np.allclose(batch.value, m.high[batch.tag], rtol=1e-6)
    rest = Path(np.array([0.0, 1e6]), np.zeros((2, len(m.tags))))
    still = m.batch(0.0, HOUR, rest)
    towns = still.take(np.isin(still.tag, [m.at["A FT"], m.at["B FT"]]))
    assert not towns.quality.any()
    assert (towns.value == 0.0).sum() > 20
    assert towns.value.min() == 0.0


def test_a_heavier_gas_makes_every_volume_meter_show_as_much_too_little():
    net = loop()
    same, less = (Meters(net, Scenario(metering=CALM), seed=5, start=START, density_ratio=r) for r in (1.0, 0.98))
    one, two = (m.batch(0.0, 60.0, level(net)) for m in (same, less))
    ratio = dict(zip(one.register.names(one.tag), two.value / one.value, strict=True))
    assert ratio["A FT"] == pytest.approx(0.98, abs=2e-3)
    assert ratio["Field FT"] == 1.0  # counts kilograms


# -------------------------------------------------------------------------------------------------------------- faults


def faulty(fault, tag="A PT", begin=1200.0, end=2400.0, **more):
    """Return times, what the fault did (reading less honest reading), its values, and where it should."""
    net = loop()
    wrong = Scenario(metering=CALM, meter_faults=(MeterFault((tag,), fault, begin, end, **more),))
    honest, readings = taken(net, slope(net)), taken(net, slope(net), wrong)
    others = {k: v for k, v in readings.items() if k[0] != tag}
    assert others == {k: v for k, v in honest.items() if k[0] != tag}  # nobody else is touched
    time, value, _ = column(readings, tag)
    due = np.round((time + 0.5) / 20.0) * 20.0
    _, true, _ = column({k: honest[k] for k in readings if k[0] == tag}, tag)
    return time, value - true, value, (due > begin) & (due <= end)


@pytest.mark.parametrize(
    ("fault", "more", "wanted"),
    [
        ("bias", {"value": 2e5}, lambda true, _: true + 2e5),
        ("bias", {"factor": 1.03}, lambda true, _: 1.03 * true),
        ("drift", {"value": 3e5}, lambda true, days: true + 3e5 * days),
        ("drift", {"factor": 1.5}, lambda true, days: true * (1.0 + 0.5 * days)),
        ("unit", {"factor": 0.1}, lambda true, _: 0.1 * true),
    ],
)
def test_a_fault_is_there_when_and_where_it_is_said_to_be(fault, more, wanted):
    time, off, value, inside = faulty(fault, **more)
    assert inside.sum() == 20
    assert not off[~inside].any()
    expected = wanted(value - off, (time - 1200.0) / 86400.0)
    assert np.allclose(value[inside], expected[inside], atol=2 * 100e5 * 2.0**-23)  # two roundings to 32 bits


def test_a_stuck_meter_repeats_its_last_reading_with_good_quality():
    _, off, value, inside = faulty("stuck")
    assert not off[~inside].any()
    assert len(set(value[inside])) == 1
    before = np.flatnonzero(inside)[0] - 1
    assert value[inside][0] == value[before]


def test_noise_grows_and_the_mean_stays():
    _, off, _, inside = faulty("noise", tag="B PT", factor=10.0)
    assert not off[~inside].any()
    assert off[inside].std() == pytest.approx(9 * 0.4359 * 0.05e5, rel=0.35)  # 60 readings
    assert abs(off[inside].mean()) < 3 * 9 * 0.4359 * 0.05e5 / np.sqrt(inside.sum())


def test_a_dead_meter_sends_nothing_and_an_invalid_one_no_number():
    net = loop()
    for fault in ("dead", "invalid"):
        scenario = Scenario(metering=CALM, meter_faults=(MeterFault(("A PT",), fault, 1200.0, 2400.0),))
        time, value, quality = column(taken(net, level(net), scenario), "A PT")
        inside = (time > 1199.0) & (time < 2399.0)
        if fault == "dead":
            assert not inside.any()
            assert len(time) == 40
        else:
            assert (quality[inside] == Quality.INVALID).all()
            assert np.isnan(value[inside]).all()
            assert inside.sum() == 20
            assert not quality[~inside].any()


def test_what_is_wrongly_named_in_its_unit_is_not_cut_at_the_span():
    _, _, value, inside = faulty("unit", factor=1000.0)
    assert value[inside].min() > 3e9


# ------------------------------------------------------------------------------------------------------------ forgeries


def test_replayed_readings_are_those_of_then_noise_included():
    net = loop()
    scenario = Scenario(metering=CALM, forgeries=(Forgery(("A PT", "A FT"), "replay", 2400.0, 3000.0, ago=1200.0),))
    honest, forged = taken(net, slope(net)), taken(net, slope(net), scenario)
    time, value, _ = column(forged, "A PT")
    _, true, _ = column(honest, "A PT")
    inside = (time > 2399.5) & (time < 2999.5)
    assert inside.sum() == 10
    assert np.array_equal(value[inside], true[np.flatnonzero(inside) - 20])
    assert np.array_equal(value[~inside], true[~inside])


def test_an_offset_is_laid_over_good_and_bad_readings_alike():
    net = loop()
    dead = MeterFault(("A PT",), "dead", 0.0)
    scenario = Scenario(
        metering=CALM, meter_faults=(dead,), forgeries=(Forgery(("A PT",), "offset", 600.0, value=-1e5),)
    )
    time, value, quality = column(taken(net, level(net), scenario), "A PT")
    assert time.min() > 659.0 - 2.0
    assert len(time) == 50
    assert not quality.any()
    assert np.allclose(value, 60e5 - 1e5, atol=6 * 0.05e5)


def test_a_stealthy_forgery_tells_the_other_world_with_the_meters_own_noise():
    net = loop()
    story = level(net, 0.55)
    scenario = Scenario(
        metering=CALM, forgeries=(Forgery(("A PT",), "stealth", 600.0, story=(Known("ratio", "Station", 1.2),)),)
    )
    time, value, _ = column(taken(net, level(net), scenario, story=story), "A PT")
    _, true, _ = column(taken(net, level(net)), "A PT")
    inside = time > 605.0
    assert np.allclose((value - true)[inside], -5e5, atol=4.0)
    assert not (value - true)[~inside].any()
    with pytest.raises(SeraiError, match="forger's world"):
        taken(net, level(net), scenario)


# -------------------------------------------------------------------------------------------------------------- silence


def arrived(network, scenario, hours=1.0):
    """Return the batches that arrive in each minute, as a live control room gets them."""
    m, arrivals, out = meters(network, scenario), Arrivals(), []
    for k in range(round(60 * hours)):
        arrivals.add(m.batch(60.0 * k, 60.0 * (k + 1), level(network)))
        batch = arrivals.until(START + 60.0 * (k + 1) + 3.0)
        out.append(batch if batch is not None else Readings.of(m.register, []))
    return m, out


def test_what_a_lost_link_held_back_comes_when_it_is_back():
    net = loop()
    m, minutes = arrived(net, Scenario(metering=CALM, silences=(Silence("Town A", 600.0, 1200.0),)))
    mine = [b.take(np.isin(b.tag, [m.at["A PT"], m.at["A FT"]])) for b in minutes]
    assert [len(b) for b in mine[11:19]] == [0] * 8
    late = joined(mine[19:21])
    assert len(late) >= 20
    assert (np.diff(late.received) >= 0).all()
    assert sum(map(len, mine)) == 120  # nothing is lost
    _, minutes = arrived(net, Scenario(metering=CALM, silences=(Silence("Town A", 600.0, 1200.0, kept=False),)))
    mine = [b.take(np.isin(b.tag, [m.at["A PT"], m.at["A FT"]])) for b in minutes]
    assert sum(map(len, mine)) == 100


def test_a_station_that_restarts_loses_its_readings_and_marks_the_next():
    net = loop()
    scenario = Scenario(metering=CALM, silences=(Silence("Town B", 600.0, 900.0, restart=True),))
    time, _, quality = column(taken(net, level(net), scenario), "B PT")
    due = np.round((time + 0.5) / 20.0) * 20.0
    assert set(due) == set(np.arange(20.0, 3601.0, 20.0)) - set(np.arange(620.0, 901.0, 20.0))
    assert list(due[quality > 0]) == [920.0]
    assert quality[due == 920.0] == Quality.NOT_TOPICAL


def test_readings_wait_until_they_arrive():
    register = Register(["A"])
    arrivals = Arrivals()
    assert arrivals.until(START) is None
    arrivals.add(Readings.of(register, [("A", START, 1.0, 0, START + 5.0), ("A", START, 2.0, 0, START + 1.0)]))
    assert arrivals.until(START) is None
    assert arrivals.until(START + 1.0).value.tolist() == [2.0]
    assert len(arrivals) == 1
    assert arrivals.until(START + 9.0).value.tolist() == [1.0]


def test_bias_and_noise_can_be_shared_otherwise(country):
    pure = replace(CALM, bias=0.0)
    m = meters(country, Scenario(metering=pure))
    assert not m.gain.any()
    assert np.array_equal(m.noise_share, np.array([i.share for i in instruments(country)]))
