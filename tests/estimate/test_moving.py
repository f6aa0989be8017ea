# SPDX-License-Identifier: Apache-2.0
"""The filter: against a dense textbook Kalman filter, consistent when its model is the truth, without some meters."""

import copy
from dataclasses import replace

import numpy as np
import pytest

import serai as sr
from estimate.moving_line import START, USUAL, meters, moving, network, read, truth
from serai.errors import SeraiError
from serai.estimate import moving as module
from serai.estimate.moving import Assumed, Moving


@pytest.fixture(scope="module")
def line():
    return moving()


@pytest.fixture
def fresh(line):
    state, dead, stages = copy.deepcopy(line.state), line.dead, line.stages
    yield line
    line.state, line.dead, line.stages = state, dead, stages


class Textbook:
    """A dense extended Kalman filter as in textbooks: reduced H for missing readings, Joseph's form, no strides."""

    def __init__(self, filtered):
        self.f, self.P = filtered, filtered.stages[-1].P
        s = filtered.state
        self.x, self.s = s.x, np.concatenate([filtered.pipes.pressures(s.x), s.u, s.b, s.c, s.e])

    def scan(self, z):
        f, lo = self.f, self.f.layout
        self.x = f.pipes.step(f.pipes.put(self.x, self.s[lo.p]), self.s[lo.u], self.s[lo.e])
        self.s = self.s.copy()
        self.s[lo.p] = f.pipes.pressures(self.x)
        expected = f.H @ self.s
        flows = self.s[lo.u][lo.exchange]
        expected[: len(flows)] = flows * (1.0 + self.s[lo.b])
        heard = np.isfinite(z)
        H, R = f.H[heard], np.diag(lo.noise[heard] ** 2)
        V = H @ self.P @ H.T + R
        K = self.P @ H.T @ np.linalg.inv(V)
        nu = (z - expected)[heard]
        self.s += K @ nu
        keep = np.eye(lo.size) - K @ H
        self.P = f.F @ (keep @ self.P @ keep.T + K @ R @ K.T) @ f.F.T + f.Q
        return nu


def test_it_is_the_textbook_filter(fresh):
    """Once settled, innovations and states agree to rounding, in a scan with readings missing too."""
    exact = truth(0.6, 11, same=True)
    z = read(exact, 5)[:30]
    z[29, [0, 3, 7]] = np.nan
    fresh.state.age = fresh.stages[-1].since
    book, lo = Textbook(fresh), fresh.layout
    for row in z:
        nu = book.scan(row)
        scan = fresh.scan(row)
        assert scan.innovation[scan.heard] == pytest.approx(nu, rel=1e-6, abs=1e-6)
    s = fresh.state
    assert fresh.pipes.pressures(s.x) == pytest.approx(book.s[lo.p], rel=1e-9)
    for mine, part in ((s.u, lo.u), (s.b, lo.b), (s.c, lo.c), (s.e, lo.e)):
        assert mine == pytest.approx(book.s[part], rel=1e-6, abs=1e-9)


