# SPDX-License-Identifier: Apache-2.0
"""Tables with faults in them: whatever is marked solved holds, by complex numbers alone; everything else is NaN.

SERAI_EXAMPLES=10000 makes the long run of it.
"""

import os
from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from power.pandapower_arrays import file_of
from serai.network import read
from serai.network.branches import pi_branches
from serai.simulate.ensemble import Ensemble

FAULTS = (np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 60.0, -60.0)  # the last three are factors of the value


@cache
def prepared():
    network = read(file_of("case14"))
    loads = [(k.quantity, k.where, k.value) for k in network.knowns() if network.kind_of(k.where) == "loads"]
    held = next(k for k in network.knowns() if k.quantity == "magnitude" and k.where == "generator 2")
    columns = [(q, w) for q, w, _ in loads] + [("in_service", f"branch {k}") for k in (1, 7, 14)]
    columns.append((held.quantity, held.where))
    base = np.array([v for *_, v in loads] + [1.0, 1.0, 1.0, held.value])
    return network, Ensemble(network, q_limits=False), columns, base, len(loads)


def mismatch(network, columns, row, V):
    """Largest P and Q mismatch [pu] of one scenario, from the tables and complex numbers."""
    given = {c: float(v) for c, v in zip(columns, row, strict=True)}
    pi = pi_branches(network)
    yff, yft, ytf, ytt = pi.admittances()
    on = np.array([given.get(("in_service", n), 1.0) == 1.0 for n in pi.name])
    S = np.zeros(len(V), complex)
    f, t = pi.from_node, pi.to_node
    dead = np.isnan(V)
    V = np.where(dead, 0.0, V)
    np.add.at(S, f[on], (V[f] * np.conj(yff * V[f] + yft * V[t]))[on])
    np.add.at(S, t[on], (V[t] * np.conj(ytf * V[f] + ytt * V[t]))[on])
    buses, base = network["buses"], network.base_power
    shunts = network["shunts"]
    for k, bus in enumerate(shunts["bus"]):
        at = buses.row(str(bus))
        S[at] += abs(V[at]) ** 2 * (shunts["active_power"][k] + 1j * shunts["reactive_power"][k]) / base
    known = {(k.quantity, k.where): k.value for k in network.knowns()} | given
    held, reference = set(), set()
    generators, loads = network["generators"], network["loads"]
    for k, name in enumerate(generators.names):
        at = buses.row(str(generators["bus"][k]))
        S[at] -= known.get(("active_power", name), 0.0) / base
        if ("magnitude", name) in known:
            held.add(at)
        if ("active_power", name) not in known:
            reference.add(at)
    for k, name in enumerate(loads.names):
        at = buses.row(str(loads["bus"][k]))
        S[at] += (known["active_power", name] + 1j * known.get(("reactive_power", name), 0.0)) / base
    P = [abs(S[k].real) for k in range(len(V)) if k not in reference and not dead[k]]
    Q = [abs(S[k].imag) for k in range(len(V)) if k not in held and not dead[k]]
    return max(P + Q)


@settings(max_examples=int(os.environ.get("SERAI_EXAMPLES", "30")), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 19),
    faults=st.lists(st.tuples(st.integers(0, 18), st.integers(0, 99), st.integers(0, len(FAULTS) - 1)), max_size=8),
    switched=st.lists(
        st.tuples(st.integers(0, 18), st.integers(0, 2), st.sampled_from([0.0, 0.5, np.nan])), max_size=4
    ),
)
def test_never_a_wrong_number_marked_solved(seed, count, faults, switched):
    network, study, columns, base, n_loads = prepared()
    rng = np.random.default_rng(seed)
    values = np.tile(base, (count, 1))
    values[:, :n_loads] *= 1.0 + 0.2 * rng.standard_normal((count, n_loads))
    for s, column, which in faults:
        k, fault = column % base.size, FAULTS[which]
        values[s % count, k] = fault if not np.isfinite(fault) or abs(fault) > 1e9 else fault * base[k]
    for s, k, value in switched:
        values[s % count, n_loads + k] = value
    many = study.run((columns, values))
    assert set(many.failed) == set(np.flatnonzero(many.status.values != "solved").tolist())
    for s in range(count):
        v, a = many.magnitude.values[s], many.angle.values[s]
        if many.status.values[s] == "solved":
            assert np.isfinite(values[s]).all()
            assert np.array_equal(np.isnan(v), np.isnan(a))
            assert np.isnan(v).sum() <= 1  # branch 14 holds one bus alone
            assert mismatch(network, columns, values[s], v * np.exp(1j * a)) <= 1e-7
        else:
            assert np.isnan(v).all()
            assert np.isnan(a).all()
            assert many.failed[s]
