# SPDX-License-Identifier: Apache-2.0
"""The peers of the grid benchmarks, each fed with the matrices of a MATPOWER file, not with a converted network.

lightsim2grid reads transformers with charging differently from pandapower networks (issues 88 and 99 there), so
it gets the matrices through `init_from_matpower`. power-grid-model has no voltage control here: it gets the grid with
every generator at the reactive power of the base solution, as loads below zero.
"""

import re
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from power.pandapower_arrays import file_of

POLICIES = {"refactor always": 0, "refactor every fourth": 1, "chord": 2}


def matrices(case):
    """The matrices of a MATPOWER file, whole."""
    text = file_of(case).read_text(encoding="latin-1")
    found = {"baseMVA": float(re.search(r"mpc\.baseMVA = ([\d.]+)", text)[1]), "version": "2"}
    for name in ("bus", "gen", "branch"):
        body = re.search(rf"mpc\.{name} = \[(.*?)\n\];", text, re.DOTALL)[1]
        rows = [re.sub("[%;].*", "", line).split() for line in body.splitlines()[1:]]
        found[name] = np.array([r for r in rows if r], dtype=float)
    return found


def best(work, times):
    """Shortest time of several runs [s]."""
    out = np.inf
    for _ in range(times):
        begin = time.perf_counter()
        work()
        out = min(out, time.perf_counter() - begin)
    return out


class LightSim2Grid:
    """Sweeps over loads and outages of branches, two threads, in each of its policies."""

    def __init__(self, case, start):
        """start: complex voltages by row of the bus matrix; its own search for a base fails from some files'."""
        import lightsim2grid.lightsim2grid_cpp as core
        from lightsim2grid.network import init_from_matpower

        self.core, self.mpc = core, matrices(case)
        self.version = version("lightsim2grid")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.grid = init_from_matpower(self.mpc)
        self.V = self.grid.ac_pf(start.astype(complex), 30, 1e-8)
        if not len(self.V):
            raise RuntimeError(f"lightsim2grid finds no base solution of {case}")
        self.buses = [f"bus {n:.0f}" for n in self.mpc["bus"][:, 0]]
        self.loads = [f"load {self.mpc['bus'][x.bus_id, 0]:.0f}" for x in self.grid.get_loads()]

    def sweep(self, P, Q, policy, threads=2):
        """A prepared sweep over loads [MW, Mvar] (n_scenarios, n_loads), and what runs it."""
        sweep = self.core.InjectionSweepCPP(self.grid)
        self._set(sweep, policy, threads)
        P, Q = np.ascontiguousarray(P), np.ascontiguousarray(Q)

        def run():
            sweep.modify_load_p(P)
            sweep.modify_load_q(Q)
            sweep.compute(self.V.copy(), 30, 1e-8)
            return sweep.get_voltages()

        return sweep, run

    def outages(self, policy, threads=2):
        """A prepared study of every single branch, and what runs it."""
        study = self.core.ContingencyAnalysisCPP(self.grid)
        self._set(study, policy, threads)
        study.add_all_n1()

        def run():
            study.compute(self.V.copy(), 30, 1e-8)
            return study.get_voltages()

        return study, run

    @staticmethod
    def _set(study, policy, threads):
        study.nb_thread = threads
        config = study.get_algo_config()
        numbers = list(config.int_params)  # damping, refactorisation, ..., every so many
        numbers[1] = POLICIES[policy]
        config.int_params = numbers
        study.set_algo_config(config)


class PowerGridModel:
    """Batches of loads of a network without voltage control, Newton, two threads."""

    def __init__(self, case, V, generated):
        """V: complex base voltages by row of the bus matrix; generated: MW + j Mvar of all generators, by bus row."""
        import power_grid_model as pgm

        self.pgm, self.version = pgm, version("power-grid-model")
        mpc = matrices(case)
        bus, branch, base = mpc["bus"], mpc["branch"], mpc["baseMVA"] * 1e6
        row = {n: k for k, n in enumerate(bus[:, 0])}
        n = len(bus)
        volts = np.full(n, 1e3)  # per unit in disguise: every node at 1 kV
        node = pgm.initialize_array("input", "node", n)
        node["id"], node["u_rated"] = np.arange(n), volts
        on = branch[(branch[:, 10] != 0)]
        z = 1e6 / base
        edges = pgm.initialize_array("input", "generic_branch", len(on))
        edges["id"] = n + np.arange(len(on))
        edges["from_node"], edges["to_node"] = ([row[x] for x in on[:, k]] for k in (0, 1))
        edges["from_status"] = edges["to_status"] = 1
        edges["r1"], edges["x1"], edges["g1"], edges["b1"] = on[:, 2] * z, on[:, 3] * z, 0.0, on[:, 4] / z
        edges["k"], edges["theta"] = np.where(on[:, 8] == 0.0, 1.0, on[:, 8]), np.radians(on[:, 9])
        edges["sn"] = base
        self.first = n + len(on)
        load = pgm.initialize_array("input", "sym_load", n)
        load["id"], load["node"], load["status"], load["type"] = self.first + np.arange(n), np.arange(n), 1, 0
        self.fixed = generated * 1e6
        self.reference = int(np.flatnonzero(bus[:, 1] == 3)[0])
        self.fixed[self.reference] = 0.0
        s = (bus[:, 2] + 1j * bus[:, 3]) * 1e6 - self.fixed
        load["p_specified"], load["q_specified"] = s.real, s.imag
        with_shunt = np.flatnonzero((bus[:, 4] != 0) | (bus[:, 5] != 0))
        shunt = pgm.initialize_array("input", "shunt", len(with_shunt))
        shunt["id"], shunt["node"], shunt["status"] = self.first + n + np.arange(len(with_shunt)), with_shunt, 1
        shunt["g1"], shunt["b1"] = bus[with_shunt, 4] * 1e6 / 1e6, bus[with_shunt, 5] * 1e6 / 1e6
        shunt["g0"] = shunt["b0"] = 0.0
        source = pgm.initialize_array("input", "source", 1)
        source["id"], source["node"], source["status"] = self.first + n + len(with_shunt), self.reference, 1
        source["u_ref"], source["u_ref_angle"] = abs(V[self.reference]), np.angle(V[self.reference])
        source["sk"] = 1e20  # a reference that holds its voltage
        self.model = pgm.PowerGridModel(
            {"node": node, "generic_branch": edges, "sym_load": load, "shunt": shunt, "source": source}
        )

    def batch(self, rows, P, Q):
        """What runs a batch of loads [MW, Mvar] (n_scenarios, n_loads) at rows of the bus matrix; complex voltages.

        After a run `lost` holds the scenarios without an answer.
        """
        update = self.pgm.initialize_array("update", "sym_load", P.shape)
        update["id"] = self.first + np.asarray(rows)
        update["p_specified"] = P * 1e6 - self.fixed[rows].real
        update["q_specified"] = Q * 1e6 - self.fixed[rows].imag

        def run():
            out = self.model.calculate_power_flow(
                update_data={"sym_load": update}, calculation_method=self.pgm.CalculationMethod.newton_raphson,
                error_tolerance=1e-8, max_iterations=30, threading=2, symmetric=True,
                output_component_types={"node": ["u_pu", "u_angle"]}, continue_on_batch_error=True,
            )  # fmt: skip
            error = self.model.batch_error
            self.lost = [] if error is None else sorted(int(s) for s in error.failed_scenarios)
            return out["node"]["u_pu"] * np.exp(1j * out["node"]["u_angle"])

        return run
