# SPDX-License-Identifier: Apache-2.0
"""From columns to results: what the numbers of a solved system mean for the elements of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from serai.network.branches import ENDS
from serai.simulate.labelled import described
from serai.system.gas import JOINING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from serai.known import Known
    from serai.network import Network
    from serai.system import System

    Floats = NDArray[np.float64]

Variables = dict[str, tuple[tuple[str, ...], Any]]


def names_of(network: Network) -> dict[str, list[str]]:
    """Return the elements of each result dimension: everything in service, in table order."""
    out: dict[str, list[str]] = {
        "gas_node": list(network.active("gas_nodes").names),
        "gas_branch": [n for kind in JOINING for n in network.active(kind).names],
        "pipe": list(network.active("pipes").names),
        "compressor": list(network.active("compressors").names),
        "supply": list(network.active("supplies").names),
        "offtake": list(network.active("offtakes").names),
        "bus": list(network.active("buses").names),
        "generator": list(network.active("generators").names),
        "load": list(network.active("loads").names),
        "grid_branch": [n for kind in ENDS for n in _branch_names(network, kind)],
        "plant": list(network.active("plants").names),
        "link": list(network.active("hvdc_links").names),
    }
    return {dim: names for dim, names in out.items() if names}


def _branch_names(network: Network, kind: str) -> list[str]:
    names = network.active(kind).names
    return [f"{n} [{side}]" for n in names for side in ("hv", "mv", "lv")] if kind == "transformers3" else list(names)


def dataset(
    system: System, X: Floats, dims: dict[str, list[str]], knowns: Sequence[Sequence[Known]] | None = None
) -> xr.Dataset:
    """Return the results of states X (n_time, n_column) as a dataset with a leading dimension `time`.

    dims    elements of each dimension; those that do not run in this system are nan
    knowns  the Knowns in force at each time; not given = the system's own
    """
    return described(arrays(system, X, dims, knowns), dict(dims))


def arrays(
    system: System, X: Floats, dims: dict[str, list[str]], knowns: Sequence[Sequence[Known]] | None = None
) -> Variables:
    """Return what `dataset` holds as (dimensions, array) by name; one set of Knowns may serve all states."""
    out = _Extraction(system, X, dims, knowns or [system.knowns])
    out.gas()
    out.power()
    out.links()
    return out.variables


class _Extraction:
    """Collects arrays (n_time, n_element) from the columns of a system."""

    def __init__(
        self, system: System, X: Floats, dims: dict[str, list[str]], knowns: Sequence[Sequence[Known]]
    ) -> None:
        self.system, self.X, self.dims = system, X, dims
        self.knowns = [{(k.where, k.quantity): k for k in now} for now in knowns]
        self.variables: Variables = {}
        self.at = {dim: {n: k for k, n in enumerate(names)} for dim, names in dims.items()}

    def put(self, variable: str, dim: str, names: list[str], values: Floats) -> None:
        """Lay values (n_time, n) of named elements into the full array of their dimension."""
        if dim not in self.dims:
            return
        full = self.variables.setdefault(
            variable, (("time", dim), np.full((len(self.X), len(self.dims[dim])), np.nan))
        )[1]
        index = self.at[dim]
        mine = [(index[n], k) for k, n in enumerate(names) if n in index]
        if mine:
            to, of = map(list, zip(*mine, strict=True))
            full[:, to] = values[:, of]

    def block(self, variable: str, dim: str, quantity: str, rename: dict[str, str] | None = None) -> None:
        """Lay a whole block of columns into its dimension."""
        c = self.system.equations.columns
        names = list(c[quantity].names) if quantity in c else []
        values = self.X[:, c[quantity].span] if names else np.empty((len(self.X), 0))
        self.put(variable, dim, [rename.get(n, n) for n in names] if rename else names, values)

    # ------------------------------------------------------------------- gas

    def gas(self) -> None:
        """Pressures, flows, linepack, stations, supplies and deliveries."""
        system, X = self.system, self.X
        if "gas_node" not in self.dims:
            return
        self.block("pressure", "gas_node", "pressure")
        self.block("withdrawal", "gas_node", "withdrawal")
        self._flows()
        self._pipes()
        self.block("ratio", "compressor", "ratio")
        self.block("power", "compressor", "power")
        drives = system.network.active("drives")
        station = {n: str(drives["compressor"][k]) for k, n in enumerate(drives.names)}
        self.block("fuel", "compressor", "fuel", station)
        self.block("drive_power", "compressor", "drive_power", station)
        self._terminals()
        if "fuel" in system.equations.columns:
            self.variables["fuel_total"] = (("time",), X[:, system.equations.columns["fuel"].span].sum(axis=1))

    def _flows(self) -> None:
        g, c = self.system.gas, self.system.equations.columns
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for k, e in enumerate(g.edges):
            if e.kind in JOINING:
                first.setdefault(e.element, k)
                last[e.element] = k
        m = self.X[:, c["flow"].span] if "flow" in c else np.empty((len(self.X), 0))
        names = list(first)
        self.put("flow", "gas_branch", names, m[:, [first[n] for n in names]])
        self.put("flow_out", "gas_branch", names, m[:, [last[n] for n in names]])

    def _pipes(self) -> None:
        g, c = self.system.gas, self.system.equations.columns
        if not g.momentum:
            return
        names = [n for n in self.dims["pipe"] if n in {e.element for e in g.edges}]
        at = {n: k for k, n in enumerate(names)}
        held = np.zeros((len(self.X), len(names)))
        speed = np.zeros_like(held)
        p = self.X[:, c["pressure"].span]
        m = self.X[:, c["flow"].span]
        for stamp, edges in g.momentum:
            b = [stamp.get(f"b{k}") for k in range(1, 6)]
            A, RT = stamp.get("A"), stamp.get("RT")
            of = np.array([at[g.edges[k].element] for k in edges])
            ends = [p[:, [getattr(g.edges[k], side) for k in edges]] for side in ("start", "end")]
            rho = [q * sum(bk * q**i for i, bk in enumerate(b)) / RT for q in ends]
            np.add.at(held.T, of, (g.volume[edges] * (rho[0] + rho[1]) / 2.0).T)
            v = np.abs(m[:, edges]) / (A * np.minimum(*rho))
            np.maximum.at(speed.T, of, v.T)
        self.put("linepack", "pipe", names, held)
        self.put("velocity", "pipe", names, speed)
        self.variables["linepack_total"] = (("time",), held.sum(axis=1))

    def _terminals(self) -> None:
        """Split each node's withdrawal into supplies and offtakes: what is known stays, the swing takes the rest."""
        system, c = self.system, self.system.equations.columns
        if "withdrawal" not in c:  # every gas island is dead
            return
        w = self.X[:, c["withdrawal"].span]
        left = w.copy()
        swings: dict[int, list[tuple[str, str]]] = {}
        for dim, kind, quantity, variable, sign in (
            ("supply", "supplies", "supply", "supplied", -1.0), ("offtake", "offtakes", "withdrawal", "delivered", 1.0),
        ):  # fmt: skip
            t = system.network.active(kind)
            for k, name in enumerate(t.names):
                node = system.gas.node.get(str(t["node"][k]))
                if node is None:
                    continue
                if (name, quantity) not in self.knowns[0]:
                    swings.setdefault(node, []).append((variable, name))
                    continue
                value = np.array([now[name, quantity].value for now in self.knowns])
                left[:, node] -= sign * value
                self.put(variable, dim, [name], value[:, None])
        for node, those in swings.items():
            part = left[:, [node]] / len(those)
            for variable, name in those:
                dim, sign = ("supply", -1.0) if variable == "supplied" else ("offtake", 1.0)
                self.put(variable, dim, [name], sign * part)

    # ----------------------------------------------------------------- power

    def power(self) -> None:
        """Voltages, generators, loads, branch flows, losses."""
        system = self.system
        g, c, net = system.power, system.equations.columns, system.network
        if "bus" not in self.dims or not g.names:
            return
        at = {b: g.bus_of.get(b, -1) for b in self.dims["bus"]}
        alive = [b for b, n in at.items() if n >= 0]
        node = [at[b] for b in alive]
        for quantity in ("magnitude", "angle"):
            self.put(quantity, "bus", alive, self.X[:, c[quantity].span][:, node])
        for quantity in ("active_withdrawal", "reactive_withdrawal"):
            self.block(quantity, "bus", quantity)
        self.block("active_power", "generator", "active_power")
        self.block("reactive_power", "generator", "reactive_power")
        loads = net.active("loads")
        fed = [row for row, name in enumerate(loads.names) if g.at(name) >= 0]
        names = [loads.names[row] for row in fed]
        asked = np.array([[system.drawn(row, loads.names[row], now) for row in fed] for now in self.knowns])
        v = self.X[:, [c["magnitude"].first + g.at(name) for name in names]]
        for part, (variable, side) in enumerate((("drawn", "active"), ("drawn_reactive", "reactive"))):
            z, i = (loads[f"constant_{what}_{side}"][fed] for what in ("impedance", "current"))
            if fed:
                self.put(variable, "load", names, asked[:, :, part] * (1.0 - z - i + i * v + z * v * v))
        self._branches()

    def _branches(self) -> None:
        system = self.system
        g, c, S = system.power, system.equations.columns, system.network.base_power
        V = self.X[:, c["magnitude"].span] * np.exp(1j * self.X[:, c["angle"].span])
        f, t = g.ends
        yff, yft, ytf, ytt = (y[g.alive_branch] for y in g.branches.admittances())
        Sf = V[:, f] * np.conj(V[:, f] * yff + V[:, t] * yft) * S
        St = V[:, t] * np.conj(V[:, f] * ytf + V[:, t] * ytt) * S
        names = _arm_names(g.branches.name[g.alive_branch], g.branches.arm[g.alive_branch])
        rating = g.branches.rating[g.alive_branch] * S
        with np.errstate(invalid="ignore", divide="ignore"):
            loading = np.maximum(np.abs(Sf / V[:, f]), np.abs(St / V[:, t])) / np.where(rating > 0, rating, np.nan)
        for variable, values in (
            ("active_power_from", Sf.real), ("reactive_power_from", Sf.imag),
            ("active_power_to", St.real), ("reactive_power_to", St.imag), ("loading", loading),
        ):  # fmt: skip
            self.put(variable, "grid_branch", names, values)
        stub = np.abs(V[:, g.stub_node]) ** 2 * np.conj(
            g.branches.stub_g[g.alive_stub] + 1j * g.branches.stub_b[g.alive_stub]
        )
        names = _arm_names(g.branches.stub_name[g.alive_stub], g.branches.stub_arm[g.alive_stub])
        ends = g.branches.stub_end[g.alive_stub]
        for end, side in ((0, "from"), (1, "to")):
            mine = np.flatnonzero(ends == end)
            for part, values in (("active", stub.real), ("reactive", stub.imag)):
                self.put(f"{part}_power_{side}", "grid_branch", [names[k] for k in mine], values[:, mine] * S)
        self.variables["losses"] = (("time",), (Sf + St).real.sum(axis=1) + stub.real.sum(axis=1) * S)

    # ----------------------------------------------------------------- links

    def links(self) -> None:
        """Fuel of plants and direct-current links; what does not run burns and sends nothing."""
        self.block("plant_fuel", "plant", "plant_fuel")
        if "plant_fuel" in self.variables:
            np.nan_to_num(self.variables["plant_fuel"][1], copy=False)
        self.block("link_sent", "link", "link_sent")
        self.block("link_received", "link", "link_received")


def _arm_names(names: NDArray[Any], arms: NDArray[Any]) -> list[str]:
    side = ("", " [hv]", " [mv]", " [lv]")
    return [f"{n}{side[int(a)]}" for n, a in zip(names, arms, strict=True)]


def standard_volume(network: Network, mass: Floats) -> Floats:
    """Return standard cubic metres of a mass [kg] at the case's standard density."""
    return np.asarray(mass) / network.gas.standard_density
