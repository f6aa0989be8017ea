# SPDX-License-Identifier: Apache-2.0
"""Where the next meters tell most: greedy choice by information gained, with a bound on what any choice could gain.

A reading with sigma of a quantity whose variance is v tells 1/2 log2(1 + v / sigma^2) bits of the state. The bits that
a set of meters tells are monotone and submodular, so the greedy choice of N gains at least 1 - 1/e of what the best N
gain (Nemhauser, Wolsey, Fisher 1978). At every step the best N can gain no more than what is gained already and the N
largest gains that are left (Krause, Guestrin 2007): the least of these bounds is told, mostly far better than 1 - 1/e.

References: G. L. Nemhauser, L. A. Wolsey, M. L. Fisher, Math. Programming 14 (1978), doi:10.1007/BF01588971;
A. Krause, C. Guestrin, Near-optimal observation selection using submodular functions, Proc. AAAI, 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.diagnose.hypotheses import hypotheses
from serai.diagnose.scan import limit
from serai.errors import SeraiError
from serai.estimate import Estimator
from serai.estimate.meters import Functions, Meter
from serai.known import Known
from serai.network.instruments import instruments
from serai.simulate.measured import measured
from serai.simulate.steady import steady

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from serai.estimate import Estimate
    from serai.network import Network
    from serai.network.instruments import Instrument

    Floats = NDArray[np.float64]

# kind -> quantities that a new meter may read there
OFFERED = {
    "gas_nodes": ("pressure",), "pipes": ("flow",), "offtakes": ("withdrawal",), "supplies": ("supply",),
    "buses": ("magnitude",), "lines": ("active_power_from", "reactive_power_from"),
    "loads": ("active_power", "reactive_power"), "generators": ("active_power", "reactive_power"),
    "compressors": ("flow",),
}  # fmt: skip
SPREAD = "loss"  # offtakes that stand for what is lost on the way: there is no place for a meter
OF_CLASS = {"pressure": 1e-3, "magnitude": 3e-3}  # share of the reading where no instrument of the case tells; else 1 %


@dataclass(frozen=True)
class Placement:
    """The next meters, the best first.

    meters    quantity and element of each (n,)
    gains     bits that each adds to those before (n,)
    bound     bits that no choice of so many meters can exceed
    leaks     median of the smallest leak that is told nine times in ten [kg/s], before and with the new meters
    """

    meters: tuple[Meter, ...]
    gains: tuple[float, ...]
    bound: float
    leaks: tuple[float, float]

    @property
    def share(self) -> float:
        """Part of the best possible gain that is surely reached."""
        return sum(self.gains) / self.bound if self.bound > 0.0 else 1.0


def place(network: Network, count: int, *, candidates: Iterable[tuple[str, str]] | None = None) -> Placement:
    """Return where `count` more meters tell most of the state, beside the case's instruments.

    candidates  (quantity, element) that may be metered; not given = what OFFERED lists and no instrument reads

    A new meter is of the class of the case's instruments of its quantity. Raises SeraiError where there is nothing to
    place; errors as `steady` and `estimate` raise them.
    """
    result, own = steady(network), instruments(network)
    read = [(i.quantity, i.where, float(measured(result, i.quantity, i.where)), i.tag) for i in own]
    scan = [Known(q, w, v, i.sigma_at(v), source=tag) for (q, w, v, tag), i in zip(read, own, strict=True) if v == v]  # noqa: PLR0124 - no nan
    offered = list(candidates) if candidates is not None else _offered(network, {(k.quantity, k.where) for k in scan})
    if count < 1 or not offered:
        msg = f"{network.name}: no meter to place (count {count}, {len(offered)} places offered)"
        raise SeraiError(msg)
    estimate = Estimator(network, [Meter(k.quantity, k.where, k.source) for k in scan]).run(scan)
    values = {p: float(measured(result, *p)) for p in offered}
    offered = [p for p in offered if np.isfinite(values[p])]
    share = _classes(own)
    sigma = np.array(
        [max(abs(values[p]), _least(scan, p[0])) * share.get(p[0], OF_CLASS.get(p[0], 1e-2)) for p in offered]
    )
    chosen, gains, bound = _greedy(_covariance(estimate, offered), sigma, count)
    new = [Known(*offered[k], values[offered[k]], float(sigma[k])) for k in chosen]
    more = [*scan, *new]
    again = Estimator(network, [Meter(k.quantity, k.where, k.source) for k in more]).run(more)
    meters = tuple(Meter(*offered[k]) for k in chosen)
    return Placement(meters, tuple(gains), bound, (_smallest_leak(estimate), _smallest_leak(again)))


def _offered(network: Network, read: set[tuple[str, str]]) -> list[tuple[str, str]]:
    places = [(q, str(name)) for kind, quantities in OFFERED.items() if kind in network.tables
              for name in network.active(kind).names for q in quantities]  # fmt: skip
    offtakes = network.active("offtakes")
    spread = {n for n, kind in zip(offtakes.names, offtakes["kind"], strict=True) if kind == SPREAD}
    return [p for p in places if p not in read and p[1] not in spread]


def _classes(own: Sequence[Instrument]) -> dict[str, float]:
    """Return the median share of the reading that is the sigma of each quantity's instruments."""
    shares: dict[str, list[float]] = {}
    for i in own:
        middle = 0.5 * (i.low + i.high)
        if middle > 0.0:
            shares.setdefault(i.quantity, []).append(i.sigma_at(middle) / middle)
    return {q: float(np.median(s)) for q, s in shares.items()}


