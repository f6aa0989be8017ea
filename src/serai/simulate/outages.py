# SPDX-License-Identifier: Apache-2.0
"""N-1: every single loss of an element, gas and power together, and what it leaves unserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from serai.errors import NoReference, NoSwing, PhysicsRefused, SeraiError, UnknownName
from serai.known import Known
from serai.simulate.limits import in_words
from serai.simulate.outage_lanes import PARTS, Survived, describe, frame
from serai.simulate.steady import steady
from serai.units import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.labelled import Result
    from serai.simulate.limits import Break

KINDS = ("pipes", "compressors", "supplies", "lines", "transformers", "transformers3", "branches", "generators")
HOMES = ("city", "town", "home", "heating")
WORTHWHILE = 8  # losses that are examined together; fewer one by one
NEGLIGIBLE = 1e-6  # of the largest delivery: less is not a cut
UNSERVED = ("unserved_gas", "unserved_export", "unserved_power")
SOLVED, REFUSED, NO_ANSWER = "solved", "refused by physics", "no answer"


def outages(
    network: Network,
    *,
    elements: Sequence[str] | None = None,
    kinds: Iterable[str] = KINDS,
    knowns: Iterable[Known] = (),
    hour: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> xr.Dataset:
    """Solve the network once for each lost element and say what each loss breaks.

    network   with its own set-points and `knowns`; a lost generation is shared by the units with a participation
    elements  names to lose one by one; None = everything in service of `kinds`

    Other arguments
    hour      take the profiles at this hour [h]; None = the day's mean
    progress  called with the share done, 0 to 1

    Returns a dataset over `outage`: kind; status (solved, refused by physics: a demand cannot flow, no answer);
    unserved_gas (at home), unserved_export [kg/s] and unserved_power [W]; breaks, the number of limits that the loss
    breaks and the intact network keeps; finding, the worst in words; mismatch. Rows stand worst first: those without an
    answer, then by what they leave unserved, then by the limits they break.

    A gas island that the loss cuts off lives on its own supplies; its exports are cut first and its homes last. A plant
    without gas stops, and the units with a participation take its share. A lost station is passed through.
    """
    if elements is None:
        elements = [n for kind in kinds for n in network.active(kind).names]
    for name in elements:
        if name not in network:
            msg = f"no element {name!r} to lose in {network.name}"
            raise UnknownName(msg)
    study = _Study(network, tuple(knowns), hour)
    together = study.together(elements) if len(elements) >= WORTHWHILE else {}
    rows = []
    for k, name in enumerate(elements):
        rows.append(study.row(name, together[name]) if name in together else study.lose(name))
        if progress is not None:
            progress((k + 1) / len(elements))
    return _table(rows)


class _Study:
    """The intact network, against which every loss is held."""

    def __init__(self, network: Network, knowns: tuple[Known, ...], hour: float | None) -> None:
        """Solve the intact network and note the limits that it breaks already."""
        self.knowns, self.hour = knowns, hour
        self.intact = steady(network, knowns, hour=hour)
        self.network = self._without_standing(network)
        self.before = {(b.element, b.quantity) for b in self.intact.breaks()}
        away = {name for _, name, _ in self.intact.modes}  # already off their set-point before anything is lost
        self.stations = {n for kind in ("compressors", "control_valves") for n in network[kind].names} - away
        self.exchanged: dict[str, dict[str, float]] = {}
        self.shares = bool((network.active("generators")["participation"] > 0.0).any())

    def _without_standing(self, network: Network) -> Network:
        """Return the network in which units that stand take no share of what a loss leaves open: none is started."""
        t = network["generators"]
        if "active_power" not in self.intact.dataset:
            return network
        made = self.intact.dataset["active_power"].to_series().reindex(list(t.names)).to_numpy()
        runs = np.abs(np.nan_to_num(made)) > NEGLIGIBLE * np.nanmax(np.abs(made), initial=0.0)
        return network.with_tables(generators=t.replace(participation=np.where(runs, t["participation"], 0.0)))

    def together(self, names: Sequence[str]) -> dict[str, Survived]:
        """Examine losses in lanes; what lanes do not settle is not among the answers."""
        base = frame(self.network, (*self.knowns, *self._running()), hour=self.hour, distributed=self.shares)
        if base is None:
            return {}
        losses = [describe(base, n, _loss(self.network, n), self._balanced) for n in names]
        return base.examine([loss for loss in losses if loss is not None])

    def lose(self, name: str) -> dict[str, object]:
        """Solve the network without one element and return its row of the table."""
        try:
            found, relief = self._survive((*self.knowns, *self._running(), *_loss(self.network, name)))
        except PhysicsRefused as error:
            return self._empty(name) | {"status": REFUSED, "finding": str(error)}
        except SeraiError as error:
            return self._empty(name) | {"status": NO_ANSWER, "finding": str(error)}
        delivered, drawn = (self._aligned(found, variable) for variable in ("delivered", "drawn"))
        supplied = _by_name(found.dataset, "supplied", "supply")
        modes = {name: mode for _, name, mode in found.modes}
        return self.row(
            name,
            Survived(delivered, drawn, supplied, found.breaks(), modes, found.notes, found.mismatch, relief),
        )

    def _aligned(self, found: Result, variable: str) -> NDArray[np.float64]:
        """Return an array of a result in the order of the intact network's; zeros where it has none."""
        if variable not in self.intact.dataset:
            return np.zeros(0)
        before = self.intact.dataset[variable]
        if variable not in found.dataset:
            return np.zeros(before.shape)
        return np.asarray(found.dataset[variable].reindex_like(before).values)

    def _empty(self, name: str) -> dict[str, object]:
        return {
            "outage": name, "kind": self.network.kind_of(name), "status": SOLVED, "unserved_gas": 0.0,
            "unserved_export": 0.0, "unserved_power": 0.0, "breaks": 0, "finding": "", "mismatch": np.nan,
        }  # fmt: skip

    def row(self, name: str, found: Survived) -> dict[str, object]:
        """Return the row of the table for a loss that the network survives."""
        new = [b for b in found.breaks if (b.element, b.quantity) not in self.before and b.element != name]
        unserved = self._unserved(found)
        finding = self._finding(found, new, found.relief, unserved)
        return self._empty(name) | unserved | {"breaks": len(new), "mismatch": found.mismatch, "finding": finding}

    def _running(self) -> list[Known]:
        """Hold every unit at its intact output: those with a participation then share what the loss changes."""
        if "active_power" not in self.intact.dataset:
            return []
        t = self.network.active("generators")
        made = self.intact.dataset["active_power"].sel(generator=list(t.names)).values
        return [
            Known("active_power", name, float(P), source="intact network")
            for name, share, P in zip(t.names, t["participation"], made, strict=True)
            if share > 0.0 and np.isfinite(P)
        ]

    def _survive(self, knowns: tuple[Known, ...]) -> tuple[Result, list[Known]]:
        """Solve; where the loss leaves a part of the gas network without a pressure or a swing, balance it first.

        Returns the result and the Knowns by which it was balanced. Raises what `steady` raises when nothing helps.
        """
        relieved: list[Known] = []
        for _ in range(PARTS):
            try:
                return steady(self.network, knowns, hour=self.hour, distributed=self.shares), relieved
            except NoReference as error:
                relief = self._balanced(error, knowns)
                if not relief:
                    raise
                knowns = (*knowns, *relief)
                relieved += relief
        return steady(self.network, knowns, hour=self.hour, distributed=self.shares), relieved

    def _balanced(self, part: NoReference, knowns: tuple[Known, ...]) -> list[Known]:
        """Return Knowns that let a cut-off part of the gas network live on its own supplies; nothing when none can.

        The largest supply of the part takes its pressure from the intact network and swings; exports are cut first and
        homes last. In a part without a supply the stations that part it from others are opened; an island without any
        supply gets nothing, and the plants in it stop.
        """
        lost = {k.where for k in knowns if k.quantity == "in_service" and k.value == 0.0}
        nodes, island = set(part.missing), set(part.island)
        supplies = self._at("supplies", island, "supplied", lost)
        offtakes = self._at("offtakes", island, "delivered", lost)
        plants = self._at("plants", island, "plant_fuel", lost)
        if sum(supplies.values()) <= 0.0:
            return self._dark(offtakes, plants, lost)
        place = self.network["supplies"]
        mine = {n: s for n, s in supplies.items() if str(place["node"][place.row(n)]) in nodes}
        opened = [] if mine and not isinstance(part, NoSwing) else self._opened(nodes, knowns)
        if not mine:
            return opened
        swing = max(mine, key=lambda n: mine[n])
        held = float(self.intact.dataset["pressure"].sel(gas_node=str(place["node"][place.row(swing)])))
        relief = [Known("pressure", swing, held, source="island"), *opened]
        lack = sum(offtakes.values()) + sum(plants.values()) - sum(supplies.values())
        for name in sorted(offtakes, key=lambda n: (_rank(self.network, n), -offtakes[n])):
            if lack <= 0.0:
                break
            cut = min(offtakes[name], lack)
            lack -= cut
            relief.append(Known("withdrawal", name, offtakes[name] - cut, source="cut"))
        return relief

    def _dark(self, offtakes: Iterable[str], plants: Iterable[str], lost: set[str]) -> list[Known]:
        """Return the Knowns of an island without gas: nothing is delivered and its plants stop."""
        table = self.network["plants"]
        units = dict.fromkeys(str(table["generator"][table.row(n)]) for n in plants)
        stopped = [Known("in_service", g, 0.0, source="cut") for g in units if g not in lost]
        return [*(Known("withdrawal", n, 0.0, source="cut") for n in offtakes), *stopped]

    def _opened(self, nodes: set[str], knowns: tuple[Known, ...]) -> list[Known]:
        """Return the Knowns that open every station and control valve with an end in the part."""
        done = {k.where for k in knowns if k.quantity == "open"}
        found = []
        for kind in ("compressors", "control_valves"):
            t = self.network.active(kind)
            for name, a, b in zip(t.names, t["from_node"], t["to_node"], strict=True):
                if name not in done and (str(a) in nodes or str(b) in nodes):
                    found.append(Known("open", name, 1.0, source="island"))
        return found

    def _at(self, kind: str, nodes: set[str], variable: str, lost: set[str]) -> dict[str, float]:
        """Return what each element of a kind at the nodes exchanged in the intact network [kg/s]."""
        t = self.network.active(kind)
        column, dim = {
            "supplies": ("node", "supply"), "offtakes": ("node", "offtake"), "plants": ("gas_node", "plant"),
        }[kind]  # fmt: skip
        if variable not in self.exchanged:
            self.exchanged[variable] = _by_name(self.intact.dataset, variable, dim)
        values = self.exchanged[variable]
        names = [n for n, node in zip(t.names, t[column], strict=True) if str(node) in nodes and n not in lost]
        return {n: values[n] for n in names if np.isfinite(values.get(n, np.nan))}

    def _unserved(self, found: Survived) -> dict[str, float]:
        """Return gas at home and abroad [kg/s] and power [W] that the intact network served and this one does not."""
        out = {"unserved_gas": 0.0, "unserved_export": 0.0, "unserved_power": 0.0}
        if "delivered" in self.intact.dataset:
            cut = self._cut("delivered", found.delivered)
            abroad = self.network.active("offtakes")["kind"] == "export"
            out.update(unserved_gas=float(cut[~abroad].sum()), unserved_export=float(cut[abroad].sum()))
        if "drawn" in self.intact.dataset:
            out["unserved_power"] = float(self._cut("drawn", found.drawn).sum())
        return out

    def _cut(self, variable: str, after: NDArray[np.float64]) -> NDArray[np.float64]:
        before = self.intact.dataset[variable].values
        missing = np.nan_to_num(before) - np.nan_to_num(after)
        return np.where(missing > NEGLIGIBLE * np.abs(before).max(initial=0.0), missing, 0.0)

    def _finding(self, found: Survived, new: list[Break], relief: list[Known], unserved: dict[str, float]) -> str:
        """Say the worst in words: what is cut off or shut in, what tripped or left its set-point, the first limits."""
        daily = DAY / self.network.gas.standard_density / 1e6
        parts = []
        if unserved["unserved_export"] > 0.0:
            parts.append(f"export short of {unserved['unserved_export'] * daily:.1f} million m3/d")
        if unserved["unserved_gas"] > 0.0:
            parts.append(f"home use short of {unserved['unserved_gas'] * daily:.1f} million m3/d")
        if unserved["unserved_power"] > 0.0:
            parts.append(f"{unserved['unserved_power'] / 1e6:.0f} MW of load cut off")
        stopped = sum(k.quantity == "in_service" and k.source == "cut" for k in relief)
        if stopped:
            parts.append(f"{stopped} unit{'s' if stopped > 1 else ''} without gas")
        for name in dict.fromkeys(k.where for k in relief if k.source == "island" and k.quantity == "pressure"):
            less = float(self.intact.supplied[name] - found.supplied[name]) * daily
            if less > 0.05:
                parts.append(f"{name} shut in by {less:.1f} million m3/d")
        parts += [f"{name} {mode}" for name, mode in found.modes.items() if name in self.stations][:2]
        parts += [f"{element} {sentence}" for element, sentence in found.notes[:2]]
        parts += [in_words(b) for b in new[:2]]
        if len(new) > 2:
            parts.append(f"{len(new) - 2} more limits")
        return "; ".join(parts)


