# SPDX-License-Identifier: Apache-2.0
"""A MATPOWER grid with meters everywhere, as Serai and as power-grid-model take it.

Both get the same readings: |V| of every bus (sigma 0.004), P and Q into every bus and into the from end of every branch
(sigma 0.01 per unit). power-grid-model counts a shunt among what is connected to its node only in the branches' side of
the balance, so its injection sensor sits on the one load of the node and reads what the node gives, without the shunt.
"""

import re

import numpy as np

import serai as sr
from power.pandapower_arrays import file_of
from serai.known import Known

SIGMA_V, SIGMA_S = 0.004, 0.01


def matrices(case):
    """The matrices of a MATPOWER file, and its base power [W]."""
    text = file_of(case).read_text(encoding="latin-1")
    found = {"base": float(re.search(r"mpc\.baseMVA = ([\d.]+)", text)[1]) * 1e6}
    for name in ("bus", "gen", "branch"):
        body = re.search(rf"mpc\.{name} = \[(.*?)\n\];", text, re.DOTALL)[1]
        rows = [re.sub("[%;].*", "", line).split() for line in body.splitlines()[1:]]
        found[name] = np.array([r for r in rows if r], dtype=float)
    return found


class MeteredGrid:
    """One case: its network without loads and generators, the true readings, and their order.

    true, sigma   of all readings (n,), per unit and in W and var: |V|, then P and Q of the buses, then of the branches
    """

    def __init__(self, case):
        self.case, mpc = case, matrices(case)
        self.mpc = mpc
        whole = sr.read(file_of(case))
        self.buses = [f"bus {n:.0f}" for n in mpc["bus"][:, 0]]
        result = sr.steady(whole, q_limits=False)
        V = result.magnitude.sel(bus=self.buses).values * np.exp(1j * result.angle.sel(bus=self.buses).values)
        self.reference = int(np.flatnonzero(mpc["bus"][:, 1] == 3)[0])
        self.V = V * np.exp(-1j * np.angle(V[self.reference]))
        self.base, self.on = mpc["base"], mpc["branch"][mpc["branch"][:, 10] != 0]
        row = {n: k for k, n in enumerate(mpc["bus"][:, 0])}
        self.f, self.t = (np.array([row[x] for x in self.on[:, k]]) for k in (0, 1))
        kept = whole.with_tables(**{k: whole[k].where(np.zeros(len(whole[k]), bool)) for k in ("loads", "generators")})
        none = kept["setpoints"].where(np.zeros(len(kept["setpoints"]), bool))
        self.network = kept.with_tables(setpoints=none)
        self.exact = [Known("angle", self.buses[self.reference], 0.0)]
        self.branches = branch_names(whole, self)
        self._true()

    def _true(self):
        V, base = self.V, self.base
        Sf, St = flows(self.on, V, self.f, self.t)
        into = np.zeros(len(V), complex)
        np.add.at(into, self.f, Sf)
        np.add.at(into, self.t, St)
        shunt = (self.mpc["bus"][:, 4] + 1j * self.mpc["bus"][:, 5]) * 1e6 / base
        into += np.abs(V) ** 2 * np.conj(shunt)
        self.true = np.concatenate([np.abs(V), into.real * base, into.imag * base, Sf.real * base, Sf.imag * base])
        n, m = len(V), len(self.on)
        self.sigma = np.concatenate([np.full(n, SIGMA_V), np.full(2 * n + 2 * m, SIGMA_S * base)])
        self.places = (
            [("magnitude", b) for b in self.buses]
            + [("active_withdrawal", b) for b in self.buses] + [("reactive_withdrawal", b) for b in self.buses]
            + [("active_power_from", b) for b in self.branches] + [("reactive_power_from", b) for b in self.branches]
        )  # fmt: skip
        self.sign = np.concatenate([np.ones(n), -np.ones(2 * n), np.ones(2 * m)])  # a withdrawal leaves the bus

    def readings(self, seed, count=None):
        """Readings of one seed (n,), or of several scans of it (count, n)."""
        shape = len(self.true) if count is None else (count, len(self.true))
        return self.true + self.sigma * np.random.default_rng(seed).standard_normal(shape)

    def knowns(self, z):
        """Readings as Serai takes them."""
        return [Known(q, w, s * v, e) for (q, w), v, e, s in zip(self.places, z, self.sigma, self.sign, strict=True)]