def _least(scan: Sequence[Known], quantity: str) -> float:
    """Return a reading below which a meter of this quantity gets no better: a tenth of the median one."""
    sizes = [abs(k.value) for k in scan if k.quantity == quantity]
    return 0.1 * float(np.median(sizes)) if sizes else 0.0


def _covariance(e: Estimate, places: Sequence[tuple[str, str]]) -> Floats:
    """Return the covariance of what new meters would read (n, n), SI."""
    p = e._ready()  # noqa: SLF001 - the factors of the estimate
    functions = Functions(p.frame, [Meter(*place) for place in places])
    _, slopes = functions.bind(p.laws.x)()
    local = np.full(len(e.x), -1)
    local[p.free] = np.arange(p.n)
    at = local[functions.columns]
    inside = at >= 0
    H = np.zeros((len(places), p.n + p.m))
    np.add.at(H, (functions.rows[inside], at[inside]), (slopes * p.unit[at])[inside])
    C = H @ np.array([p.lu.solve(row) for row in H]).T
    return np.asarray(0.5 * (C + C.T))


def _greedy(C: Floats, sigma: Floats, count: int) -> tuple[list[int], list[float], float]:
    """Return the chosen, the bits of each, and the least bound on the bits of the best `count`."""
    chosen: list[int] = []
    gains: list[float] = []
    C, bound = C.copy(), np.inf
    for _ in range(min(count, len(sigma))):
        bits = 0.5 * np.log2(1.0 + np.maximum(np.diag(C), 0.0) / sigma**2)
        bits[chosen] = 0.0
        bound = min(bound, sum(gains) + float(np.sort(bits)[-count:].sum()))
        k = int(np.argmax(bits))
        chosen.append(k)
        gains.append(float(bits[k]))
        C -= np.outer(C[k], C[k]) / (C[k, k] + sigma[k] ** 2)
    return chosen, gains, max(bound, sum(gains))


def _smallest_leak(e: Estimate) -> float:
    h = hypotheses(e)
    leaks = np.array([kind == "leak" for kind in h.kind])
    if not leaks.any():
        return np.inf
    information = h.information[leaks]
    root = np.sqrt(np.where(information > 0.0, information, 1.0))
    return float(np.median(np.where(information > 0.0, (limit(h, 0.01) + 1.2816) / root, np.inf)))