def _loss(network: Network, name: str) -> list[Known]:
    """Say the loss in Knowns: a station that stops is passed through, everything else is gone."""
    if network.kind_of(name) == "compressors":
        return [Known("open", name, 1.0, source="outage")]
    return [Known("in_service", name, 0.0, source="outage")]


def _by_name(data: xr.Dataset, variable: str, dim: str) -> dict[str, float]:
    """Return the values of a variable by element; nothing where a result does not have it."""
    if variable not in data:
        return {}
    return {str(n): float(v) for n, v in zip(data[dim].values, data[variable].values, strict=True)}


def _rank(network: Network, offtake: str) -> int:
    """Return the order in which deliveries are cut: exports, then losses and industry, then homes."""
    t = network["offtakes"]
    kind = str(t["kind"][t.row(offtake)])
    return 0 if kind == "export" else 2 if kind in HOMES else 1


def consequence(found: xr.Dataset) -> NDArray[np.bool_]:
    """Tell which losses have a consequence: they leave something unserved, break a limit, or have no answer."""
    values = [found[v].values for v in (*UNSERVED, "breaks") if v in found]
    hurt = np.any([v > 0.0 for v in values], axis=0) | (found["finding"].values.astype(str) != "")
    return np.asarray(hurt | (found["status"].values != SOLVED))


