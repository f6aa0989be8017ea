# SPDX-License-Identifier: Apache-2.0
"""Replays of the country's own events, and what a wrong scenario file gets."""

from math import isnan

import numpy as np
import pytest

import serai as sr
from serai.errors import CaseError, SeraiError
from serai.simulate import read_scenario, replay, scenarios
from serai.units import DAY

EVENTS = ("2009_april_rupture", "2017_iran_stop", "2019_power_outage", "2023_galkynysh_loss")
SMALL = """
title = "t"
happened = "h"
source = "s"
day = ""
hours = 2
step = "30min"

[[event]]
at = "00:30"
quantity = "withdrawal"
where = "Town B gas"
value = 20
unit = "kg_per_s"
why = "w"

[[expect]]
text = "x"
measure = "change"
quantity = "pressure"
where = "Town B"
unit = "bara"
direction = "up"
source = "s"
"""


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


@pytest.fixture(scope="module")
def replays(country):
    """All four, run once."""
    return {name: replay(country, name) for name in EVENTS}


def findings(replays, name):
    return {f.expect.text.split(":")[0].split(",")[0]: f for f in replays[name].findings}


def million_m3(net, kg_per_s):
    return kg_per_s * DAY / net.gas.standard_density / 1e6


def test_bundled_scenarios(country):
    assert tuple(f.stem for f in scenarios(country)) == EVENTS
    assert [f.stem for f in scenarios("turkmenistan")] == list(EVENTS)
    assert scenarios("two_pipes") == []


@pytest.mark.parametrize("name", EVENTS)
def test_event_has_published_direction_and_size(replays, name, capsys):
    """Every expectation is met: direction, and size within the factor that the file gives with its reason."""
    r = replays[name]
    table = r.table()
    with capsys.disabled():
        columns = ["what", "expected", "published", "model", "unit", "verdict"]
        print(f"\n{r.scenario.title}\n{table[columns].round(1).to_string(index=False, max_colwidth=60)}")
    assert r.good, table[["what", "published", "model", "verdict"]]
    assert r.result.mismatch < 1e-8
    assert all(e.source for e in r.scenario.expects)
    assert all(e.reason and 1.0 <= e.factor <= 1.5 for e in r.scenario.expects if not isnan(e.published))
    assert all(c.why for c in (*r.scenario.given, *r.scenario.events))


def test_2009_the_last_section_passes_its_rating_within_hours(replays):
    """The rise comes out: the cut is put in, nothing else; the place is where the line did rupture."""
    found = findings(replays, "2009_april_rupture")
    assert found["the section that passes its rating first"].name in ("Ylanly CS Outlet", "Deryalyk")
    assert 1.0 < found["hours from the cut to the rating"].found / 3600 < 6.0
    run = replays["2009_april_rupture"].result
    p = run.pressure["Deryalyk"].values
    assert np.all(np.diff(p[5:]) > 0.0)


def test_2017_what_iran_does_not_take_is_not_produced(replays, country):
    found = findings(replays, "2017_iran_stop")["production"]
    net = country.on("average 2023")
    sold = sum(k.value for k in net.knowns() if k.quantity == "withdrawal" and k.where.startswith("Iran"))
    assert -found.found == pytest.approx(sold, rel=0.02)
    assert million_m3(net, sold) == pytest.approx(9.86, abs=0.01)


def test_2019_the_gas_stops_because_the_power_does(replays, country):
    """Only circuits trip. That the plants stop and the motors with them follows from needs_power and the drives."""
    r = replays["2019_power_outage"]
    quantities = {c.quantity for c in r.scenario.events}
    assert quantities == {"in_service", "supply"}
    assert {w for c in r.scenario.events if c.quantity == "supply" for w in c.where} == {"Galkynysh field"}
    words = dict(r.result.notes)
    assert "Samandepe gas plants load is dead" in words["Bagtyyarlyk A (Samandepe) field"]
    assert "Hojambaz gas plant load is dead" in words["Bagtyyarlyk B (Hojambaz) field"]
    assert "no supply" in words["Samandepe CS"]
    assert {name for name, _ in r.result.dead} == {"Samandepe 220", "Hojambaz 220"}
    china = findings(replays, "2019_power_outage")["gas to China"]
    assert million_m3(country, china.found) == pytest.approx(-35.0, rel=0.1)


def test_2023_borders_fall_in_turn_and_homes_hold(replays):
    found = findings(replays, "2023_galkynysh_loss")
    texts = list(found)
    r = replays["2023_galkynysh_loss"]
    assert r.alone is not None
    iran, china = (f.found / 3600 for f in r.findings[:2])
    assert 24 < china < iran < 48
    assert found[texts[-1]].found > 45e5  # homes: far above their 12 bara
    assert r.result.breaks() == []
    assert {b.element for b in r.alone.breaks()} >= {"Gedaim", "Salyr Yap"}


