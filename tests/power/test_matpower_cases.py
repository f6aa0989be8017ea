# SPDX-License-Identifier: Apache-2.0
"""The cold steady state of MATPOWER cases equals pandapower on the same data to 1e-8 pu in complex voltage.

Truth: pandapower's own Newton on the matrices of the file (power/pandapower_arrays.py says how and why), started from
the voltages in the file and converged to 1e-11 pu. Ours starts without them, from the linear power flow. The
certificate of our answer is a third opinion: S = V conj(Y V) from the tables, in complex numbers.
"""

import pytest

from power.pandapower_arrays import file_of, largest_difference, solved, voltages
from serai.network import read
from serai.simulate.steady import steady

CASES = [
    "case9",
    "case14",
    "case30",
    "case57",
    "case118",
    "case300",
    "case1354pegase",
    "case2869pegase",
    "case9241pegase",
]
HARD = ["case1951rte", "case3375wp"]  # a start from magnitudes of 1 pu does not lead to their answer


@pytest.mark.parametrize("case", CASES + HARD)
def test_same_voltages_as_pandapower(case):
    result = steady(read(file_of(case)), q_limits=False)
    theirs, arrays = solved(case)
    assert arrays["success"]
    worst = largest_difference(voltages(result), theirs)
    print(f"{case}: |dV| {worst:.1e} pu, {result.iterations} iterations, mismatch {result.mismatch:.1e}")
    assert worst <= 1e-8
    assert result.mismatch <= 1e-9
    assert result.iterations <= 6
    assert not result.modes
    assert not result.dead