def tally(found: xr.Dataset) -> dict[str, int]:
    """Return how many losses ended how, in words: with consequence, without, refused by physics, no answer."""
    status, hurt = found["status"].values, consequence(found)
    return {
        "with consequence": int((hurt & (status == SOLVED)).sum()),
        "without consequence": int((~hurt).sum()),
        REFUSED: int((status == REFUSED).sum()),
        NO_ANSWER: int((status == NO_ANSWER).sum()),
    }


def ranked(found: xr.Dataset) -> xr.Dataset:
    """Return the losses worst first: those without an answer, then by what is unserved, then by broken limits.

    What is unserved is weighed on one scale [W]: gas by its heat (about 48 MJ/kg), homes and power before exports.
    """
    rank = np.array([(NO_ANSWER, REFUSED, SOLVED).index(str(s)) for s in found["status"].values])
    home, export, power = (found[v].values for v in UNSERVED)
    harm = 48e6 * (2.0 * home + export) + 2.0 * power
    return found.isel(outage=np.lexsort((-found["breaks"].values, -harm, rank)))


def _table(rows: list[dict[str, object]]) -> xr.Dataset:
    units = {
        "unserved_gas": "kg s-1",
        "unserved_export": "kg s-1",
        "unserved_power": "W",
        "breaks": "1",
        "mismatch": "1",
    }
    data = {
        key: ("outage", [r[key] for r in rows], {"units": units[key]} if key in units else {})
        for key in ("kind", "status", *UNSERVED, "breaks", "finding", "mismatch")
    }
    return ranked(xr.Dataset(data, coords={"outage": [r["outage"] for r in rows]}))
