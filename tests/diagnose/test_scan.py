# SPDX-License-Identifier: Apache-2.0
"""One thing wrong in a scan of the bundled country: found and named, or the set of answers holds it."""

import numpy as np
import pytest

from diagnose.scans import country, exact, scan
from serai.diagnose import diagnose
from serai.known import Known


def found(knowns=(), seed=1, wrong=None, **asked):
    net, *_, estimator = country()
    return diagnose(net, scan(knowns, seed, wrong), estimator=estimator, **asked)


def told(fault):
    return {(s.kind, s.where) for s in fault.suspects}


@pytest.mark.parametrize("seed", range(200, 206))
def test_a_clean_scan_has_no_fault(seed):
    d = found(seed=seed)
    assert d.faults == ()
    assert d.limit > 4.0


def test_a_leak_where_nothing_is_attached():
    (fault,) = found([Known("withdrawal", "CAC CS-3 Outlet", 10.0)]).faults
    assert ("leak", "CAC CS-3 Outlet") in told(fault)
    assert fault.size == pytest.approx(10.0, abs=4.0 * fault.sigma)
    assert fault.false_alarm < 1e-6


def test_a_theft_beside_an_offtake_is_one_set_with_its_meter():
    """More is taken than the meter says: no reading tells a theft behind a meter from a meter that reads too little."""
    net, own, *_ = country()
    clean = found()
    h, smallest = clean.tested, clean.smallest()
    size = {h.where[k]: smallest[k] for k in range(len(h)) if h.kind[k] == "reading"}
    offtakes = net["offtakes"]
    alone = [i for i in own if i.quantity == "withdrawal" and i.tag in size
             and (offtakes["node"] == offtakes["node"][offtakes.row(i.where)]).sum() == 1]  # fmt: skip
    meter = min(alone, key=lambda i: size[i.tag])
    node = str(offtakes["node"][offtakes.row(meter.where)])
    theft = 1.5 * float(size[meter.tag])
    taken = float(exact()[[i.tag for i in own].index(meter.tag)]) + theft
    sigma = meter.sigma_at(taken)
    d = found([Known("withdrawal", meter.where, taken)], wrong={meter.tag: -theft / sigma})
    (fault,) = d.faults
    assert {("reading", meter.tag), ("leak", node)} <= told(fault)
    assert next(s.size for s in fault.suspects if s.kind == "leak") == pytest.approx(theft, abs=4.0 * fault.sigma)


QUANTITIES = ("pressure", "withdrawal", "supply", "flow", "power", "fuel", "plant_fuel", "active_power", "magnitude",
              "active_power_from", "reactive_power_to", "inlet_pressure")  # fmt: skip


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_wrong_reading(quantity):
    """Half as much again as the smallest size that is found nine times in ten, at the first such meter."""
    clean = found()
    meters = [m for m in clean.estimate.meters if m.quantity == quantity]
    h, smallest = clean.tested, clean.smallest()
    size = {h.where[k]: smallest[k] for k in range(len(h)) if h.kind[k] == "reading" and np.isfinite(smallest[k])}
    meter = next(m for m in meters if m.name in size)
    sigma = clean.estimate.sigmas[clean.estimate.meters.index(meter)]
    fault, *more = found(wrong={meter.name: 1.5 * size[meter.name] / sigma}).faults
    assert ("reading", meter.name) in told(fault)
    assert not more


def test_a_line_that_is_out_while_it_is_said_to_be_in():
    net, *_ = country()
    for line in (net["lines"].names[5], net["lines"].names[20]):
        d = found([Known("in_service", line, 0.0)])
        assert d.faults[0].kind == "branch open"
        assert line in d.faults[0].where
        assert d.faults[0].confirmed
        assert d.left.objective < 2.0 * d.left.degrees_of_freedom


def test_where_the_scores_mislead_the_open_line_is_found_by_estimating_anew():
    """A line of a ring that carries little: by its score, to first order, its neighbour is the better answer."""
    net, *_, estimator = country()
    line = "Ekerem 220 - Esenguly 220"
    d = diagnose(net, scan([Known("in_service", line, 0.0)], 14010), estimator=estimator)
    z, h = d.tested.statistic(), d.tested
    assert h.where[int(np.argmax(np.abs(z)))] == "Gumdag 220 - Ekerem 220"
    (fault,) = d.faults
    assert fault.where == (line,)
    assert fault.confirmed


