# SPDX-License-Identifier: Apache-2.0
"""A state that cannot be: its certificate is not a number, and says so without a warning."""

import numpy as np

import serai as sr
from serai.simulate.certificate import certify
from serai.simulate.steady import Run
from serai.system import System


def test_a_ratio_below_zero_is_no_small_mismatch():
    net = sr.read("loop_with_station")
    system = System(net, net.knowns())
    x = Run(system).solve(cold=True).x.copy()
    assert max(v for v, _ in certify(system, x).values()) < 1e-6
    x[next(iter(system.equations.columns["ratio"].index.values()))] = -0.5
    worst = [v for v, _ in certify(system, x).values()]
    assert not all(v < 1e-6 for v in worst)
    assert any(np.isnan(v) or v > 0.1 for v in worst)
