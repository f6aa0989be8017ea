# SPDX-License-Identifier: Apache-2.0
"""The loop on a grid of four buses: what it knows against the truth, and what it does when a stage fails or is late."""

import threading
import time

import numpy as np
import pytest

from serai.errors import SeraiError
from serai.telemetry.readings import Quality
from serai.twin.loop import MOST, Loop, Settings
from twin.desks import START, Meters, grid


@pytest.fixture(scope="module")
def net():
    return grid()


@pytest.fixture(scope="module")
def meters(net):
    return Meters(net)


def looped(net, meters, judge=None, **settings):
    return Loop(net, meters.register, judge, settings=Settings(**({"inline": True} | settings)))


def value(loop, quantity, where):
    k = loop.layout.place[quantity, where]
    known = loop.known
    return known.estimate[k], known.sigma[k], known.measured[k], known.source[k]


def test_the_estimate_is_nearer_to_the_truth_than_its_sigma_says(net, meters):
    loop, off = looped(net, meters), []
    for s in range(30):
        loop.take(meters.scan(START + s, seed=s))
        loop.scan(START + s + 0.5)
        for tag, exact in zip(meters.tags, meters.values, strict=True):
            k = loop.layout.tag_at.tolist().index(loop.latest.place[tag])
            off.append((loop.known.estimate[k] - exact) / loop.known.sigma[k])
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(1.0, abs=0.15)
    assert set(loop.known.source) <= {"e", "-"}
    assert loop.known.source.count("-") == np.isnan(loop.known.estimate).sum()


def test_losses_and_loads_are_those_of_the_power_flow(net, meters):
    loop = looped(net, meters)
    for s in range(3):
        loop.take(meters.scan(START + s, seed=s))
        loop.scan(START + s)
    totals = loop.figures.of_grid(loop.grid)
    for name, exact in (
        ("electric_load", float(np.nansum(meters.truth.drawn))), ("grid_losses", float(meters.truth.losses)),
    ):  # fmt: skip
        found, sigma = totals[name]
        assert sigma > 0.0
        assert abs(found - exact) < 5.0 * sigma


def test_without_new_readings_the_state_ages_and_is_called_a_prediction(net, meters):
    loop = looped(net, meters)
    loop.take(meters.scan(START))
    loop.scan(START)
    before = loop.known.estimate.copy()
    assert loop.health(START)["power"]["status"] == "estimate"
    loop.scan(START + 30.0)  # everything is stale by now
    assert (loop.known.quality[loop.layout.tag_at >= 0] & Quality.STALE).all()
    assert "e" not in loop.known.source
    assert np.array_equal(before, loop.known.estimate, equal_nan=True)
    assert loop.health(START + 30.0)["power"] == pytest.approx(
        {**loop.health(START + 30.0)["power"], "status": "prediction", "age_s": 30.0}
    )


def test_readings_of_bad_quality_are_shown_and_not_weighed(net, meters):
    loop = looped(net, meters)
    loop.take(meters.scan(START))
    tag = meters.tags[0]
    loop.take(meters.scan(START + 0.1, change={tag: 1e3}, only=[tag], quality=int(Quality.INVALID)))
    loop.scan(START + 0.2)
    estimate, _, measured, source = value(loop, "magnitude", tag.removesuffix(" UT"))
    assert measured > 900.0
    assert (source, abs(estimate - meters.values[0]) < 0.01) == ("e", True)


def test_a_slow_solver_never_holds_up_the_scan(net, meters):
    loop = looped(net, meters, inline=False, patience=0.05)
    sight, go = loop.grid_sight, threading.Event()
    own = sight.see

    def slow(found, at):
        go.wait(20.0)
        return own(found, at)

    loop.take(meters.scan(START))
    loop.scan(START)
    loop._estimating.result(20.0)
    sight.see = slow
    try:
        for s in range(1, 6):
            loop.take(meters.scan(START + s, seed=s))
            begun = time.perf_counter()
            loop.scan(START + s)
            assert time.perf_counter() - begun < 1.0
        assert "under way" in loop.trouble["grid"]
        assert "e" not in loop.known.source
    finally:
        go.set()
    for s in range(6, 30):
        loop.take(meters.scan(START + s, seed=s))
        loop.scan(START + s)
        time.sleep(0.05)
        if "e" in loop.known.source:
            break
    assert "e" in loop.known.source
    assert loop.trouble["grid"] == ""
    loop.close()


def test_an_estimate_that_fails_is_said_and_the_next_one_tried(net, meters):
    loop = looped(net, meters)
    own = loop.grid_sight.see

    def fails(*_):
        raise SeraiError("no answer to this")

    loop.grid_sight.see = fails
    loop.take(meters.scan(START))
    loop.scan(START)
    assert loop.health(START)["power"]["status"] == "not known yet"
    assert loop.trouble["grid"] == "no answer to this"
    assert loop.counts["estimate of the grid failed: SeraiError"] == 1
    loop.grid_sight.see = own
    loop.take(meters.scan(START + 1))
    loop.scan(START + 1)
    assert loop.trouble["grid"] == ""


class Judge:
    """Diagnosis that takes readings, waits or fails as a test wants."""

    watch = last = None
    minutes = None

    def __init__(self):
        self.taken, self.fails, self.go = 0, False, None

    def scan(self, readings, _shown=None):
        if self.go is not None:
            self.go.wait(20.0)
        if self.fails:
            raise ZeroDivisionError("in the diagnosis")
        self.taken += len(readings)
        return ()

    def save(self):
        return {}

    def restore(self, saved):
        pass


def test_a_fault_in_the_diagnosis_is_said_and_the_loop_goes_on(net, meters):
    judge = Judge()
    loop = looped(net, meters, judge)
    judge.fails = True
    loop.take(meters.scan(START))
    loop.scan(START)
    assert loop.trouble["gas"] == "ZeroDivisionError: in the diagnosis"
    assert "e" in loop.known.source
    judge.fails = False
    loop.take(meters.scan(START + 1))
    loop.scan(START + 1)
    assert (loop.trouble["gas"], judge.taken) == ("", len(meters.tags))


def test_a_slow_diagnosis_gets_all_readings_later_and_what_is_too_much_is_counted(net, meters):
    judge = Judge()
    judge.go = threading.Event()
    loop = looped(net, meters, judge, inline=False)
    try:
        for s in range(20):
            loop.take(meters.scan(START + s, seed=s))
            loop.scan(START + s)
        assert judge.taken == 0
    finally:
        judge.go.set()
    for s in range(20, 60):
        loop.scan(START + s)
        time.sleep(0.02)
        if judge.taken == 20 * len(meters.tags):
            break
    assert judge.taken == 20 * len(meters.tags)
    loop._unjudged = [meters.scan(START)] * (MOST // len(meters.tags) + 50)
    loop._drain()
    lost = loop.counts["readings that the diagnosis did not see"]
    assert sum(map(len, loop._unjudged)) <= MOST
    assert lost >= 49 * len(meters.tags)
    loop.close()


def test_a_case_without_instruments_is_refused(meters):
    import serai as sr

    with pytest.raises(SeraiError, match="no instruments"):
        Loop(sr.read("four_buses"), meters.register)
