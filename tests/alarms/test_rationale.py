# SPDX-License-Identifier: Apache-2.0
"""Records as data: the country's own, and every mistake that a file can hold; limits against a loop; feeds."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import serai as sr
from alarms.small_list import FINDING, HIGH, LOW, T0, WHY, book, network
from serai.alarms import Alarms, rationale
from serai.alarms.feeds import neighbours, of_ahead, of_findings, of_health, of_quality
from serai.alarms.limits import Limits, watched
from serai.alarms.rationale import from_tables, unrecorded
from serai.errors import CaseError
from serai.simulate.limits import CHECKED
from serai.telemetry.readings import Quality


@pytest.fixture(scope="module")
def country():
    return sr.read("turkmenistan")


def test_every_record_of_the_country_is_whole(country):
    records = rationale(country).records
    assert len(records) > 20
    for r in records.values():
        assert all(len(t) > 15 for t in (r.cause, r.consequence, r.response)), r.key
        assert r.time_to_respond >= r.on_delay, r.key
        assert not r.explained_by or r.priority != "urgent"
        assert r.text.format_map(dict.fromkeys(("element", "value", "limit", "unit"), 1) | _all_parameters())


def _all_parameters():
    names = "kind size unit_of_size count of age flags quantity hours behind reason"
    return dict.fromkeys(names.split(), 1)


def test_every_key_that_a_feed_tells_has_a_record(country):
    findings = [
        {"id": k, "kind": kind, "where": "Gedaim", "set": []}
        for k, kind in enumerate(("leak", "theft", "bias", "forged", "status", "command", "parameter"))
    ]
    health = {
        "estimates": {"gas": {"age_s": 900, "late": True}}, "loop": {"behind_s": 9.0, "period_s": 1.0},
        "sources": [{"name": f"s{k}", "status": "down", "reason": None} for k in range(3)],
        "history": {"status": "full"},
        "processes": [{"name": "p", "status": "starting"}],
    }  # fmt: skip
    reached = [
        {
            "element": "gas_nodes/Gedaim",
            "quantity": "pressure",
            "value": 64.0,
            "limit": 65.0,
            "unit": "bara",
            "hours": h,
        }
        for h in (1.0, 9.0)
    ]
    tags = [(f"t{k}", "S", "Gedaim") for k in range(4)] + [(f"u{k}", "T", "Malay") for k in range(3)]
    flags = [0, 0, 0, 0, int(Quality.STALE), int(Quality.FROZEN), 0]
    silent = {"t0": 99.0, "t1": 99.0, "t2": 99.0}
    told = (
        of_findings(findings, country) + of_health(health) + of_ahead(reached[:1]) + of_ahead(reached[1:])
        + of_quality(tags, flags, silent)
    )  # fmt: skip
    assert unrecorded(rationale(country), (c.key for c in told)) == []
    assert {c.key for c in told} == {r.key for r in rationale(country).records.values() if r.source != "limit"}


def lost(country, down, steps):
    """The states of alarms, by key, after a field of ten stations of two signals has lost some of them for a time."""
    names = [f"S{k}" for k in range(10)]
    tags = [(f"{name} {q}", name, name) for name in names for q in ("PT", "FT")]
    alarms, time, seen = Alarms(rationale(country), country), T0, []
    for gone, dumb, seconds in steps:
        for _ in range(0, seconds, 2):
            time += 2.0
            sources = [
                {"name": n, "stations": [n], "status": "down" if gone and n in down else "up", "reason": "refused"}
                for n in names
            ]
            quality = [int(Quality.INVALID | Quality.NOT_TOPICAL) if dumb and s in down else 0 for _, s, _ in tags]
            silent = {t: 99.0 for t, s, _ in tags if gone and s in down}
            alarms.report("solver", time, of_health({"sources": sources}, tags))
            alarms.report("data", time, of_quality(tags, quality, silent))
        told = Counter(a.key for a in alarms.standing(("unacknowledged",)))
        seen.append((dict(told), sum(a.state == "suppressed" for a in alarms.standing())))
    return seen, alarms


def test_a_field_that_is_lost_is_one_alarm_and_those_that_stay_away_are_told_when_the_others_are_back(country):
    names = [f"S{k}" for k in range(10)]
    away, starting, well = (True, False, 200), (False, True, 60), (False, False, 400)
    seen, alarms = lost(country, names, [away, starting, well])
    assert seen[0] == ({"health.links": 1}, 20)  # ten sources, ten stations
    assert seen[1][0] == {"health.links": 1}
    assert seen[2] == ({}, 0)
    assert alarms.tally()["unacknowledged"] == 1  # it has returned and wants to be seen
    assert len(alarms.alarm(next(a.id for a in alarms.standing())).notes) == 20

    seen, alarms = lost(country, names[:1], [away, well])
    assert seen == [({"health.source": 1}, 1), ({}, 0)]
    assert alarms.tally()["unacknowledged"] == 1


def test_limits_of_every_kind_have_a_record_or_are_named_here(country):
    """What the network limits and no record watches: flows and outputs whose limits are set-points, not dangers."""
    watched_ = {(kind, r.quantity, r.side) for r in rationale(country).of_limits() for kind in r.kinds}
    same = {"supplied": "supply", "delivered": "withdrawal"}
    missing = set()
    for kind, _, variable, low, high in CHECKED:
        t = country.active(kind)
        for side, column in (("low", low), ("high", high)):
            if column and len(t) and np.isfinite(t[column]).any():
                key = (kind, same.get(variable, variable), side)
                missing |= {key} - watched_
    assert missing == {
        ("supplies", "supply", "high"), ("offtakes", "withdrawal", "high"), ("compressors", "ratio", "high"),
        ("generators", "active_power", "low"), ("generators", "reactive_power", "low"),
        ("generators", "reactive_power", "high"),
    }  # fmt: skip


@pytest.mark.parametrize("day", ["winter peak", "average 2023", "summer"])
def test_an_ordinary_day_of_the_country_makes_no_alarm(day):
    net = sr.read("turkmenistan", day=day)
    run = sr.transient(net, hours=24, step="1h")
    dims = {"pressure": "gas_node", "power": "compressor", "supplied": "supply", "loading": "grid_branch",
            "magnitude": "bus", "active_power": "generator"}  # fmt: skip
    names = [(q, str(n)) for q, dim in dims.items() for n in run.dataset[dim].values]
    values = np.concatenate([run.dataset[q].values for q in dims], axis=1)
    alarms = Alarms(rationale(net), net)
    assert alarms.watch(names) > 600
    for k, row in enumerate(values):
        alarms.scan(T0 + 3600.0 * k, row)
        alarms.step(T0 + 3600.0 * k + 3599.0)
    assert [a.text for a in alarms.standing()] == []
    assert alarms.history(0.0, 1e12) == []


MISTAKES = [
    ({"priority": "red"}, "must be one of urgent"),
    ({"owner": ""}, "must be given"),
    ({"date": "2026-11-22"}, "must be a date"),
    ({"time_to_respond": "soon"}, "must be a time"),
    ({"quantty": "pressure"}, "no such key; did you mean quantity"),
    ({"side": "up"}, "must be high or low"),
    ({"kinds": ["gas_node"]}, "no kind of element 'gas_node'"),
    ({"set_point": "pressure_maxi"}, "have no number 'pressure_maxi'"),
    ({"unit": "bars"}, "no unit 'bars'"),
    ({"dead_band": -1.0}, "must be 0 or above"),
    ({"explained_by": ["nothing"]}, "no record 'nothing'"),
    ({"latch": "yes"}, "must be true or false"),
    ({"kinds": "gas_nodes"}, "must be a list of names"),
    ({"source": "magic"}, "must be one of limit"),
    ({"group": "country"}, "must be element or station"),
]


@pytest.mark.parametrize(("change", "text"), MISTAKES)
def test_a_mistake_in_a_record_is_named(change, text):
    with pytest.raises(CaseError, match="record pressure") as caught:
        from_tables({"record": [{**HIGH, "key": "pressure", "priority": "high", **change}]})
    assert text in str(caught.value)


def test_all_mistakes_at_once_and_the_philosophy():
    record = {**HIGH, "key": "p", "priority": "high"}
    with pytest.raises(CaseError) as caught:
        from_tables({
            "philosophy": {"flod_begins": 3, "shelving": {"urgent": "1h"}},
            "record": [{**record, "priority": "x", "owner": ""}, record, record], "alarm": [],
        })  # fmt: skip
    text = str(caught.value)
    assert "6 mistakes" in text
    meant = "flod_begins: no such key; did you mean flood_begins"
    for part in (meant, "urgent alarms cannot be shelved", "given twice", "no such table"):
        assert part in text
    with pytest.raises(CaseError, match="must be given"):
        from_tables({"record": [{}]})


def test_a_case_without_records_has_no_alarms():
    assert rationale("two_pipes").records == {}
    with pytest.raises(CaseError, match="no such file"):
        rationale("nowhere.toml")


VALUES = st.lists(
    st.lists(st.one_of(st.floats(0, 100), st.just(math.nan)), min_size=3, max_size=3), min_size=1, max_size=12
)


@given(VALUES, st.floats(0.0, 10.0))
def test_limits_are_those_of_a_loop(series, dead):
    """Every value against its limit by itself, in plain Python."""
    rules = book({**HIGH, "key": "h", "priority": "high", "dead_band": dead},
                 {**LOW, "key": "l", "priority": "high", "dead_band": dead})  # fmt: skip
    held = list(watched(rules, network(("A", "B", "C")), [("pressure", n) for n in "ABC"]))
    limits = Limits.of(range(len(held)), held)
    state = np.zeros(len(held), dtype=bool)
    expected = dict.fromkeys(range(len(held)), False)
    for bars in series:
        state = limits.check(np.array(bars) * 1e5, state)
        for k, w in enumerate(held):
            v = bars["ABC".index(w.where)] * 1e5
            far = (v - 80e5) if w.record.key == "h" else (40e5 - v)
            if far > 0:
                expected[k] = True
            elif far <= -dead * 1e5:
                expected[k] = False
        assert state.tolist() == list(expected.values())


def test_set_points_follow_the_record(country):
    records = [
        {**HIGH, "key": "near", "priority": "low", "offset": -1.0, "factor": 0.5},
        {**HIGH, "key": "fixed", "priority": "low", "set_point": 42.0, "only": ["gate"]},
        {**HIGH, "key": "one", "priority": "low", "elements": ["Gedaim"]},
    ]
    nodes = country.active("gas_nodes")
    found = {
        (w.record.key, w.where): w.limit
        for w in watched(book(*records), country, [("pressure", n) for n in nodes.names])
    }
    top = float(nodes["pressure_max"][nodes.row("Gedaim")])
    assert found["near", "Gedaim"] == pytest.approx(top * 0.5 - 1e5)
    assert found["one", "Gedaim"] == top
    assert sum(k == "one" for k, _ in found) == 1
    gates = [str(n) for n, kind in zip(nodes.names, nodes["kind"], strict=True) if kind == "gate"]
    assert sorted(w for k, w in found if k == "fixed") == sorted(gates)
    assert found["fixed", gates[0]] == pytest.approx(42e5)


def test_a_hot_day_lowers_the_limit_of_a_unit():
    hot, cold = (sr.read("turkmenistan", day=d) for d in ("summer", "winter peak"))
    of = {}
    for net in (hot, cold):
        held = watched(rationale(net), net, [("active_power", "Mary CC1")])
        of[net.day] = next(w.limit for w in held if w.record.key == "generator.over")
    assert of["summer"] == pytest.approx(684.7e6 * 1.02)
    assert of["winter peak"] == pytest.approx(787e6 * 1.02)


def test_a_silent_station_is_one_alarm(country):
    alarms = Alarms(rationale(country), country)
    tags = [(f"Malay {k}", "Malay", "Malay") for k in range(10)] + [("Gedaim PT", "Gedaim", "Gedaim")]
    alarms.report(
        "data", T0, of_quality(tags, [0] * 11, {f"Malay {k}": 200.0 for k in range(9)} | {"Gedaim PT": 200.0})
    )
    alarms.step(T0 + 120)
    assert sorted((a.key, a.where) for a in alarms.standing()) == [
        ("data.silent", "Gedaim PT"),
        ("data.station", "Malay"),
    ]


def test_a_leak_and_a_theft_are_one_alarm_and_a_forged_reading_another():
    rules = book(FINDING, {**WHY, "key": "diagnosis.forged", "source": "diagnosis", "priority": "urgent", "text": "x"})
    net = sr.read("turkmenistan")
    alarms = Alarms(rules, net)
    leak = {"id": "1", "kind": "leak", "where": "pipes/Galkynysh - Garagum Junction", "set": ["gas_nodes/Galkynysh"]}
    alarms.report("diagnosis", T0, of_findings([leak], net))
    alarms.report("diagnosis", T0 + 1, of_findings([{**leak, "kind": "theft"}], net))
    assert [(a.key, a.where, a.element) for a in alarms.standing()] == [
        ("diagnosis.loss", "Galkynysh - Garagum Junction", "pipes/Galkynysh - Garagum Junction")
    ]
    alarms.report("diagnosis", T0 + 2, of_findings([{"id": "2", "kind": "forged", "where": "Galkynysh PT"}], net))
    assert sorted(a.key for a in alarms.standing()) == ["diagnosis.forged", "diagnosis.loss"]


def test_neighbours_are_ends_and_far_ends(country):
    pipes = country.active("pipes")
    k = pipes.row("Galkynysh - Garagum Junction")
    found = neighbours(country, frozenset({str(pipes.names[k])}))
    assert {"Galkynysh", "Garagum Junction", "Uchajy", "Galkynysh field"} <= found
    assert "Malay" not in found  # two pipes away
