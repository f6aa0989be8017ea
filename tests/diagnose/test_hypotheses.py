# SPDX-License-Identifier: Apache-2.0
"""Every hypothesis is one added unknown: held against the estimate that has that unknown.

Readings are small multiples of sigma beside a network of mild curvature, so what the formulas give at the first step
and what a new search gives agree to the share said at each test.
"""

import numpy as np
import pytest

import serai as sr
from diagnose.scans import country, scan
from serai.diagnose.departures import departures
from serai.diagnose.hypotheses import hypotheses
from serai.estimate import estimate
from serai.known import Known

GOOD = [
    Known("pressure", "Field", 60.02e5, 0.05e5), Known("pressure", "Town B", 49.70e5, 0.05e5),
    Known("pressure", "Town A", 53.85e5, 0.05e5), Known("supply", "Field supply", 70.4, 0.5),
    Known("withdrawal", "Town A gas", 39.8, 0.3), Known("withdrawal", "Town B gas", 30.1, 0.3),
]  # fmt: skip


def number(h, kind, where):
    return next(k for k in range(len(h)) if (h.kind[k], h.where[k]) == (kind, where))


def test_a_wrong_reading_is_the_estimate_without_it():
    net = sr.read("two_pipes")
    with_it = estimate(net, GOOD)
    h = hypotheses(with_it)
    for k in range(len(GOOD)):
        without = estimate(net, [g for j, g in enumerate(GOOD) if j != k])
        told = number(h, "reading", with_it.meters[k].name)
        size = h.slope[told] / h.information[told]
        apart = GOOD[k].value - estimated(without, net, GOOD[k])
        assert size == pytest.approx(apart, rel=0.02, abs=0.02 * GOOD[k].sigma)
        fall = with_it.objective - without.objective
        assert h.statistic()[told] ** 2 == pytest.approx(fall, rel=0.02, abs=2e-3)


def estimated(found, net, known):
    from serai.simulate.measured import measured

    return float(measured(found.state, known.quantity, known.where)) if net else np.nan


def test_a_leak_is_the_estimate_with_a_free_withdrawal():
    net, *_, estimator = country()
    e = estimator.run(scan([Known("withdrawal", "CAC CS-3 Outlet", 8.0)]))
    h = hypotheses(e)
    k = number(h, "leak", "CAC CS-3 Outlet")
    free = Known("withdrawal", "CAC CS-3 Outlet", 0.0, sigma=1e6)  # weighs nothing: the withdrawal is free
    own = [Known(m.quantity, m.where, v, s, source=m.tag) for m, v, s in zip(e.meters, e.values, e.sigmas, strict=True)]
    again = estimate(net, [*own, free])
    size = h.slope[k] / h.information[k]
    assert size == pytest.approx(float(again.estimated[-1]), rel=0.02)
    assert h.information[k] ** -0.5 == pytest.approx(again.sigma("withdrawal", "CAC CS-3 Outlet"), rel=0.02)
    assert h.statistic()[k] ** 2 == pytest.approx(e.objective - again.objective, rel=0.02)


def test_what_is_shared_is_symmetric_and_its_diagonal_is_the_information():
    *_, estimator = country()
    h = hypotheses(estimator.run(scan()))
    some = [0, 333, number(h, "leak", "CAC CS-3 Outlet"), number(h, "resistance", "EW CS-2 Outlet - EW CS-3 Inlet"),
            len(h) - 3]  # fmt: skip
    shared = np.array([h.shared(k)[some] for k in some])
    root = np.sqrt(h.information[some])
    assert np.allclose(shared / np.outer(root, root), (shared / np.outer(root, root)).T, atol=1e-7)
    assert np.allclose(np.diag(shared), h.information[some], rtol=1e-6)


def test_beside_a_wrong_reading_all_others_are_as_without_it():
    *_, estimator = country()
    full = hypotheses(estimator.run(scan(seed=3)))
    k = number(full, "reading", "Gedaim PT")
    batch = scan(seed=3)
    kept = np.array([batch.register[int(t)] != "Gedaim PT" for t in batch.tag])
    left = type(batch)(batch.register, *(getattr(batch, c)[kept] for c in ("tag", "time", "value", "quality",
                                                                            "received")))  # fmt: skip
    without = hypotheses(estimator.run(left))
    beside = full.beside(k)
    at = {key: j for j, key in enumerate(zip(beside.kind, beside.where, strict=True))}
    both = [(at[key], j) for j, key in enumerate(zip(without.kind, without.where, strict=True)) if key in at]
    a, b = (np.array(x) for x in zip(*both, strict=True))
    assert len(a) > 1000
    assert np.abs(beside.statistic()[a] - without.statistic()[b]).max() < 0.02


def test_an_open_branch_has_size_one():
    net, *_, estimator = country()
    line = net["lines"].names[5]
    h = hypotheses(estimator.run(scan([Known("in_service", line, 0.0)])))
    k = number(h, "branch open", line)
    assert int(np.argmax(np.abs(h.statistic()))) == k
    assert h.slope[k] / h.information[k] == pytest.approx(1.0, abs=0.15)  # far from linear: it is confirmed anew


def test_statistics_of_clean_scans_are_standard_normal():
    *_, estimator = country()
    z = np.array([hypotheses(estimator.run(scan(seed=s))).statistic() for s in range(100, 120)])
    h = hypotheses(estimator.run(scan(seed=100)))
    two_sided = (h.information > 0.0) & ~h.outward
    # 20 seeds of about a thousand correlated values: the spread of the mean square is under 3 %
    assert (z[:, two_sided] ** 2).mean() == pytest.approx(1.0, abs=0.1)
    outward = h.outward & (h.information > 0.0)
    assert (z[:, outward] ** 2).mean() == pytest.approx(0.5, abs=0.1)
    assert (z[:, outward] >= 0.0).all()


def test_a_command_beside_a_leak_is_held_against_the_state_with_the_leak():
    net, *_, estimator = country()
    e = estimator.run(scan([Known("withdrawal", "CAC CS-3 Outlet", 12.0)]))
    h = hypotheses(e)
    h = h.beside(number(h, "leak", "CAC CS-3 Outlet"))
    command = Known("pressure", "CAC CS-3 Outlet", 1e5)
    (found,) = departures(h, [command], 0.01)
    own = [Known(m.quantity, m.where, v, s, source=m.tag) for m, v, s in zip(e.meters, e.values, e.sigmas, strict=True)]
    again = estimate(net, [*own, Known("withdrawal", "CAC CS-3 Outlet", 0.0, sigma=1e6)])
    assert found.held == pytest.approx(float(again.state.pressure["CAC CS-3 Outlet"]), abs=0.2 * found.sigma)
    assert found.sigma == pytest.approx(again.sigma("pressure", "CAC CS-3 Outlet"), rel=0.03)
