# SPDX-License-Identifier: Apache-2.0
"""Yearly networks against scipy's linear programs: the same value, and prices that prove it."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from serai.plan.recourse import best_flows


@settings(max_examples=60)
@given(st.integers(0, 10**6))
@example(643)  # two nodes that nothing reaches, with an open arc between them
def test_value_flows_and_prices_are_those_of_the_linear_program(seed):
    rng = np.random.default_rng(seed)
    n, sources, middles = 3, int(rng.integers(1, 4)), int(rng.integers(1, 5))
    sink = sources + middles + 1
    arcs = [(0, 1 + k) for k in range(sources)]
    arcs += [(1 + i, 1 + j) for i in range(sources) for j in range(sources) if i != j]
    arcs += [(1 + i, 1 + sources + k) for i in range(sources) for k in range(middles) if rng.random() < 0.8]
    arcs += [(1 + i, sink) for i in range(sources)] + [(1 + sources + k, sink) for k in range(middles)]
    tail, head = (np.array(v, dtype=np.int64) for v in zip(*arcs, strict=True))
    cost = np.where(head == sink, -rng.uniform(-20, 200, (n, len(arcs))), rng.uniform(0, 30, (n, len(arcs))))
    capacity = rng.uniform(0, 10, (n, len(arcs))) * (rng.random((n, len(arcs))) < 0.8)
    free = (tail > 0) & (head < sink) & (rng.random(len(arcs)) < 0.3)
    capacity[:, free] = np.inf
    found = best_flows(tail, head, cost, capacity)
    balance = np.zeros((sink + 1, len(arcs)))
    np.add.at(balance, (tail, np.arange(len(arcs))), -1.0)
    np.add.at(balance, (head, np.arange(len(arcs))), 1.0)
    for k in range(n):
        bounds = [(0.0, None if np.isinf(c) else c) for c in capacity[k]]
        truth = linprog(cost[k], A_eq=balance[1:-1], b_eq=np.zeros(sink - 1), bounds=bounds)
        np.testing.assert_allclose(found.value[k], -truth.fun, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(found.flow @ balance[1:-1].T, 0.0, atol=1e-8)
    assert (found.flow >= 0.0).all()
    assert (found.flow <= capacity + 1e-9).all()
    assert found.gap.max() < 1e-6
