# SPDX-License-Identifier: Apache-2.0
"""An independent Newton power flow for tests: complex Ybus, polar coordinates, straight from the textbook.

S_i = V_i conj(sum_k Y_ik V_k). Unknowns: angles of all but the reference nodes, magnitudes of nodes without a
voltage-controlling generator. Slopes: dS/da = j diag(V) conj(diag(I) - Y diag(V)),
dS/dm = diag(V) conj(Y diag(V/|V|)) + conj(diag(I)) diag(V/|V|) (J. J. Grainger, W. D. Stevenson, Power System
Analysis, 1994, ch. 9). Sparse only so that thousands of buses stay quick. It reads the tables and the set-points and
knows switches by a small union-find of its own, so it shares nothing with the package but `pi_branches`.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from serai.network.branches import ENDS, pi_branches


@dataclass
class Answer:
    """Complex voltage of every bus [pu] (nan where dead), the worst mismatch [pu] and the steps that it took."""

    voltage: np.ndarray
    mismatch: float
    steps: int
    node_of_bus: np.ndarray


def couple(network, known):
    """node_of_bus and the connected ends: closed couplers join buses, open switches open ends."""
    buses = network["buses"]
    alive = buses["status"] == "in service"
    switches = network["switches"]
    closed = {kind: np.ones((len(network[kind]), len(ends)), bool) for kind, ends in ENDS.items()}
    joins = []
    for k, name in enumerate(switches.names):
        on = known.get(("closed", name), 1.0) != 0.0 and switches["status"][k] == "in service"
        bus = buses.row(switches["bus"][k])
        if switches["to_bus"][k]:
            other = buses.row(switches["to_bus"][k])
            if on and alive[bus] and alive[other]:
                joins.append((bus, other))
        elif not on:
            branch = switches["branch"][k]
            kind = network.kind_of(branch)
            row = network[kind].row(branch)
            for e, column in enumerate(ENDS[kind]):
                if network[kind][column][row] == switches["bus"][k]:
                    closed[kind][row, e] = False
                    break
    i, j = np.array(joins, int).reshape(-1, 2).T
    n = len(buses)
    _, group = connected_components(sp.csr_matrix((np.ones(len(i)), (i, j)), (n, n)), directed=False)
    _, node = np.unique(group[alive], return_inverse=True)
    nodes = np.full(n, -1)
    nodes[alive] = node
    return nodes, closed


def power_flow(network, tolerance=1e-11, steps=60):  # noqa: C901, PLR0915 - one textbook algorithm, top to bottom
    known = {(k.quantity, k.where): k.value for k in network.knowns()}
    nodes, closed = couple(network, known)
    pi = pi_branches(network, nodes, closed)
    n, base, buses = pi.node_count, network.base_power, network["buses"]

    def on(kind, column="bus"):
        t = network[kind]
        for k, name in enumerate(t.names):
            node = nodes[buses.row(t[column][k])]
            if t["status"][k] == "in service" and node >= 0:
                yield t, k, name, node

    y_ff, y_ft, y_tf, y_tt = pi.admittances()
    f, t = pi.from_node, pi.to_node
    data = [y_ff, y_ft, y_tf, y_tt, pi.stub_g + 1j * pi.stub_b]
    rows, columns = [f, f, t, t, pi.stub_node], [f, t, f, t, pi.stub_node]
    conductance = np.zeros(n)
    for s, k, _, node in on("shunts"):
        v = buses["voltage"][buses.row(s["bus"][k])]
        scale = 1.0 if np.isnan(s["voltage"][k]) else (v / s["voltage"][k]) ** 2
        power = (s["active_power"][k] - 1j * s["reactive_power"][k]) * s["steps"][k] * scale / base
        conductance[node] += power.real
        data.append([power])
        rows.append([node])
        columns.append([node])
    Y = sp.csr_matrix((np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), (n, n), complex)

    # drawn at each node: a + b V + c V2, active and reactive apart
    drawn = np.zeros((3, n), complex)
    for s, k, name, node in on("loads"):
        p, q = known["active_power", name] / base, known["reactive_power", name] / base
        zp, ip = s["constant_impedance_active"][k], s["constant_current_active"][k]
        zq, iq = s["constant_impedance_reactive"][k], s["constant_current_reactive"][k]
        drawn[:, node] += (p * (1 - zp - ip) + 1j * q * (1 - zq - iq), p * ip + 1j * q * iq, p * zp + 1j * q * zq)
    held, angle = {}, {}
    for _, _, name, node in on("generators"):
        drawn[0, node] -= (known.get(("active_power", name), 0) + 1j * known.get(("reactive_power", name), 0)) / base
        if ("magnitude", name) in known:
            held[node] = known["magnitude", name]
        if ("angle", name) in known:
            angle[node] = known["angle", name]
    for s, k, name, node in on("hvdc_links", "from_bus"):
        sent = known["active_power", name] / base
        drawn[0, node] += sent
        other = nodes[buses.row(s["to_bus"][k])]
        drawn[0, other] -= sent * (1 - s["loss_share"][k]) - s["loss_constant"][k] / base

    _, island = connected_components(Y, directed=False)
    alive = np.isin(island, island[list(angle)])
    V = np.ones(n, complex)
    for node, m in held.items():
        V[node] = m
    V = start(pi, drawn.sum(axis=0) + conductance, V, angle, alive)
    pv_or_ref = np.array(sorted(held), int)
    ref = np.array(sorted(angle), int)
    a = np.setdiff1d(np.flatnonzero(alive), ref)
    m = np.setdiff1d(np.flatnonzero(alive), pv_or_ref)

    def power(V):
        size, current = np.abs(V), Y @ V
        F = V * np.conj(current) + drawn[0] + drawn[1] * size + drawn[2] * size**2
        return np.concatenate([F.real[a], F.imag[m]]), current

    residual, current = power(V)
    worst = np.abs(residual).max(initial=0.0)
    for step in range(steps):  # noqa: B007 - counted
        if worst < tolerance:
            break
        size = np.abs(V)
        dV, unit = sp.diags(V), sp.diags(V / size)
        dSa = 1j * dV @ (sp.diags(current) - Y @ dV).conj()
        dSm = dV @ (Y @ unit).conj() + sp.diags(np.conj(current)) @ unit + sp.diags(drawn[1] + 2 * drawn[2] * size)
        dSa, dSm = dSa.tocsr(), dSm.tocsr()
        J = sp.bmat([[dSa.real[a][:, a], dSm.real[a][:, m]], [dSa.imag[m][:, a], dSm.imag[m][:, m]]], "csc")
        x = splu(J).solve(-residual)
        for share in 0.5 ** np.arange(8):  # halve the step while it leads uphill
            theta, moved = np.angle(V), size.copy()
            theta[a] += share * x[: len(a)]
            moved[m] += share * x[len(a) :]
            trial = moved * np.exp(1j * theta)
            residual, current = power(trial)
            if np.abs(residual).max() < worst:
                break
        if np.abs(residual).max() >= worst and worst < 1e-8:  # as small as rounding allows
            break
        V, worst = trial, np.abs(residual).max()
    V[~alive] = np.nan
    voltage = np.where(nodes >= 0, V[nodes], np.nan)
    return Answer(voltage, float(worst), step, nodes)


def start(pi, drawn, V, angle, alive):
    """Angles of the linear (direct-current) power flow as start."""
    n = pi.node_count
    b = 1.0 / (np.where(pi.x == 0.0, 1e-6, pi.x) * pi.ratio)
    f, t = pi.from_node, pi.to_node
    B = sp.csr_matrix((np.r_[b, -b, -b, b], (np.r_[f, f, t, t], np.r_[f, t, f, t])), (n, n))
    injected = -drawn.real
    np.add.at(injected, f, b * pi.shift)
    np.add.at(injected, t, -b * pi.shift)
    theta = np.zeros(n)
    for node, value in angle.items():
        theta[node] = value
    free = np.setdiff1d(np.flatnonzero(alive), list(angle))
    theta[free] = splu(B[free][:, free].tocsc()).solve((injected - B @ theta)[free])
    return np.abs(V) * np.exp(1j * theta)