def test_a_station_that_runs_while_it_is_said_to_be_bypassed():
    (fault, *_) = found([Known("ratio", "EW CS-1", 1.05)]).faults
    assert ("position", "EW CS-1") in told(fault)


def test_a_command_nobody_gave():
    net, *_ = country()
    commands = [Known(k.quantity, k.where, k.value, 1e-3 * abs(k.value)) for k in net.knowns()
                if k.quantity in ("outlet_pressure", "ratio")]  # fmt: skip
    assert found(commands=commands).commands == ()
    d = found([Known("ratio", "Korpeje CS", 1.32)], commands=commands)
    assert d.faults == ()  # all laws hold: the station does what it was told, by somebody else
    (gone,) = d.commands
    assert (gone.command.quantity, gone.command.where) == ("ratio", "Korpeje CS")
    assert gone.held == pytest.approx(1.32, abs=5.0 * gone.sigma)


def test_several_faults_are_removed_one_after_the_other():
    wrong = {"Mary 500 - Kerki 500 Q from": 42.0, "Gedaim PT": -12.0}
    d = found([Known("withdrawal", "CAC CS-3 Outlet", 15.0)], wrong=wrong)
    assert [f.order for f in d.faults] == [1, 2, 3]
    assert ("reading", "Mary 500 - Kerki 500 Q from") in told(d.faults[0])
    assert {("reading", "Gedaim PT"), ("leak", "CAC CS-3 Outlet")} <= told(d.faults[1]) | told(d.faults[2])
    assert "1. reading Mary 500 - Kerki 500 Q from" in repr(d)


def test_the_smallest_size_is_found_nine_times_in_ten():
    net, *_, estimator = country()
    d = found()
    h = d.tested
    k = next(k for k in range(len(h)) if (h.kind[k], h.where[k]) == ("leak", "CAC CS-3 Outlet"))
    size = float(d.smallest()[k])
    hits = [diagnose(net, scan([Known("withdrawal", "CAC CS-3 Outlet", size)], seed), estimator=estimator).faults
            for seed in range(300, 340)]  # fmt: skip
    rate = np.mean([bool(f) and ("leak", "CAC CS-3 Outlet") in set().union(*map(told, f)) for f in hits])
    assert rate >= 0.8  # 0.9 less two standard deviations of 40 draws


def test_readings_without_an_answer_tell_nothing():
    net, *_ = country()
    d = diagnose(net, [Known("pressure", "Gedaim", 73e5, 1e4)])
    assert d.faults == ()
    assert d.estimate.unobservable


def test_no_readings_and_nonsense_tell_nothing_and_do_not_crash():
    net, own, register, estimator = country()
    assert diagnose(net, []).faults == ()
    zeros = type(scan()).of(register, [(i.tag, 0.0, 0.0, 0, 0.0) for i in own])
    with np.errstate(all="ignore"):  # the state last tried makes no sense, its mismatch is not a number
        d = diagnose(net, zeros, estimator=estimator)
    assert not d.estimate.converged
    assert d.faults == ()
    assert "not converged" in [f.kind for f in d.findings]
    assert diagnose(net, scan(seed=205), estimator=estimator).faults == ()  # the next scan is not harmed


def test_a_meter_that_is_set_aside_for_its_unit_is_a_finding_and_no_fault():
    net, _, _, estimator = country()
    batch = scan(seed=1)
    value = batch.value.copy()
    value[[batch.register[int(t)] for t in batch.tag].index("Gedaim PT")] *= 1e-5
    d = diagnose(net, type(batch)(batch.register, batch.tag, batch.time, value, batch.quality, batch.received),
                 estimator=estimator)  # fmt: skip
    assert d.faults == ()
    assert [f.kind for f in d.estimate.findings] == ["unit"]


def test_scans_that_are_looked_at_twice_do_not_stand_still():
    """Faults are estimated again: that must not count as one scan more of a station that stands still."""
    for _ in range(8):
        d = found(seed=1, wrong={"Gedaim PT": 60.0})
        assert [f.kind for f in d.faults] == ["reading"]
        assert d.faults[0].confirmed
        assert not d.left.findings