# ------------------------------------------------------------------------------------------- made-up scenarios


@pytest.fixture
def small(tmp_path):
    def made(text):
        file = tmp_path / "small.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return made


def test_small_scenario_and_its_verdicts(small):
    net = sr.read("two_pipes")
    text = SMALL
    met = replay(net, small(text))
    assert met.good
    assert met.alone is None
    assert met.findings[0].verdict == "as expected"
    for change, verdict in (
        ('direction = "down"', "does not go down"),
        ('published = 1000\nfactor = 2\nreason = "r"', "times what was published"),
        ("at_least = 40", "below its bound"),
        ("at_most = 0.001", "above its bound"),
    ):
        f = replay(net, small(text.replace('direction = "up"', change))).findings[0]
        assert not f.good
        assert verdict in f.verdict
    never = text.replace('measure = "change"', 'measure = "hours until"').replace(
        'direction = "up"', "at_most = 1\nlevel = 99"
    )
    assert replay(net, small(never)).findings[0].verdict == "never reached"
    other = text.replace('measure = "change"', 'measure = "first to reach"').replace(
        'where = "Town B"\nunit = "bara"\ndirection = "up"',
        'where = ["Town A", "Town B"]\nunit = "bara"\nlevel = 49.8\nanswer = "Town A"',
    )
    assert replay(net, small(other)).findings[0].verdict == "not Town A"


def test_every_mistake_of_a_scenario_is_named(small, country):
    text = (
        SMALL.replace('day = ""', 'day = "wintr peak"')
        .replace("hours = 2", "hours = 0")
        .replace('at = "00:30"', 'at = "half past"')
        .replace("Town B gas", "Gedaim")
        .replace('unit = "kg_per_s"', 'unit = "mw"\nby = "weather"')
        .replace('where = "Town B"', 'where = "Deryalik"')
        .replace('direction = "up"', 'published = 3\ncolour = "red"')
    )
    with pytest.raises(CaseError) as caught:
        read_scenario(small(text), country)
    words = str(caught.value)
    for line in (
        "small.toml, day: no day 'wintr peak'; did you mean winter peak?",
        "small.toml, hours: must be above 0",
        "event 1, at: 'half past' is no time",
        "event 1, by: must be one of nature, operator, buyer; got 'weather'",
        "event 1, unit: must be a unit of mass flow",
        "expect 1, where: no element 'Deryalik' in turkmenistan; did you mean Deryalyk?",
        "expect 1, colour: no such key",
        "expect 1, factor: a published size needs the factor",
    ):
        assert line in words, line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('quantity = "pressure"', 'quantity = "presure"'), "cannot be measured: 'presure'; did you mean pressure?"),
        (('quantity = "withdrawal"', 'quantity = "ratio"'), "gas_nodes have no ratio (Gedaim)"),
        (('measure = "change"', 'measure = "first to reach"'), "first to reach`, which needs it"),
        (('direction = "up"', ""), "says nothing that could be wrong"),
        (("value = 20", 'value = "much"'), "value: must be a number, got 'much'"),
        (('at = "00:30"', 'at = "03:00"'), "lies outside the 2 h"),
        (("[[event]]\nat", "[[given]]\nat"), "what is given holds from the start"),
        (('unit = "kg_per_s"', 'unit = "kg"'), "no unit 'kg'"),
        (("[[expect]]", "[expect]"), "must be tables: [[expect]]"),
    ],
)
def test_mistakes_one_by_one(small, country, change, words):
    text = SMALL.replace('day = ""', 'day = "summer"').replace("Town B gas", "Gedaim").replace("Town B", "Gedaim")
    read_scenario(small(text), country)
    with pytest.raises(CaseError) as caught:
        read_scenario(small(text.replace(*change)), country)
    assert words in str(caught.value)


def test_what_is_not_there(small, country, tmp_path):
    with pytest.raises(SeraiError, match="has no scenario '1991'; there are 2009_april_rupture"):
        replay(country, "1991")
    with pytest.raises(SeraiError, match="no bundled case and no folder"):
        scenarios(tmp_path / "nothing")
    with pytest.raises(CaseError, match="cannot be read"):
        read_scenario(tmp_path / "none.toml", country)
    with pytest.raises(CaseError, match="is not TOML"):
        read_scenario(small("title = "), country)


def test_a_run_that_fails_names_the_scenario(small, country):
    text = (
        SMALL.replace('day = ""', 'day = "summer"').replace("Town B gas", "Seydi Gate").replace("Town B", "Seydi Gate")
    )
    with pytest.raises(SeraiError, match=r"scenario small, run with all of its events: at .* below zero"):
        replay(country, small(text.replace("value = 20", "value = 2000")))
