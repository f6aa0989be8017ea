# SPDX-License-Identifier: Apache-2.0
"""What bad readings get: a finding that names them, the rest estimated, never a confident wrong state."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serai as sr
from serai.errors import CaseError, NotClosed, SeraiError, UnknownName
from serai.estimate import Estimator, Meter, estimate
from serai.estimate.doubts import wrong_units
from serai.estimate.given import given as given_readings
from serai.known import Known
from serai.network.instruments import instruments
from serai.simulate.measured import measured
from serai.telemetry.readings import Quality, Readings, Register, joined

TAGS = ("Galkynysh PT", "Malay PT", "Gedaim PT")


@cache
def country():
    """The network, its instruments, what they would read without error, their sigmas, and an estimator."""
    net = sr.read("turkmenistan")
    own = instruments(net)
    truth = sr.steady(net)
    exact = np.array([float(measured(truth, i.quantity, i.where)) for i in own])
    sigmas = np.array([i.sigma_at(v) for i, v in zip(own, exact, strict=True)])
    return net, own, exact, sigmas, Estimator(net)


def scan(z, time=0.0, quality=None, extra=()):
    _, own, *_ = country()
    register = Register(i.tag for i in own)
    rows = [(i.tag, time, v, 0 if quality is None else quality[k], time) for k, (i, v) in
            enumerate(zip(own, z, strict=True))]  # fmt: skip
    return Readings.of(register, rows + [(tag, time, v, 0, time) for tag, v in extra])


def noisy(seed=0):
    _, _, exact, sigmas, _ = country()
    return exact + sigmas * np.random.default_rng(seed).standard_normal(len(exact))


def place(tag):
    return [i.tag for i in country()[1]].index(tag)


def kinds(found):
    return {f.kind: f for f in found.findings}


def clean_state_but(found, gone=()):
    """Every meter that is used agrees with the truth within six standard deviations of the estimate."""
    _, _, exact, sigmas, _ = country()
    seen = np.isfinite(found.estimated)
    seen[list(gone)] = False
    assert (np.abs(found.estimated - exact)[seen] < 6.0 * sigmas[seen]).all()


def test_a_clean_scan_has_no_findings_and_its_state_is_as_steady_gives_it():
    net, *_, estimator = country()
    found = estimator.run(scan(noisy()))
    assert not found.findings
    assert found.converged
    assert found.mismatch < 1e-9
    assert 0.001 < found.chi_square < 0.999
    steady = sr.steady(net)
    assert set(found.state.dataset) == set(steady.dataset)
    for variable in steady.dataset:
        assert found.state.dataset[variable].dims == steady.dataset[variable].dims
    assert float(found.state.pressure["Gedaim"]) == pytest.approx(float(steady.pressure["Gedaim"]), rel=2e-3)
    assert found.table().shape == (837, 10)
    assert "837 readings" in repr(found)


@pytest.mark.parametrize(("factor", "words"), [(1e-5, "bar where Pa is meant"), (1e3, "1,000 times too much"),
                                               (1e-3, "kPa where Pa is meant")])  # fmt: skip
def test_a_pressure_in_another_unit_is_named(factor, words):
    *_, estimator = country()
    z = noisy(1)
    z[place("Gedaim PT")] *= factor
    found = estimator.run(scan(z))
    assert kinds(found)["unit"].where == ("Gedaim PT",)
    assert words in str(kinds(found)["unit"])
    assert not found.used[place("Gedaim PT")]
    clean_state_but(found)


def test_all_pressures_of_a_case_in_bar_are_named_together():
    net, own, *_ = country()
    z = noisy(2)
    bar = [k for k, i in enumerate(own) if "pressure" in i.quantity]
    z[bar] *= 1e-5
    found = Estimator(net).run(scan(z))
    assert len(kinds(found)["unit"].where) == len(bar)
    assert "bar where Pa is meant" in str(kinds(found)["unit"])
    assert "too few" in kinds(found)  # no pressure is left, so none is told
    assert np.isnan(found.state.pressure["Gedaim"])
    assert np.isfinite(float(found.state.magnitude["Mary 500"]))


def test_kilowatts_for_megawatts_are_named():
    *_, estimator = country()
    z = noisy(3)
    k = int(np.argmax([abs(v) if i.quantity == "active_power_from" else 0.0 for i, v in
                       zip(country()[1], country()[2], strict=True)]))  # fmt: skip
    z[k] *= 1e3
    found = estimator.run(scan(z))
    assert kinds(found)["unit"].where == (country()[1][k].tag,)
    assert "kW where MW is meant" in str(kinds(found)["unit"])
    clean_state_but(found)


def test_a_stuck_station_is_named():
    net, own, *_ = country()
    estimator = Estimator(net)
    station = "Malay"
    mine = [k for k, i in enumerate(own) if i.station == station]
    assert len(mine) >= 3
    frozen = noisy(10)[mine]
    for s in range(8):
        z = noisy(10 + s)
        z[mine] = frozen
        found = estimator.run(scan(z, time=60.0 * s))
        assert ("stuck" in kinds(found)) == (s >= 5)
    assert station in str(kinds(found)["stuck"])
    assert set(kinds(found)["stuck"].where) == {own[k].tag for k in mine}
    assert not found.used[mine].any()
    clean_state_but(found)


def test_a_stuck_station_is_named_from_one_batch_of_several_scans():
    net, own, *_ = country()
    mine = [k for k, i in enumerate(own) if i.station == "Malay"]
    scans = []
    for s in range(8):
        z = noisy(10 + s)
        z[mine] = noisy(10)[mine]
        scans.append(scan(z, time=60.0 * s))
    register = scans[0].register
    batch = joined([Readings(register, s.tag, s.time, s.value, s.quality, s.received) for s in scans])
    found = estimate(net, batch)
    assert set(kinds(found)["stuck"].where) == {own[k].tag for k in mine}
    assert found.values[place("Galkynysh PT")] == scans[-1].value[place("Galkynysh PT")]


def test_a_reading_that_is_shown_again_does_not_stand_still():
    """Gas is read every minute, power every few seconds: between two readings the last one is shown again."""
    net, own, *_ = country()
    estimator = Estimator(net)
    slow = np.array([i.scan > 30.0 for i in own])
    register, still = Register(i.tag for i in own), noisy(30)
    for s in range(8):
        z = np.where(slow, still, noisy(31 + s))
        batch = Readings.of(register, [(i.tag, 0.0 if lazy else 4.0 * s, v, 0, 4.0 * s) for i, v, lazy in
                                       zip(own, z, slow, strict=True)])  # fmt: skip
        assert not estimator.run(batch).findings


def test_nan_bad_quality_and_unknown_tags_are_set_aside():
    _net, own, *_, estimator = country()
    z = noisy(4)
    z[place("Gedaim PT")] = np.nan
    quality = np.zeros(len(z), int)
    quality[place("Malay PT")] = Quality.INVALID
    quality[place("Galkynysh PT")] = Quality.CLOCK_SKEW  # tells of the way, not of the value
    found = estimator.run(scan(z, quality=quality, extra=[("Nobody PT", 5e6)]))
    assert kinds(found)["not a number"].where == ("Gedaim PT",)
    assert "Malay PT (invalid)" in str(kinds(found)["quality"])
    assert kinds(found)["unknown"].where == ("Nobody PT",)
    assert found.used[place("Galkynysh PT")]
    assert found.used.sum() == len(own) - 2
    clean_state_but(found)


def test_instruments_with_sigma_zero_or_negative_are_set_aside():
    net, own, *_ = country()
    t = net["instruments"]
    sigma, share = t["sigma"].copy(), t["sigma_of_reading"].copy()
    sigma[place("Gedaim PT")], sigma[place("Malay PT")] = 0.0, -5e3
    found = estimate(net.with_tables(instruments=t.replace(sigma=sigma, sigma_of_reading=share)), scan(noisy(5)))
    assert {f.where for f in found.findings if f.kind == "sigma"} == {("Gedaim PT",), ("Malay PT",)}
    assert found.used.sum() == len(own) - 2
    with pytest.raises(SeraiError, match="sigma must be 0"):
        Known("pressure", "Gedaim", 5e6, sigma=-1.0)


def test_too_few_readings_name_what_is_unseen_and_the_rest_is_solved():
    net, own, _exact, sigmas, _ = country()
    gas = {"gas_nodes", "supplies", "offtakes", "plants", "compressors", "control_valves"}
    kept = [Known(i.quantity, i.where, v, s) for i, v, s in zip(own, noisy(6), sigmas, strict=True)
            if net.kind_of(i.where) not in gas]  # fmt: skip
    found = estimate(net, kept)
    assert found.converged
    assert kinds(found)["too few"]
    unseen = {q for q, _ in found.unobservable}
    assert {"pressure", "flow", "withdrawal"} <= unseen
    assert not unseen & {"angle", "magnitude", "active_power", "active_withdrawal"}
    for quantity in (
        "pressure",
        "flow",
    ):  # pattern and numbers agree; of powers the numbers tell more: a bypass has none
        seen, untold = ({n for q, n in of if q == quantity} for of in (found.unobservable, found.untold))
        assert seen == untold
    assert not {q for q, _ in found.untold} & {"angle", "magnitude", "active_power"}
    assert found.sigma("pressure", "Gedaim") == np.inf
    assert np.isnan(found.state.pressure["Gedaim"])
    assert np.isnan(found.state.linepack_total)
    assert 0.0 < found.sigma("magnitude", "Mary 500") < 0.01
    assert found.degrees_of_freedom == len(kept) - _rank(found)


def _rank(found):
    """How much the readings tell beside the laws: the rank of H on the null space of the laws, by dense SVD."""
    p = found.problem
    found._ready()
    H, A = np.zeros((found.used.size, p.n)), np.zeros((p.m, p.n))
    inside = p.h_columns >= 0
    np.add.at(H, (p.h_rows[inside], p.h_columns[inside]), (p.H / found.sigmas[p.h_rows])[inside])
    np.add.at(A, (p.a_rows, p.a_columns), p.A)
    _, values, rows = np.linalg.svd(A)
    told = np.linalg.svd(H @ rows[(values > 1e-12 * values[0]).sum() :].T, compute_uv=False)
    return int((told > 1e-9 * told[0]).sum())


def test_no_readings_at_all():
    net, *_ = country()
    found = estimate(net, [])
    assert not found.used.any()
    assert kinds(found)["too few"]
    assert np.isnan(found.state.pressure["Gedaim"])
    assert found.objective == 0.0
    assert found.degrees_of_freedom == 0


def test_contradicting_exact_knowns_are_named():
    net, _own, *_, _sigmas, _ = country()
    both = [Known("pressure", "Gedaim", 60e5), Known("pressure", "Galkynysh", 79e5, source="order 1")]
    with pytest.raises(NotClosed, match="Galkynysh is given exactly twice"):
        estimate(net, [*both, Known("pressure", "Galkynysh field", 70e5)])
    line = sr.read("two_pipes")
    nodes = line["gas_nodes"].names
    flows = [Known("flow", n, 10.0 + 5.0 * k) for k, n in enumerate(line["pipes"].names)]
    with pytest.raises(NotClosed, match="contradict each other around the mass balance"):
        estimate(line, [Known("pressure", nodes[0], 60e5, 1e4), Known("withdrawal", nodes[1], 0.0), *flows])


def test_what_does_not_run_is_said():
    net, _own, _, _sigmas, _ = country()
    lost = net.with_status(["Malay CS"])
    found = estimate(lost, scan(noisy(7)))
    assert any("Malay CS" in w for w in kinds(found)["not running"].where)
    assert found.converged


def test_tables(tmp_path):
    net, own, exact, *_ = country()
    frame = pd.DataFrame({"tag": [i.tag for i in own], "value": exact, "unit": "", "sigma": ""})
    bar = [place(t) for t in TAGS]
    frame.loc[bar, "value"] = exact[bar] / 1e5
    frame.loc[bar, "unit"] = "bara"
    rest = [k for k in range(len(own)) if k not in bar]
    frame.loc[rest, "unit"] = [{"pressure": "pa", "mass flow": "kg_per_s", "power": "w", "reactive power": "var",
                                "per unit": "pu"}[_dimension(own[k].quantity)] for k in rest]  # fmt: skip
    extra = pd.DataFrame({"tag": ["Nobody PT", TAGS[0], "Malay CS PT in"], "value": ["5", "70", "ten"],
                          "unit": ["bara", "bara", "bara"], "sigma": ["", "", ""]})  # fmt: skip
    file = tmp_path / "readings.csv"
    pd.concat([frame, extra]).to_csv(file, index=False)
    found = estimate(net, file)
    assert found.used.sum() == 837
    assert found.objective < 1e-6
    text = " / ".join(map(str, found.findings))
    assert "row 839" in text
    assert "Nobody PT" in text
    assert "is given twice" in text
    assert "'ten' is no number" in text
    with pytest.raises(SeraiError, match="no such file"):
        estimate(net, tmp_path / "none.csv")
    with pytest.raises(CaseError, match="columns value and unit"):
        estimate(net, pd.DataFrame({"when": [1]}))
    wrong = pd.DataFrame({"quantity": ["pressure", "pressure", "glow"], "where": ["Gedaim"] * 3, "value": [60, 60, 1],
                          "unit": ["mw", "bara", ""], "sigma": [0.05, 0.0, 1.0]})  # fmt: skip
    texts = [str(f) for f in estimate(net, wrong).findings if f.set_aside]
    assert "mw is a unit of power, not of pressure" in texts[0]
    assert "has sigma 0" in texts[1]
    assert "gas_nodes have no 'glow'" in texts[2]


def _dimension(quantity):
    from serai.estimate.meters import dimension

    return dimension(quantity)


def test_critical_meters_are_those_without_which_something_is_unseen():
    _net, _own, _exact, _sigmas, estimator = country()
    found = estimator.run(scan(noisy(8)))
    assert found.critical
    assert np.isnan(found.normalised[[found.meters.index(m) for m in found.critical]]).all()
    for meter in (found.critical[0], found.critical[-1]):
        z = noisy(8)
        z[found.meters.index(meter)] = np.nan
        assert estimator.run(scan(z)).unobservable
    assert found.redundancy == pytest.approx(837 / 278)


def test_positions_are_taken_exactly():
    net, *_ = country()
    given = [Known("pressure", "Gedaim", 60e5, 5e3), Known("open", "Malay CS", 0.97, 0.01)]
    found = estimate(net, given)
    fixed = found.problem.frame.fixed
    ratio = found.problem.frame.system.equations.columns["ratio"].index["Malay CS"]
    assert fixed[ratio].value == 1.0
    doubtful = estimate(net, [given[0], Known("open", "Malay CS", 0.5, 0.01)])
    assert kinds(doubtful)["position"].where == ("open of Malay CS",)


def test_unknown_names():
    net, *_, estimator = country()
    found = estimator.run(scan(noisy(9)))
    with pytest.raises(UnknownName, match="have no 'glow' to measure"):
        found.sigma("glow", "Gedaim")
    assert estimate(net, [Known("pressure", "Atlantis", 5e6, 5e3)]).findings[0].kind == "unknown"


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Galkynysh PT", "Nobody", "", "Malay PT", "Malay CS FT"]),
            st.sampled_from(["pressure", "flow", "", "temperature", "open", "glow"]),
            st.sampled_from(["Gedaim", "Malay CS", "", "Atlantis"]),
            st.one_of(st.floats(width=32), st.text(max_size=4)),
            st.sampled_from(["bara", "", "mw", "furlong", "kg_per_s"]),
            st.one_of(st.floats(width=32), st.just("")),
        ),
        max_size=6,
    )
)
def test_no_table_crashes_the_reader(rows):
    """Whatever stands in the cells: every row is either a reading fit to be weighed or named in a finding."""
    net, *_ = country()
    table = pd.DataFrame(rows, columns=["tag", "quantity", "where", "value", "unit", "sigma"])
    found = given_readings(net, table)
    assert len(found.meters) + len(found.exact) + len(found.findings) == len(rows)
    assert np.isfinite(found.values).all()
    assert all(s > 0.0 for s in found.sigmas)


def test_knowns_find_the_meters_of_the_case_by_tag_or_by_place_and_strangers_are_named():
    """An estimator made for the case's instruments takes Knowns too: none of them is lost in silence."""
    net = sr.read("turkmenistan")
    state = sr.steady(net)
    own = [i for i in instruments(net) if i.quantity == "pressure"][:20]
    by_place = [sr.Known("pressure", i.where, float(state.pressure[i.where]), i.sigma) for i in own[:10]]
    by_tag = [sr.Known("pressure", i.where, float(state.pressure[i.where]), i.sigma, source=i.tag) for i in own[10:]]
    stranger = sr.Known("angle", str(net["buses"].names[0]), 0.0, 0.01)
    found = Estimator(net).run([*by_place, *by_tag, stranger])
    assert int(found.used.sum()) == 20
    assert any(f.kind == "unknown" and "angle" in f.text and f.set_aside for f in found.noted)
    str(found), found.findings


def test_a_low_pressure_zone_is_no_other_unit_when_nothing_else_is_known():
    """Without a state to hold against, 6 bar beside 60 bar may both be right; 60 beside 60e5 may not."""
    meters = [Meter("pressure", name) for name in "abcde"]
    values, sigmas, nothing = np.array([60e5, 54e5, 6e5, 58e5, 57e5]), np.full(5, 5e3), np.full(5, np.nan)
    assert not wrong_units(meters, values, sigmas, nothing)
    values[0] = 60.0
    assert set(wrong_units(meters, values, sigmas, nothing)) == {0}
