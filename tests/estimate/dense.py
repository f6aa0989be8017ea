# SPDX-License-Identifier: Apache-2.0
"""Weighted least squares under exact laws, dense: an independent answer to hold estimates against.

What is shared with the code under test is the laws' formulas (which have tests of their own) and which law ties which
columns. All else is done here by other means: every supply, offtake and load is an unknown of its own, zero withdrawals
are rows, branch powers are complex numbers, K is a full matrix of SI values and is solved by numpy.
"""

import numpy as np

from serai.known import Known
from serai.system import System, override

ENDS = ("active_power_from", "reactive_power_from", "active_power_to", "reactive_power_to")


class Dense:
    """Unknowns: the columns of the laws, then one for each supply, offtake and load (active, reactive)."""

    def __init__(self, network, setpoints=()):
        own = override(network, network.knowns(), setpoints)
        own = [k for k in own if k.quantity != "magnitude"]
        given = {k.where for k in own if k.quantity == "active_power"}
        own += [Known("active_power", n, 0.0) for n in network["generators"].names if n not in given]
        self.system = system = System(network, own, steady=False)
        self.eq, self.network = system.equations, network
        self.size = self.eq.columns.size
        self.extra = {}
        for kind in ("supplies", "offtakes"):
            for n in network.active(kind).names:
                self.extra[kind, n] = self.size
                self.size += 1
        for n in network.active("loads").names:
            for side in ("active", "reactive"):
                self.extra[side, n] = self.size
                self.size += 1
        self.positions = {}
        for k in own:
            if k.quantity in ("open", "angle"):
                place = system.place(k)
                if place:
                    self.positions[place[0]] = place[1]
        for e in system.gas.edges:
            if e.kind in ("short_pipes", "valves", "check_valves"):
                self.positions.setdefault(self.eq.columns["drop"].index[e.name], 0.0)
        self.scale = np.r_[self.eq.columns.scales(), np.full(len(self.extra), 1.0)]

    def laws(self, x):
        """Rows and slopes (m, n) of every law, of every sum, and of every position."""
        F, A = np.zeros(self.eq.size), np.zeros((self.eq.size, self.size))
        for s in self.eq.stamps:
            if not s.steady:
                continue
            C, R = len(s.law.columns), s.law.rows
            for i in range(s.columns.shape[1]):
                out = s.law.formula(*x[s.columns[:, i]], *s.parameters[:, i])
                for r in range(R):
                    F[s.rows[r, i]] += out[r]
                    for k in range(C):
                        A[s.rows[r, i], s.columns[k, i]] += out[R + r * C + k]
        scale = 1.0 / self.eq.row_scales()
        more, values = self._sums(x)
        return np.r_[F * scale, values], np.r_[A * scale[:, None], more]

    def _sums(self, x):
        c, rows = self.eq.columns, []
        if "withdrawal" in c:
            terminals = (("supplies", "node", -1.0, "supplies"), ("offtakes", "node", 1.0, "offtakes"))
            rows += self._balance("withdrawal", self.system.gas.node, terminals)
        for side in ("active", "reactive") if "angle" in c else ():
            rows += self._balance(f"{side}_withdrawal", self.system.power.bus_of, (("loads", "bus", 1.0, side),))
        for column in self.positions:
            rows.append(self._row({column: 1.0}))
        A = np.array(rows)
        right = np.zeros(len(A))
        right[len(A) - len(self.positions) :] = list(self.positions.values())
        size = np.abs(A * self.scale).max(axis=1)
        return A / size[:, None], (A @ x - right) / size

    def _balance(self, quantity, node_of, parts):
        block = self.eq.columns[quantity]
        rows = {k: {block.first + k: 1.0} for k in range(len(block))}
        for kind, column, sign, key in parts:
            t = self.network.active(kind)
            for k, name in enumerate(t.names):
                node = node_of.get(str(t[column][k]), -1)
                if node is not None and node >= 0:
                    rows[node][self.extra[key, name]] = -sign
        return [self._row(r) for r in rows.values()]

    def _row(self, entries):
        out = np.zeros(self.size)
        for k, v in entries.items():
            out[k] = v
        return out

    def reading(self, x, quantity, where):
        """Value and gradient (n,) of a reading."""
        c, net = self.eq.columns, self.network
        kind = net.kind_of(where)
        if quantity in ENDS:
            return self._power(x, quantity, where)
        if kind in ("supplies", "offtakes") and quantity in ("supply", "withdrawal"):
            column = self.extra[kind, where]
        elif kind == "loads":
            column = self.extra[quantity.split("_")[0], where]
        elif quantity in ("inlet_pressure", "outlet_pressure", "pressure"):
            node = where if kind == "gas_nodes" else str(
                net[kind][{"inlet_pressure": "from_node", "outlet_pressure": "to_node"}.get(quantity, "node")][
                    net[kind].row(where)])  # fmt: skip
            column = c["pressure"].index[node]
        elif quantity in ("magnitude", "angle"):
            column = c[quantity].first + self.system.power.at(where)
        elif quantity in ("fuel", "drive_power"):
            drives = net["drives"]
            column = c[quantity].index[drives.names[list(drives["compressor"]).index(where)]]
        else:
            column = c[quantity].index[where]
        return x[column], self._row({column: 1.0})

    def _power(self, x, quantity, where):
        """S = V conj(Y V) of one end, its slopes by dS/da = j V conj(I) - ... with complex numbers."""
        g, c, S = self.system.power, self.eq.columns, self.network.base_power
        k = [str(n) for n in g.branches.name[g.alive_branch]].index(where)
        yff, yft, ytf, ytt = (y[g.alive_branch][k] for y in g.branches.admittances())
        i, j, own, other = g.ends[0][k], g.ends[1][k], yff, yft
        if quantity.endswith("_to"):
            i, j, own, other = j, i, ytt, ytf
        columns = [c["angle"].first + i, c["magnitude"].first + i, c["angle"].first + j, c["magnitude"].first + j]
        a, v, b, u = x[columns]
        Vi, Vj = v * np.exp(1j * a), u * np.exp(1j * b)
        current = own * Vi + other * Vj
        power = Vi * np.conj(current)
        slopes = [
            1j * Vi * np.conj(current) + Vi * np.conj(1j * own * Vi),
            Vi / v * np.conj(current) + Vi * np.conj(own * Vi / v),
            Vi * np.conj(1j * other * Vj),
            Vi * np.conj(other * Vj / u),
        ]
        take = np.real if quantity.startswith("active") else np.imag
        return take(power) * S, self._row({n: take(s) * S for n, s in zip(columns, slopes, strict=True)})

    def start(self, estimate):
        """All unknowns of an estimate of the code under test, by name: where the dense search begins."""
        x = np.zeros(self.size)
        theirs = estimate.problem.frame.system.equations.columns
        for q, block in self.eq.columns.blocks.items():
            for n, k in block.index.items():
                x[k] = estimate.x[theirs[q].index[n]]
        own = {"supplies": "supplied", "offtakes": "delivered", "active": "drawn", "reactive": "drawn_reactive"}
        for (key, n), k in self.extra.items():
            found = estimate.problem.frame.terminal.get((own[key], n))
            x[k] = found[1] * estimate.x[found[0]] if found else 0.0
        return x

    def solve(self, meters, values, sigmas, x, *, steps=12):
        """Full Gauss-Newton steps from x; returns x, J, the covariance of x, residuals and their variances."""
        s = self.scale
        for _ in range(steps):
            F, A = self.laws(x)
            rows = [self.reading(x, m.quantity, m.where) for m in meters]
            r = (values - np.array([v for v, _ in rows])) / sigmas
            H = np.array([g for _, g in rows]) * s / sigmas[:, None]
            A = A * s
            K = np.block([[H.T @ H, A.T], [A, np.zeros((len(A), len(A)))]])
            full = np.linalg.solve(K, np.r_[H.T @ r, -F])
            dx = full[: self.size] * s
            x = x + dx
            if np.abs(full[: self.size]).max() < 1e-13:
                break
        spread = np.linalg.inv(K)[: self.size, : self.size]
        omega = (1.0 - np.einsum("ij,jk,ik->i", H, spread, H)) * sigmas**2
        return x, float(r @ r), np.sqrt(np.diag(spread).clip(0)) * s, r * sigmas, omega
