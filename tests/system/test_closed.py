# SPDX-License-Identifier: Apache-2.0
"""Closing a system: what is free, what is refused, what is kept."""

import numpy as np
import pytest

from serai.errors import NotClosed, NotConverged, SingularSystem, UnknownName
from serai.known import Known
from serai.system import Closed, Fixed, System, override
from simulate.small import GRID, electric_station, line, line_knowns, station


def test_the_square_system_has_textbook_size():
    system = System(electric_station(), [*GRID, *line_knowns(30.0), Known("ratio", "CS", 1.3)])
    closed = Closed(system, system.fix())
    assert closed.n == system.equations.size
    gas_rows = 4 + 2 + 2  # balances, momentum, ratio and work of the station
    grid_rows = 2 * 2 + 1 + 1  # balances of two buses, the generator's share, the motor
    assert closed.n == gas_rows + grid_rows


def test_every_row_and_column_has_a_name_and_a_scale():
    system = System(electric_station(), [*GRID, *line_knowns(30.0), Known("ratio", "CS", 1.3)])
    eq = system.equations
    names = {eq.row_name(k) for k in range(eq.size)}
    assert ("mass balance", "A") in names
    assert ("active power balance", "bus 2") in names
    assert {eq.columns.name(k)[0] for k in range(eq.columns.size)} >= {"pressure", "flow", "angle", "drive_power"}
    assert np.all(eq.row_scales() > 0)
    assert np.all(eq.columns.scales() > 0)
    with pytest.raises(IndexError):
        eq.row_name(eq.size)
    with pytest.raises(IndexError):
        eq.columns.name(eq.columns.size)
    with pytest.raises(UnknownName, match="has no ratio in the running network"):
        eq.columns.find("ratio", "P")


def test_the_jacobian_is_the_slope_of_the_residual():
    system = System(electric_station(), [*GRID, *line_knowns(30.0), Known("ratio", "CS", 1.3)], cell=20e3)
    closed = Closed(system, system.fix())
    closed.solve(cold=True)
    lu = closed.matrix()
    z = closed.x[closed.free] / closed.column_scales[closed.free] * (1.0 + 1e-3)
    residual, data = (a.copy() for a in closed.evaluate(z))
    dense = np.zeros((closed.n, closed.n))
    inside = closed._inside
    entry = {}
    for k, slot in zip(inside, lu.slots, strict=True):
        entry[int(slot)] = (closed._all_rows[k], closed._all_columns[k])
    for slot, (r, c) in entry.items():
        dense[r, c] = data[slot]
    for c in range(closed.n):
        h = 1e-6 * max(1.0, abs(z[c]))
        up, down = z.copy(), z.copy()
        up[c] += h
        down[c] -= h
        slope = (closed.evaluate(up)[0].copy() - closed.evaluate(down)[0].copy()) / (2 * h)
        np.testing.assert_allclose(dense[:, c], slope, rtol=2e-5, atol=1e-7 * max(1.0, np.abs(slope).max()))
    assert np.abs(residual).max() > 1e-6  # the point is not the answer, so the slopes mean something


def test_values_may_change_but_not_what_is_known():
    system = System(line(), line_knowns())
    fixed = system.fix()
    closed = Closed(system, fixed)
    closed.solve(cold=True)
    column = system.equations.columns.find("withdrawal", "B")
    closed.set_known({**fixed, column: Fixed(column, 60.0, Known("withdrawal", "B", 60.0))})
    x = closed.solve().x
    assert x[system.equations.columns.find("flow", "P")] == pytest.approx(60.0)
    del fixed[column]
    with pytest.raises(NotClosed, match="close the system anew"):
        closed.set_known(fixed)


def test_a_matrix_singular_in_numbers_only_is_named():
    system = System(line(), line_knowns())
    closed = Closed(system, system.fix())
    for stamp in closed.stamps:
        if stamp.law.name == "pipe_given":
            stamp.set(lam=0.0, zeta=0.0, eps=0.0, L=0.0)
            stamp.columns[1] = stamp.columns[0]  # the far pressure drops out of its only equation
    with pytest.raises((SingularSystem, NotConverged), match=r"pressure|momentum"):
        closed.solve()


def test_overriding_replaces_what_closes_the_same_freedom():
    net = station()
    base = [Known("ratio", "CS", 1.2), Known("withdrawal", "town", 30.0)]
    new = override(net, base, [Known("outlet_pressure", "CS", 60e5), Known("withdrawal", "D", 10.0)])
    assert {(k.quantity, k.where) for k in new} == {("outlet_pressure", "CS"), ("withdrawal", "D")}
