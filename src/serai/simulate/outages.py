# SPDX-License-Identifier: Apache-2.0
"""N-1: every single loss of an element, gas and power together, and what it leaves unserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from serai.errors import NoReference, NoSwing, PhysicsRefused, SeraiError, UnknownName
from serai.known import Known
from serai.simulate.steady import steady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.simulate.labelled import Break, Result

KINDS = ("pipes", "compressors", "supplies", "lines", "transformers", "transformers3", "branches", "generators")
HOMES = ("city", "town", "home", "heating")
ISLANDS = 8  # gas islands that one loss may leave to be balanced
NEGLIGIBLE = 1e-6  # of the largest delivery: less is not a cut
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
    knowns = tuple(knowns)
    intact = steady(network, knowns, hour=hour)
    before = {(b.element, b.quantity) for b in intact.breaks()}
    rows = []
    for k, name in enumerate(elements):
        rows.append(_lose(network, name, knowns, hour, intact, before))
        if progress is not None:
            progress((k + 1) / len(elements))
    return _table(rows)


def _lose(
    network: Network, name: str, knowns: tuple[Known, ...], hour: float | None, intact: Result, before: set[tuple[str, str]]
) -> dict[str, object]:
    """Solve the network without one element."""
    row: dict[str, object] = {
        "outage": name, "kind": network.kind_of(name), "status": SOLVED, "unserved_gas": 0.0, "unserved_export": 0.0,
        "unserved_power": 0.0, "breaks": 0, "finding": "", "mismatch": np.nan,
    }  # fmt: skip
    try:
        found, cuts = _survive(network, (*knowns, *_running(network, intact), *_loss(network, name)), hour, intact)
    except PhysicsRefused as error:
        row.update(status=REFUSED, finding=str(error))
        return row
    except SeraiError as error:
        row.update(status=NO_ANSWER, finding=str(error))
        return row
    new = [b for b in found.breaks() if (b.element, b.quantity) not in before and b.element != name]
    gas, export, power = _unserved(network, intact, found)
    row.update(breaks=len(new), unserved_gas=gas, unserved_export=export, unserved_power=power, mismatch=found.mismatch)
    row["finding"] = _finding(network, found, new, cuts, (gas, export, power))
    return row


def _loss(network: Network, name: str) -> list[Known]:
    """Say the loss in Knowns: a station that stops is passed through, everything else is gone."""
    if network.kind_of(name) == "compressors":
        return [Known("open", name, 1.0, source="outage")]
    return [Known("in_service", name, 0.0, source="outage")]


def _running(network: Network, intact: Result) -> list[Known]:
    """Hold every unit at its output in the intact network: those with a participation then share what the loss changes."""
    if "active_power" not in intact.dataset:
        return []
    t = network.active("generators")
    made = dict(zip(t.names, intact.dataset["active_power"].sel(generator=list(t.names)).values, strict=True))
    return [
        Known("active_power", name, float(made[name]), source="intact network")
        for name, share in zip(t.names, t["participation"], strict=True)
        if share > 0.0 and np.isfinite(made[name])
    ]


def _survive(
    network: Network, knowns: tuple[Known, ...], hour: float | None, intact: Result
) -> tuple[Result, list[str]]:
    """Solve; where the loss leaves a gas island without a pressure or a swing, balance that island first.

    Returns the result and the names of what was cut. Raises what `steady` raises when nothing helps.
    """
    cuts: list[str] = []
    shares = bool((network.active("generators")["participation"] > 0.0).any())
    for _ in range(ISLANDS):
        try:
            return steady(network, knowns, hour=hour, distributed=shares), cuts
        except NoReference as error:
            relief = _balanced(network, error, knowns, intact)
            if not relief:
                raise
            knowns = (*knowns, *relief)
            cuts += [k.where for k in relief if k.source == "cut"]
    return steady(network, knowns, hour=hour, distributed=shares), cuts


def _balanced(network: Network, part: NoReference, knowns: tuple[Known, ...], intact: Result) -> list[Known]:
    """Return Knowns that let a cut-off part of the gas network live on its own supplies; nothing when none can.

    The largest supply of the part takes its pressure from the intact network and swings; exports are cut first and
    homes last. In a part without a supply the stations that part it from others are opened; an island without any
    supply gets nothing, and the plants in it stop.
    """
    lost = {k.where for k in knowns if k.quantity == "in_service" and k.value == 0.0}
    nodes, island = set(part.missing), set(part.island)
    supplies = _at(network, "supplies", island, intact, "supplied", lost)
    offtakes = _at(network, "offtakes", island, intact, "delivered", lost)
    plants = _at(network, "plants", island, intact, "plant_fuel", lost)
    if sum(supplies.values()) <= 0.0:
        table = network["plants"]
        units = dict.fromkeys(str(table["generator"][table.row(n)]) for n in plants)
        stopped = [Known("in_service", g, 0.0, source="cut") for g in units if g not in lost]
        return [*(Known("withdrawal", n, 0.0, source="cut") for n in offtakes), *stopped]
    mine = {n: s for n, s in supplies.items() if str(network["supplies"]["node"][network["supplies"].row(n)]) in nodes}
    opened = [] if mine and not isinstance(part, NoSwing) else _opened(network, nodes, knowns)
    if not mine:
        return opened
    swing = max(mine, key=lambda n: mine[n])
    node = str(network["supplies"]["node"][network["supplies"].row(swing)])
    relief = [Known("pressure", swing, float(intact.dataset["pressure"].sel(gas_node=node)), source="island"), *opened]
    lack = sum(offtakes.values()) + sum(plants.values()) - sum(supplies.values())
    for name in sorted(offtakes, key=lambda n: (_rank(network, n), -offtakes[n])):
        if lack <= 0.0:
            break
        cut = min(offtakes[name], lack)
        lack -= cut
        relief.append(Known("withdrawal", name, offtakes[name] - cut, source="cut"))
    return relief


def _opened(network: Network, nodes: set[str], knowns: tuple[Known, ...]) -> list[Known]:
    """Return the Knowns that open every station or control valve with an end in the part, where it is not open yet."""
    done = {k.where for k in knowns if k.quantity == "open"}
    return [
        Known("open", name, 1.0, source="island")
        for kind in ("compressors", "control_valves")
        for name, a, b in zip(network.active(kind).names, *(network.active(kind)[c] for c in ("from_node", "to_node")), strict=True)
        if name not in done and (str(a) in nodes or str(b) in nodes)
    ]


def _rank(network: Network, offtake: str) -> int:
    """Return the order in which deliveries are cut: exports, then losses and industry, then homes."""
    t = network["offtakes"]
    kind = str(t["kind"][t.row(offtake)])
    return 0 if kind == "export" else 2 if kind in HOMES else 1


def _at(
    network: Network, kind: str, nodes: set[str], intact: Result, variable: str, lost: set[str]
) -> dict[str, float]:
    """Return what each element of a kind at the nodes exchanged in the intact network [kg/s]."""
    t = network.active(kind)
    column, dim = ("gas_node", "plant") if kind == "plants" else ("node", kind[:-1].replace("supplie", "supply"))
    names = [n for k, n in enumerate(t.names) if str(t[column][k]) in nodes and n not in lost]
    if not names or variable not in intact.dataset:
        return {}
    values = intact.dataset[variable].sel({dim: names}).values
    return {n: float(v) for n, v in zip(names, values, strict=True) if np.isfinite(v)}


def _unserved(network: Network, intact: Result, found: Result) -> tuple[float, float, float]:
    """Return home gas, export gas [kg/s] and power [W] that the intact network served and this one does not."""
    gas = export = power = 0.0
    if "delivered" in intact.dataset:
        cut = _cut(intact, found, "delivered")
        abroad = network.active("offtakes")["kind"] == "export"
        gas, export = float(cut[~abroad].sum()), float(cut[abroad].sum())
    if "drawn" in intact.dataset:
        power = float(_cut(intact, found, "drawn").sum())
    return gas, export, power


def _cut(intact: Result, found: Result, variable: str) -> NDArray[np.float64]:
    before = intact.dataset[variable]
    after = found.dataset[variable].reindex_like(before).values if variable in found.dataset else 0.0
    missing = np.nan_to_num(before.values) - np.nan_to_num(after)
    return np.where(missing > NEGLIGIBLE * np.abs(before.values).max(initial=0.0), missing, 0.0)


def _finding(
    network: Network, found: Result, new: list[Break], cuts: list[str], unserved: tuple[float, float, float]
) -> str:
    """Say the worst in words: what is cut off, what tripped, the first limits."""
    gas, export, power = unserved
    daily = 86400.0 / network.gas.standard_density / 1e6
    parts = []
    if export > 0.0:
        parts.append(f"export short of {export * daily:.1f} million m3/d")
    if gas > 0.0:
        parts.append(f"home gas short of {gas * daily:.1f} million m3/d")
    if power > 0.0:
        parts.append(f"{power / 1e6:.0f} MW of load cut off")
    stopped = [n for n in cuts if network.kind_of(n) == "generators"]
    if stopped:
        parts.append(f"{len(stopped)} unit{'s' if len(stopped) > 1 else ''} without gas")
    parts += [f"{element} {sentence}" for element, sentence in found.notes[:2]]
    parts += [_words(b) for b in new[:2]]
    if len(new) > 2:  # noqa: PLR2004
        parts.append(f"{len(new) - 2} more limits")
    return "; ".join(parts)


def _words(b: Break) -> str:
    side = "below" if b.value < b.limit else "above"
    scale, unit, digits = {
        "pressure": (1e5, " bara", 1), "inlet_pressure": (1e5, " bara", 1), "outlet_pressure": (1e5, " bara", 1),
        "power": (1e6, " MW", 1), "active_power": (1e6, " MW", 1), "reactive_power": (1e6, " Mvar", 1),
        "loading": (1e-2, " %", 0), "magnitude": (1.0, " pu", 3), "ratio": (1.0, "", 2),
    }.get(b.quantity, (1.0, " kg/s", 1))  # fmt: skip
    quantity = b.quantity.replace("_", " ")
    return f"{b.element}: {quantity} {b.value / scale:.{digits}f}{unit}, {side} {b.limit / scale:.{digits}f}"


def _table(rows: list[dict[str, object]]) -> xr.Dataset:
    rank = {NO_ANSWER: 0, REFUSED: 1, SOLVED: 2}
    rows.sort(key=lambda r: (rank[str(r["status"])], -_harm(r), -float(str(r["breaks"]))))
    units = {"unserved_gas": "kg s-1", "unserved_export": "kg s-1", "unserved_power": "W", "mismatch": "1", "breaks": "1"}
    data = {
        key: ("outage", [r[key] for r in rows], {"units": units[key]} if key in units else {})
        for key in ("kind", "status", "unserved_gas", "unserved_export", "unserved_power", "breaks", "finding", "mismatch")
    }
    return xr.Dataset(data, coords={"outage": [r["outage"] for r in rows]})


def _harm(row: dict[str, object]) -> float:
    """Weigh what is unserved on one scale [W]: gas by its heat (about 48 MJ/kg), homes before exports."""
    home, export, power = (float(str(row[k])) for k in ("unserved_gas", "unserved_export", "unserved_power"))
    return 48e6 * (2.0 * home + export) + 2.0 * power