def test_innovations_are_white_when_the_model_is_the_truth():
    """Truth = the filter's own model with its noise, through the exact laws: chi-square and lag correlations of white.

    Flows walk by little, so that friction stays nearly as steep as where the gain was laid out.
    """
    r, fresh = np.random.default_rng(2), moving(assumed=Assumed(station=0.01, supply=0.005, metered=0.003))
    lo, pipes, last = fresh.layout, fresh.pipes, fresh.stages[-1]
    off = np.linalg.cholesky(last.P) @ r.standard_normal(lo.size) * 0.5
    s = fresh.state
    s.age = last.since
    x, u = pipes.put(s.x, pipes.pressures(s.x) + off[lo.p]), s.u + off[lo.u]
    b, c, e = s.b + off[lo.b], s.c + off[lo.c], s.e + off[lo.e]
    noise = np.linalg.cholesky(fresh.Q + 1e-14 * np.diag(np.diag(last.P)))
    innovations = []
    for _ in range(500):
        w = noise @ r.standard_normal(lo.size)
        x = pipes.step(x, u, e)
        x = pipes.put(x, pipes.pressures(x) + w[lo.p])
        u, b, c, e = (now + w[part] for now, part in ((u, lo.u), (b, lo.b), (c, lo.c), (e, lo.e)))
        z = np.concatenate([u[lo.exchange] * (1.0 + b), pipes.pressures(x)[lo.node] + c])
        innovations.append(fresh.scan(z + lo.noise * r.standard_normal(len(z))).innovation)
        u = u + 0.02 * (np.array(list(USUAL.values())) - u)  # walks that come home, so that flows stay flows
    y = np.linalg.solve(np.linalg.cholesky(last.V), np.array(innovations)[100:].T).T
    n = y.size
    assert (y**2).mean() == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / n))
    assert np.abs(y.mean(0)).max() < 5.0 / np.sqrt(len(y))
    for lag in (1, 2, 5, 20):
        assert abs((y[lag:] * y[:-lag]).mean()) < 5.0 / np.sqrt(n)


def test_a_day_with_other_pipes_and_gas_is_followed(fresh):
    """Pipes off by 3 %, 4 K, 1 % heavier gas, biased meters: innovations stay near what the filter thinks they are."""
    exact = truth(12.0, 21, stop=9.0)
    z = read(exact, 6)
    y = np.array([np.linalg.solve(np.linalg.cholesky(fresh.stages[-1].V), fresh.scan(row).innovation) for row in z])
    assert (y[360:] ** 2).mean() < 1.3
    p = fresh.pipes.pressures(fresh.state.x)[:5]
    assert p == pytest.approx(exact[-1, 4:], rel=2e-3)  # gauges are off by up to 3e3 Pa of 6e6


def test_a_dead_meter_is_done_without(fresh):
    """The station's meter dies: the gain is laid out anew, and its flow still follows from the pressures."""
    exact = truth(8.0, 31)
    z = read(exact, 7, biased=False)
    z[120:, fresh.tags.index("CS FT")] = np.nan
    for row in z:
        scan = fresh.scan(row)
    assert fresh.dead.tolist() == [t == "CS FT" for t in fresh.tags]
    assert not scan.heard[fresh.tags.index("CS FT")]
    assert fresh.state.u[3] == pytest.approx(exact[-1, 3], rel=0.05)
    fresh.scan(read(exact, 8)[-1])
    assert not fresh.dead.any()  # it speaks again


def test_what_is_kept_is_taken_up_again(fresh):
    z = read(truth(0.4, 41), 9)
    for row in z[:10]:
        fresh.scan(row)
    s = fresh.state
    kept = {"tags": list(fresh.tags), "dead": fresh.dead, **{k: getattr(s, k) for k in "xuebc"}}
    kept |= {"age": s.age, "silent": s.silent}
    first = [fresh.scan(row).innovation for row in z[10:]]
    fresh.restore(kept)
    assert np.array_equal(first, [fresh.scan(row).innovation for row in z[10:]])
    with pytest.raises(SeraiError, match="other meters"):
        fresh.restore({**kept, "tags": ["x"]})


def test_a_meter_without_noise_is_named():
    bad = [replace(m, sigma=0.0, share=0.0) if m.tag == "CS FT" else m for m in meters()]
    with pytest.raises(SeraiError, match="meters without noise: CS FT"):
        Moving(network(), USUAL, START, given=bad, cell=15e3)


def test_the_meters_of_a_case_are_those_of_its_table():
    found = module.meters(sr.read("turkmenistan"))
    assert {m.quantity for m in found} == {*module.FLOWS, *module.PRESSURES}
    one = next(m for m in found if m.tag == "Malay CS FT")
    assert (one.share, one.bias) == (0.0075, 0.015)  # 1.5 % of reading is the class, 2 sigma


def test_what_is_assumed_widens_what_is_expected():
    calm = Assumed(station=0.05)
    assert moving(assumed=calm).stages[-1].V[3, 3] < moving().stages[-1].V[3, 3]
