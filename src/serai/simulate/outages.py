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

    from serai.network import Network
    from serai.simulate.labelled import Break, Result

KINDS = ("pipes", "compressors", "supplies", "lines", "transformers", "transformers3", "branches", "generators")
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
    unserved_gas [kg/s] and unserved_power [W] cut off from every source; breaks, the number of limits that the loss
    breaks and the intact network keeps; finding, the worst in words; mismatch. Rows stand worst first.
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
        "outage": name, "kind": network.kind_of(name), "status": SOLVED, "unserved_gas": 0.0, "unserved_power": 0.0,
        "breaks": 0, "finding": "", "mismatch": np.nan,
    }  # fmt: skip
    lost = Known("in_service", name, 0.0, source="outage")
    try:
        found = steady(network, (*knowns, lost, *_redispatch(network, name, intact)), hour=hour)
    except (PhysicsRefused, NoReference, NoSwing) as error:
        lack = max(error.lack, 0.0) if isinstance(error, NoSwing) else 0.0
        row.update(status=REFUSED, finding=str(error), unserved_gas=lack)
        return row
    except SeraiError as error:
        row.update(status=NO_ANSWER, finding=str(error))
        return row
    new = [b for b in found.breaks() if (b.element, b.quantity) not in before and b.element != name]
    gas, power = _unserved(intact, found)
    row.update(breaks=len(new), unserved_gas=gas, unserved_power=power, mismatch=found.mismatch)
    row["finding"] = _finding(found, new, gas, power)
    return row


def _redispatch(network: Network, name: str, intact: Result) -> list[Known]:
    """Spread what a lost generator made over the running units with a participation; its own set-points fall away."""
    if network.kind_of(name) != "generators":
        return []
    t = network.active("generators")
    made = intact.dataset["active_power"]
    power = {n: float(made.sel(generator=n)) for n in t.names}
    share = {n: float(t["participation"][k]) for k, n in enumerate(t.names) if n != name and power[n] > 0.0}
    total = sum(share.values())
    if total <= 0.0 or np.isnan(power[name]):
        return []
    swings = _swinging(network, name)
    return [
        Known("active_power", n, power[n] + power[name] * s / total, source=f"shares the loss of {name}")
        for n, s in share.items()
        if s > 0.0 and n not in swings
    ]


def _swinging(network: Network, lost: str) -> set[str]:
    """Return the generators without a set-point of active power: they take what is left by themselves."""
    known = {k.where for k in network.knowns() if k.quantity == "active_power"}
    return {n for n in network.active("generators").names if n not in known and n != lost}


def _unserved(intact: Result, found: Result) -> tuple[float, float]:
    """Return gas [kg/s] and power [W] that was drawn in the intact network and is cut off now."""
    amounts = []
    for variable in ("delivered", "drawn"):
        if variable not in intact.dataset:
            amounts.append(0.0)
            continue
        before = intact.dataset[variable].values
        after = found.dataset[variable].reindex_like(intact.dataset[variable]).values if variable in found.dataset else 0.0 * before
        cut = np.nan_to_num(before) - np.nan_to_num(after)
        amounts.append(float(np.maximum(cut, 0.0).sum()))
    return amounts[0], amounts[1]


def _finding(found: Result, new: list[Break], gas: float, power: float) -> str:
    parts = []
    if gas > 0.0:
        parts.append(f"gas cut off: {gas:.1f} kg/s")
    if power > 0.0:
        parts.append(f"power cut off: {power / 1e6:.1f} MW")
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
    rows.sort(key=lambda r: (rank[str(r["status"])], -float(r["unserved_gas"]) - float(r["unserved_power"]) / 4e7, -int(r["breaks"])))  # type: ignore[call-overload, arg-type]
    units = {"unserved_gas": "kg s-1", "unserved_power": "W", "mismatch": "1", "breaks": "1"}
    data = {
        key: ("outage", [r[key] for r in rows], {"units": units[key]} if key in units else {})
        for key in ("kind", "status", "unserved_gas", "unserved_power", "breaks", "finding", "mismatch")
    }
    return xr.Dataset(data, coords={"outage": [r["outage"] for r in rows]})