def flows(branch, V, f, t):
    """Power into both ends of branches [pu], by the pi-model of MATPOWER's manual, Eq. 3.2."""
    ys, b = 1.0 / (branch[:, 2] + 1j * branch[:, 3]), 1j * branch[:, 4] / 2.0
    tap = np.where(branch[:, 8] == 0.0, 1.0, branch[:, 8]) * np.exp(1j * np.radians(branch[:, 9]))
    If = (ys + b) / np.abs(tap) ** 2 * V[f] - ys / np.conj(tap) * V[t]
    It = -ys / tap * V[f] + (ys + b) * V[t]
    return V[f] * np.conj(If), V[t] * np.conj(It)


def branch_names(network, grid):
    """Names of the branches in service, in the order of the file, by their ends and impedance."""
    rows = [k for k in range(len(grid.mpc["branch"])) if grid.mpc["branch"][k, 10] != 0]
    names = network["branches"].names
    assert len(names) == len(grid.mpc["branch"])
    return [names[k] for k in rows]


class Peer:
    """power-grid-model's Newton estimator on the same grid."""

    def __init__(self, grid):
        import power_grid_model as pgm

        self.pgm, self.grid = pgm, grid
        n, m = len(grid.V), len(grid.on)
        z = 1e6 / grid.base  # per unit in disguise: every node at 1 kV, powers in W
        node = pgm.initialize_array("input", "node", n)
        node["id"], node["u_rated"] = np.arange(n), 1e3
        edges = pgm.initialize_array("input", "generic_branch", m)
        edges["id"], edges["from_node"], edges["to_node"] = n + np.arange(m), grid.f, grid.t
        edges["from_status"] = edges["to_status"] = 1
        edges["r1"], edges["x1"], edges["g1"], edges["b1"] = (
            grid.on[:, 2] * z,
            grid.on[:, 3] * z,
            0.0,
            grid.on[:, 4] / z,
        )
        edges["k"], edges["theta"] = np.where(grid.on[:, 8] == 0.0, 1.0, grid.on[:, 8]), np.radians(grid.on[:, 9])
        edges["sn"] = grid.base
        at = n + m
        others = np.delete(np.arange(n), grid.reference)  # the source stands at the reference in the place of a load
        load = pgm.initialize_array("input", "sym_load", n - 1)
        load["id"], load["node"], load["status"], load["type"] = at + others, others, 1, 0
        load["p_specified"] = load["q_specified"] = 0.0
        at += n
        bus = grid.mpc["bus"]
        with_shunt = np.flatnonzero((bus[:, 4] != 0) | (bus[:, 5] != 0))
        shunt = pgm.initialize_array("input", "shunt", len(with_shunt))
        shunt["id"], shunt["node"], shunt["status"] = at + np.arange(len(with_shunt)), with_shunt, 1
        shunt["g1"], shunt["b1"] = bus[with_shunt, 4], bus[with_shunt, 5]
        shunt["g0"] = shunt["b0"] = 0.0
        at += len(with_shunt)
        source = pgm.initialize_array("input", "source", 1)
        source["id"], source["node"], source["status"], source["u_ref"] = at, grid.reference, 1, 1.0
        source["sk"] = 1e20
        self.source, self.first = at, at + 1
        self.parts = {"node": node, "generic_branch": edges, "sym_load": load, "shunt": shunt, "source": source}
        self.parts |= self._sensors(n, m)
        self.model = pgm.PowerGridModel(self.parts)

    def _sensors(self, n, m):
        pgm, base, z = self.pgm, self.grid.base, self.grid.true
        volts = pgm.initialize_array("input", "sym_voltage_sensor", n)
        volts["id"], volts["measured_object"] = self.first + np.arange(n), np.arange(n)
        volts["u_sigma"], volts["u_measured"] = SIGMA_V * 1e3, z[:n] * 1e3
        power = pgm.initialize_array("input", "sym_power_sensor", n + m)
        power["id"] = self.first + n + np.arange(n + m)
        power["measured_object"] = np.r_[np.arange(n), n + np.arange(m)]
        power["measured_terminal_type"] = np.r_[np.full(n, pgm.MeasuredTerminalType.node),
                                                np.full(m, pgm.MeasuredTerminalType.branch_from)]  # fmt: skip
        power["p_sigma"] = power["q_sigma"] = power["power_sigma"] = SIGMA_S * base
        self.ids = volts["id"].copy(), power["id"].copy()
        power["p_measured"], power["q_measured"] = self._powers(z)
        return {"sym_voltage_sensor": volts, "sym_power_sensor": power}

    def _powers(self, z):
        """P and Q of the sensors, buses before branches."""
        n, m = len(self.grid.V), len(self.grid.on)
        P, Q = z[..., n : 2 * n], z[..., 2 * n : 3 * n]
        Pf, Qf = z[..., 3 * n : 3 * n + m], z[..., 3 * n + m :]
        return np.concatenate([P, Pf], axis=-1), np.concatenate([Q, Qf], axis=-1)

    def update(self, z):
        """The readings (count, n) as a batch."""
        n, count = len(self.grid.V), len(z)
        volts = self.pgm.initialize_array("update", "sym_voltage_sensor", (count, n))
        volts["id"], volts["u_measured"] = self.ids[0], z[:, :n] * 1e3
        power = self.pgm.initialize_array("update", "sym_power_sensor", (count, len(self.ids[1])))
        power["id"] = self.ids[1]
        power["p_measured"], power["q_measured"] = self._powers(z)
        return {"sym_voltage_sensor": volts, "sym_power_sensor": power}

    def run(self, update, threading=2):
        """Estimate a batch: complex voltages (count, n), the angle of the reference 0."""
        out = self.model.calculate_state_estimation(
            update_data=update, calculation_method=self.pgm.CalculationMethod.newton_raphson, symmetric=True,
            error_tolerance=1e-8, max_iterations=50, threading=threading,
            output_component_types={"node": ["u_pu", "u_angle"]},
        )  # fmt: skip
        node = out["node"]
        V = node["u_pu"] * np.exp(1j * node["u_angle"])
        return V * np.exp(-1j * np.angle(V[..., [self.grid.reference]]))

    def one(self):
        """Estimate the readings that the model holds."""
        return self.model.calculate_state_estimation(
            calculation_method=self.pgm.CalculationMethod.newton_raphson, symmetric=True, error_tolerance=1e-8,
            max_iterations=50, output_component_types={"node": ["u_pu", "u_angle"]},
        )  # fmt: skip

    def objective(self, V, z):
        """J of voltages (n,) for readings (n,), by the pi-model, outside both estimators."""
        g = self.grid
        Sf, St = flows(g.on, V, g.f, g.t)
        into = np.zeros(len(V), complex)
        np.add.at(into, g.f, Sf)
        np.add.at(into, g.t, St)
        into += np.abs(V) ** 2 * np.conj((g.mpc["bus"][:, 4] + 1j * g.mpc["bus"][:, 5]) * 1e6 / g.base)
        h = np.concatenate([np.abs(V), into.real * g.base, into.imag * g.base, Sf.real * g.base, Sf.imag * g.base])
        return float((((z - h) / g.sigma) ** 2).sum())
