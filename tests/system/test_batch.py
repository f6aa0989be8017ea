# SPDX-License-Identifier: Apache-2.0
"""Scenarios in lanes: what one solve after the other would say, and nothing that is not so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serai as sr
from serai.errors import SeraiError
from serai.lanes import EIGHT
from serai.simulate.certificate import Step, certify, stored, worst
from serai.simulate.steady import Run
from serai.simulate.transient import set_step
from serai.system import System, override
from serai.system.batch import CONVERGED, NOT_A_NUMBER, Batch, Changes


class Ready:
    """A network solved once, laid out for lanes, and the columns of its withdrawals."""

    def __init__(self, *, transient: float = 0.0, cell=None):
        self.network = sr.read("loop_with_station")
        self.system = System(self.network, override(self.network, self.network.knowns(None), ()), cell=cell)
        run = Run(self.system)
        self.base = run.solve(cold=True).x
        if transient:
            set_step(self.system, self.base, transient)
            run = Run(self.system, transient=True)
        self.closed = run.closed
        self.batch = Batch(self.closed, self.base)
        w = self.system.equations.columns["withdrawal"]
        self.columns = np.array([k for k in range(w.first, w.first + len(w)) if k in self.closed.fixed])
        self.columns = self.columns[self.base[self.columns] != 0.0]
        self.leaving = [*range(w.first, w.first + len(w)), *self.system.equations.columns["fuel"][:]]

    def draw(self, n, spread, seed=1):
        """Withdrawals of n scenarios, (n, n_columns)."""
        random = np.random.default_rng(seed)
        return self.base[self.columns] * (1.0 + spread * random.standard_normal((n, self.columns.size)))

    def single(self, values):
        """The state (n_column,) that a single solve finds."""
        self.closed.x[:] = self.base
        self.closed.x[self.columns] = values
        return self.closed.solve().x


@pytest.fixture(scope="module")
def ready():
    return Ready()


def test_a_thousand_scenarios_are_what_single_solves_say(ready):
    values = ready.draw(1000, 0.1)
    answer = ready.batch.solve(ready.columns, values)
    assert (answer.status == CONVERGED).all()
    assert answer.alone == ()
    for s in range(0, 1000, 50):
        difference = (answer.x[s] - ready.single(values[s])) / ready.closed.column_scales
        assert np.abs(difference).max() < 1e-9
        assert worst(certify(ready.system, answer.x[s]))[0] < 1e-9


def test_selected_columns_are_those_columns_and_order_is_kept(ready):
    values = ready.draw(37, 0.1)
    whole = ready.batch.solve(ready.columns, values)
    wanted = [3, 0, ready.columns[0]]
    some = ready.batch.solve(ready.columns, values, wanted)
    np.testing.assert_array_equal(some.x, whole.x[:, wanted])
    np.testing.assert_array_equal(some.x[:, 2], values[:, 0])
    backwards = ready.batch.solve(ready.columns, values[::-1], wanted)
    np.testing.assert_allclose(backwards.x[::-1], some.x, rtol=1e-9)


def test_a_single_thread_and_two_say_the_same(ready):
    values = ready.draw(200, 0.1)
    two = Batch(ready.closed, ready.base, threads=2).solve(ready.columns, values)
    one = Batch(ready.closed, ready.base, threads=1).solve(ready.columns, values)
    np.testing.assert_array_equal(one.x, two.x)


def test_a_column_that_is_not_known_cannot_be_given(ready):
    free = int(ready.closed.free[0])
    with pytest.raises(ValueError, match="not known in the base"):
        ready.batch.solve([free], np.zeros((3, 1)))
    with pytest.raises(ValueError, match="columns differ"):
        ready.batch.solve(ready.columns, np.zeros((3, ready.columns.size + 1)))


def test_what_is_missing_is_no_answer_and_the_others_are_exact(ready):
    values = ready.draw(64, 0.1)
    good = ready.batch.solve(ready.columns, values)
    values[5, 0], values[17, -1] = np.nan, np.inf
    answer = ready.batch.solve(ready.columns, values)
    assert set(np.flatnonzero(answer.status != CONVERGED)) == {5, 17}
    assert (answer.status[[5, 17]] == NOT_A_NUMBER).all()
    assert np.isnan(answer.x[[5, 17]]).all()
    rest = np.setdiff1d(np.arange(64), [5, 17])
    np.testing.assert_allclose(answer.x[rest], good.x[rest], rtol=1e-9, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_no_wrong_number_is_ever_marked_converged(ready, data):
    values = ready.draw(16, 0.2, seed=data.draw(st.integers(0, 99)))
    for _ in range(data.draw(st.integers(1, 6))):
        s, k = data.draw(st.integers(0, 15)), data.draw(st.integers(0, ready.columns.size - 1))
        values[s, k] = data.draw(st.sampled_from([np.nan, np.inf, 0.0, -1e3, 1e3, 1e5, 1e12, 1e300, -1e9]))
    answer = ready.batch.solve(ready.columns, values)
    for s in range(16):
        if answer.status[s] == CONVERGED:
            scale = max(1.0, np.abs(values[s]).max() / ready.system.flow_scale)
            x, here = answer.x[s], ready.closed
            here.matrix()
            here.x[:] = x
            mismatch, _ = here.evaluate(x[here.free] / here.column_scales[here.free])
            assert np.abs(mismatch).max() < 1e-9 * scale
        else:
            assert np.isnan(answer.x[s]).all()


@pytest.fixture(scope="module")
def moving():
    return Ready(transient=900.0, cell=10e3)


def test_days_in_lanes_are_what_single_steps_say_and_keep_every_kilogram(moving):
    m, n_step, count = moving, 24, 11
    swing = 1.0 + 0.3 * np.sin(np.arange(1, n_step + 1) / 4.0)
    values = swing[:, None, None] * m.draw(count, 0.1)[None]
    wanted = m.system.equations.columns["pressure"][:]
    days = m.batch.march(m.base, 900.0, m.columns, values, wanted, m.leaving)
    assert (days.status == CONVERGED).all()
    held = stored(m.system, m.base).sum()
    for s in range(count):
        assert stored(m.system, days.end[s]).sum() - held + days.left[s] == pytest.approx(0.0, abs=1e-9 * held)
    x = m.base
    for t in range(n_step):
        set_step(m.system, x, 900.0)
        m.closed.x[:] = x
        m.closed.x[m.columns] = values[t, 4]
        before, x = x, m.closed.solve().x
        np.testing.assert_allclose(days.x[4, t + 1], x[wanted], rtol=1e-9)
    assert worst(certify(m.system, days.end[4], Step(900.0, before)))[0] < 1e-8
    one = m.batch.march(m.base, 900.0, m.columns, values[:, 4:5], wanted, m.leaving, lanes=EIGHT[:1])
    np.testing.assert_allclose(one.x[0], days.x[4], rtol=1e-9)


def test_a_day_with_a_gap_is_none(moving):
    values = np.repeat(moving.draw(9, 0.1)[None], 3, axis=0)
    values[1, 2, 0] = np.nan
    days = moving.batch.march(moving.base, 900.0, moving.columns, values, [0])
    assert days.status[2] == NOT_A_NUMBER
    assert np.isnan(days.x[2]).all()
    assert (np.delete(days.status, 2) == CONVERGED).all()


def test_scenarios_that_lanes_leave_are_solved_alone(ready, monkeypatch):
    monkeypatch.setattr("serai.system.batch.FIRST", (0, 0))
    monkeypatch.setattr("serai.system.batch.LATER", (0, 0))
    values = ready.draw(5, 0.1)
    answer = ready.batch.solve(ready.columns, values)
    assert answer.alone == (0, 1, 2, 3, 4)
    for s in range(5):
        np.testing.assert_allclose(answer.x[s], ready.single(values[s]), rtol=1e-9, atol=1e-9)
    none = ready.batch.solve(ready.columns, values, alone=False)
    assert np.isnan(none.x).all()


def test_what_cannot_flow_costs_no_search_and_is_no_answer(ready):
    values = ready.draw(64, 0.05)
    good = ready.batch.solve(ready.columns, values)
    values[::9] *= 50.0
    answer = ready.batch.solve(ready.columns, values)
    lost = set(np.flatnonzero(answer.status != CONVERGED))
    sunk = {s for s in range(0, 64, 9) if s not in lost and answer.x[s].min() < 0.0}  # an answer, for a job to refuse
    assert lost | sunk == set(range(0, 64, 9))
    assert set(answer.drained) | set(answer.alone) == lost
    rest = np.setdiff1d(np.arange(64), list(lost | sunk))
    np.testing.assert_allclose(answer.x[rest], good.x[rest], rtol=1e-9, atol=1e-9)


def test_an_equation_that_gives_way_in_one_scenario_is_as_if_it_were_never_there(ready):
    """A pipe of the loop that is lost: its momentum says "flow = 0"; the truth is a network without it."""
    stamp, _ = ready.system.gas.momentum[0]
    flows = [(n, int(stamp.rows[0, k]), int(stamp.columns[2, k])) for k, n in enumerate(stamp.names)]
    p = ready.system.equations.columns["pressure"]
    swaps, names = [{}], [""]
    for name, row, column in flows:
        try:
            sr.steady(ready.network, [sr.Known("in_service", name, 0.0)])
        except SeraiError:
            continue  # without it a town has no gas
        swaps.append({row: (column, 0.0)})
        names.append(name)
    assert len(swaps) == 4
    table = np.tile(ready.base[ready.columns], (len(swaps) + 1, 1))
    answer = ready.batch.solve(ready.columns, table, changes=Changes([*swaps, swaps[1] | swaps[3]]))
    assert (answer.status[:-1] == CONVERGED).all()
    for s, name in enumerate(names):
        knowns = [sr.Known("in_service", name, 0.0)] if name else []
        want = sr.steady(ready.network, knowns).dataset["pressure"].values
        np.testing.assert_allclose(answer.x[s, p.span][: len(want)], want, rtol=1e-8)
    assert answer.status[-1] != CONVERGED  # both pipes to a town: what it takes has no way
    assert np.isnan(answer.x[-1]).all()


def test_a_swap_that_leaves_nothing_determined_is_no_answer(ready):
    stamp, _ = ready.system.gas.momentum[0]
    row = int(stamp.rows[0, 0])
    w = ready.system.equations.columns["withdrawal"]
    free = next(k for k in range(w.first, w.first + len(w)) if k not in ready.closed.fixed)
    table = np.tile(ready.base[ready.columns], (3, 1))
    # the swing's withdrawal follows from the balance: to fix it too leaves a pressure open
    answer = ready.batch.solve(
        ready.columns, table, changes=Changes([{}, {row: (free, ready.base[free] * 0.5)}, {}])
    )  # fmt: skip
    assert list(answer.status[[0, 2]]) == [CONVERGED, CONVERGED]
    assert answer.status[1] == NOT_A_NUMBER
    assert np.isnan(answer.x[1]).all()


def test_the_recomputed_mismatch_is_that_of_the_laws(ready):
    values = ready.draw(37, 0.1)
    X = ready.batch.solve(ready.columns, values).x
    X[5] *= 1.0 + 1e-6
    X[7, 0] = np.nan
    found = ready.batch.mismatch(X)
    closed = ready.closed
    closed.matrix()
    for s in (0, 5, 36):
        closed.x[:] = X[s]
        residual, _ = closed.evaluate(X[s][closed.free] / closed.column_scales[closed.free])
        assert found[s] == pytest.approx(np.abs(residual).max(), rel=1e-6, abs=1e-13)
    assert found[5] > 1e-8
    assert np.isnan(found[7])
