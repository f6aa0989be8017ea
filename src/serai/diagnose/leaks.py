# SPDX-License-Identifier: Apache-2.0
"""The watch over gas in motion: readings in, scan by scan; out comes what is wrong, where, how large, since when."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri

from serai.diagnose.sequential import (
    ALIKE,
    BLOCK,
    POWER,
    SHORT,
    Limits,
    Signatures,
    Since,
    scores_beside,
    shifted,
    untaught,
    windows,
)
from serai.estimate.given import TOLERATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.estimate.moving import Moving, Scan
    from serai.telemetry.readings import Readings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

MOST = 4  # faults that are told one beside the other
BUDGET = 0.1  # alarms a month
SETTLED = 1440  # scans before the test begins: a day
RELEASE = 0.6  # of the level, below which a finding is over
BACK = 10  # scans that can be taken back
THROWN = 2.0  # sigmas of what a scan expects, from which on the flow of a station jumped
SHIFT = 0.25  # of its usual flow by which a station moves within BACK scans: what it learned of its meters says less
CALM = 360.0  # scans in which what a jump disturbs falls to a third


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    kind       `leak`, `leak or theft` (gas is taken there anyway) or `bias` (of a meter)
    where      the elements that the data cannot tell apart, the likeliest first: pipes and nodes, or one meter
    pipe, share   a leak's place: the share of the pipe's length before it ("" and nan for a meter)
    size       [kg/s] of a leak; of a bias in the unit of the meter [kg/s or Pa]
    sigma      standard deviation of the size, as wide as the score's spread on clean days makes it
    onset      scans since it began
    score      over its spread on clean days; level: what it had to pass
    false_alarm   how often clean days reach such a score [1/month]
    smallest   size that this window finds nine times in ten
    share_sigma   standard deviation of `share`; nan for a meter
    """

    kind: str
    where: tuple[str, ...]
    pipe: str
    share: float
    size: float
    sigma: float
    onset: float
    score: float
    level: float
    false_alarm: float
    smallest: float
    share_sigma: float = nan


@dataclass
class Memory:
    """What the test remembers: whitened innovations of the last hour, sums over blocks of the last day."""

    recent: Floats
    sums: Floats
    open_sum: Floats
    count: int = 0
    held: list[Finding] = field(default_factory=list)


class Watch:
    """The filter and its test: `scan(readings)` takes one scan and returns what is wrong now.

    moving     the filter (`serai.estimate.moving`)
    limits     from clean days (`sequential.Lesson`); not given = wide ones from theory
    budget     false alarms a month
    settled    scans before the test begins
    """

    def __init__(
        self, moving: Moving, limits: Limits | None = None, *, budget: float = BUDGET, settled: int = SETTLED
    ) -> None:
        self.moving, self.settled = moving, settled
        self.signatures = Signatures(moving)
        self.limits = limits or untaught(self.signatures, scan=moving.pipes.scan)
        self.budget = budget
        self.level = self.limits.level(budget)
        n = len(moving.tags)
        self._white = (moving.stages[-1], self.signatures.whiten)  # of the gain in force
        self.memory = Memory(np.zeros((max(SHORT), n)), np.zeros((windows()[-1] // BLOCK, n)), np.zeros(n))
        self._past: deque[tuple[dict[str, Any], Floats]] = deque(maxlen=BACK)  # state before each scan, its readings
        self._row = {tag: k for k, tag in enumerate(moving.tags)}
        takers = {n for x in moving.pipes.exchanges if x.quantity != "flow" for n, _ in x.at}
        self._taking = takers
        g = moving.pipes.system.gas
        start, end = g.ends()
        self._cells = [(int(a), int(b), e) for a, b, e in zip(start, end, g.edges, strict=True) if e.kind == "pipes"]
        self._cut = moving.pipes.cuts()
        ends = (np.ones(len(start)), (start, end))
        self._zone = connected_components(coo_array(ends, shape=(len(g.names),) * 2), directed=False)[1]
        lo = moving.layout
        metered = [moving.pipes.exchanges[x] for x in lo.exchange]
        self._station = np.array([*(x.quantity == "flow" for x in metered), *(False for _ in lo.gauges)], bool)
        at = [[g.node[n] for n, _ in x.at] for x in metered] + [[k] for k in lo.node]
        self._nodes_of = at  # of every meter
        self._zones_at = [self._zone[nodes] for nodes in at]
        self.doubted = np.full(n, np.inf)  # scans since a station at its nodes moved, or a meter came back
        self.thrown = np.full(int(self._zone.max()) + 1, np.inf)  # scans since a jump at each zone

    # -------------------------------------------------------------------- scan

    def scan(self, readings: Readings) -> list[Finding]:
        """Take the readings of one scan, tags in any order; the last of a tag counts, a useless one does not."""
        values = np.full(len(self._row), np.nan)
        good = (readings.quality & ~np.uint16(int(TOLERATED))) == 0
        for k in np.flatnonzero(good):
            row = self._row.get(readings.register[int(readings.tag[k])])
            if row is not None:
                values[row] = readings.value[k]
        return self.values(values)

    def values(self, values: Floats) -> list[Finding]:
        """Take one scan as values (n_meter,) in the order of the filter's `tags`, SI, nan where there is none."""
        self._past.append((self.save(), values))
        before = self.moving.dead
        scan = self.moving.scan(values)
        if self.moving.dead is not before:
            self._relay()
            self._come_back(before & ~self.moving.dead)
        self._throw(scan)
        self.take(self._whitened(scan))
        m = self.memory
        m.held = self.findings() if m.count > self.settled else []
        return list(m.held)

    def take_back(self, scans: int, without: NDArray[np.bool_]) -> None:
        """Take the last scans (BACK at most) once more without some meters (n_meter,), now known to be false."""
        again = [self._past.pop() for _ in range(min(scans, len(self._past)))][::-1]
        if again:
            self.restore(again[0][0])
        for _, values in again:
            self.values(np.where(without, nan, values))

    def _whitened(self, scan: Scan) -> Floats:
        """Return the whitened innovations (n_meter,) of a scan: a young filter knows that it knows little."""
        stage = self.moving.stages[scan.stage]
        if self._white[0] is not stage:
            self._white = stage, cholesky(stage.V, lower=True)
        return np.asarray(solve_triangular(self._white[1], scan.innovation, lower=True))

    def _throw(self, scan: Scan) -> None:
        """Note where the flow of a station jumps: what clean days say of its zones holds less for some hours.

        It may have started, stopped or been reset. Cells of many kilometres are too coarse for a jump within a scan,
        and efficiencies are known for the flow before it; both would be taken for leaks. What goes more slowly, a stop
        over some minutes, shows in the meters of that station alone.
        """
        off = np.abs(scan.innovation) > THROWN * np.sqrt(np.diag(self.moving.stages[scan.stage].V))
        jumped = np.flatnonzero(off & self._station & scan.heard)
        for k in jumped:
            self.thrown[self._zones_at[k]] = 0
        lo = self.moving.layout
        moved = np.abs(self.moving.state.u - self._past[0][0]["u"])[lo.exchange] > SHIFT * lo.scale[lo.exchange]
        self._doubt(moved & self._station[: len(moved)])
        self.thrown += 1
        self.doubted += 1

    def _doubt(self, meters: NDArray[np.bool_]) -> None:
        """Widen the limits of all meters at the nodes of some (n_meter,), or of the first of them, for some hours."""
        nodes = {n for k in np.flatnonzero(meters) for n in self._nodes_of[k]}
        if nodes:
            self.doubted[[bool(nodes & set(at)) for at in self._nodes_of]] = 0

    def spread(self, window: int) -> Floats:
        """Return the spread of every score (n_fault,) over a window [scans]: wider than on clean days after a jump."""
        wide, doubted = (1.0 + np.exp(-scans / CALM) for scans in (self.thrown, self.doubted))
        at_meter = np.maximum([wide[zones].max() for zones in self._zones_at], doubted)
        return np.asarray(self.limits.spread[window] * np.concatenate([wide[self._zone], at_meter]))

    def take(self, y: Floats) -> None:
        """Remember the whitened innovations of one scan (n_meter,)."""
        m = self.memory
        m.recent = np.roll(m.recent, -1, axis=0)
        m.recent[-1] = y
        m.open_sum = m.open_sum + y / np.sqrt(BLOCK)
        m.count += 1
        if m.count % BLOCK == 0:
            m.sums = np.roll(m.sums, -1, axis=0)
            m.sums[-1] = m.open_sum
            m.open_sum = np.zeros_like(y)

    def rest_again(self, scans: int | None = None) -> None:
        """Forget what is remembered of the test and judge nothing for some scans (not given = until settled anew)."""
        self._past.clear()
        n = len(self._row)
        count = 0 if scans is None else max(0, self.settled - scans)
        self.memory = Memory(np.zeros_like(self.memory.recent), np.zeros_like(self.memory.sums), np.zeros(n), count)
        if scans is None:
            self.moving.state.age = 0

    def _come_back(self, meters: NDArray[np.bool_]) -> None:
        """Forget what was remembered while meters (n_meter,) were dead, for faults left other signatures then.

        What is told stays told. What comes back says otherwise than the filter has come to believe; who of the meters
        at its nodes is wrong is not to be told at once, so their limits are wider for some hours.
        """
        if not meters.any():
            return
        self._doubt(meters)
        m = self.memory
        if not m.held:
            m.recent, m.sums, m.open_sum = np.zeros_like(m.recent), np.zeros_like(m.sums), np.zeros_like(m.open_sum)

    def _relay(self) -> None:
        """Lay the signatures out anew: a meter has died or come back. What is remembered is whitened as of now."""
        before, self.signatures = self.signatures.whiten, Signatures(self.moving)
        m = self.memory
        m.recent, m.sums, m.open_sum = (
            self.signatures.whitened(np.atleast_2d(y) @ before.T).reshape(y.shape)
            for y in (m.recent, m.sums, m.open_sum)
        )

    # ---------------------------------------------------------------- findings

    def findings(self) -> list[Finding]:
        """Return what passes its level now: the best is told, its unknown set free, the best of the rest looked for."""
        m = self.memory
        level = self.level * (RELEASE if m.held else 1.0)
        told: list[tuple[int, int, float, Estimate]] = []
        while len(told) < MOST:
            best = self._best([t[3] for t in told], level)
            if best is None:
                break
            window, fault, score = best
            told.append((window, fault, score, self.estimate(fault, [t[3] for t in told])))
            level = self.level
        for k in range(len(told) - 1):  # each once more beside those that were found after it
            others = [t[3] for i, t in enumerate(told) if i != k]
            told[k] = (*told[k][:3], self.estimate(told[k][1], others))
        return [self._finding(*t) for t in told]

    def _best(self, beside: list[Estimate], level: float) -> tuple[int, int, float] | None:
        """Return (window, fault, score) of the likeliest fault beside those told; None when no score passes.

        A second leak on a pipe on which one was told is not looked for.
        """
        m, s = self.memory, self.signatures
        top, raw = -np.inf, -np.inf
        best = (0, 0)
        fresh = m.count % BLOCK == 0 or bool(m.held) or bool(beside)
        near = sorted({n for e in beside for n in self._pipe(e)})
        for n in windows():
            if n not in SHORT and not fresh:
                continue
            z = scores_beside(s, m.recent if n in SHORT else m.sums, n, [e.parts(n, m.count) for e in beside])
            z[s.n_leak :] = np.abs(z[s.n_leak :])
            z[near] = 0.0
            over = z / self.spread(n)
            top = max(top, float(over.max()))
            j = int(np.argmax(z))
            if float(over.max()) > level and z[j] > raw:
                raw, best = float(z[j]), (n, j)
        return None if raw == -np.inf or top <= level else (*best, top)

    def _finding(self, window: int, fault: int, score: float, at: Estimate) -> Finding:
        f = self.signatures.faults[fault]
        rate = self.limits.alarms_a_month(score)
        wide = float(self.spread(window)[fault])  # what the filter's model is off by counts as for the score
        smallest = (self.level * wide + ndtri(POWER)) / at.root
        common = {"sigma": wide * at.sigma, "onset": at.onset, "score": score, "level": self.level, "false_alarm": rate,
                  "smallest": float(smallest), "size": at.size, "share_sigma": wide * at.share_sigma}  # fmt: skip
        if f.kind == "bias":
            return Finding("bias", (f.where,), "", float("nan"), **common)
        where = tuple(dict.fromkeys(self.element(j) for j in self.alike(window, at.node)))
        kind = "leak or theft" if self.moving.pipes.nodes[at.node] in self._taking else "leak"
        return Finding(kind, where, at.pipe, at.share, **common)

    def element(self, node: int) -> str:
        """Return the pipe or node that a node of the model belongs to."""
        return self.moving.pipes.place(node)[0]

    def alike(self, window: int, fault: int) -> list[int]:
        """Return leaks whose signatures cannot be told from that of `fault` over a window, itself first."""
        s = self.signatures
        g = s.bank(window)[:, : s.n_leak]
        C = np.sqrt(np.maximum(s.information[window][: s.n_leak], 1e-30))
        likeness = (g[:, fault] @ g) / (C * C[fault])
        found = np.flatnonzero(likeness > ALIKE)
        return [fault, *(int(k) for k in found[np.argsort(-likeness[found])] if k != fault)]

    def estimate(self, fault: int, beside: Sequence[Estimate] = ()) -> Estimate:
        """Return size, onset and place of a fault by the largest likelihood over every onset, and between cells.

        beside  other faults, whose part is taken out of what is remembered
        """
        leak = fault < self.signatures.n_leak
        cells = self._near(fault) if leak else []
        nodes = sorted({fault, *(n for a, b, _ in cells for n in (a, b))})
        place = {n: k for k, n in enumerate(nodes)}
        best: Estimate | None = None
        pairs = [(place[a], place[b], e) for a, b, e in cells] or [(place[fault], place[fault], None)]
        for onset, D, C in self._onsets(nodes, beside):
            for a, b, edge in pairs:
                share = np.linspace(0.0, 1.0, 21) if a != b else np.zeros(1)
                d = (1.0 - share) * D[a] + share * D[b]
                c = (1.0 - share) ** 2 * C[a, a] + 2.0 * share * (1.0 - share) * C[a, b] + share**2 * C[b, b]
                gain = np.where(d > 0.0, d, 0.0 if leak else d) ** 2 / np.maximum(c, 1e-30)
                k = int(np.argmax(gain))
                if best is None or gain[k] > best.gain:
                    node = nodes[b] if share[k] > 0.5 else nodes[a]
                    pipe, along, unit = ("", nan, nan) if edge is None else self._along(edge, float(share[k]))
                    size = float(d[k] / c[k])
                    best = Estimate(
                        node, pipe, along, size, float(c[k]) ** -0.5, float(c[k]) ** 0.5, onset, float(gain[k]),
                        unit * _place_sigma(C[np.ix_([a, b], [a, b])], float(share[k]), size),
                        (nodes[a], nodes[b]), float(share[k]),
                    )  # fmt: skip
        assert best is not None  # noqa: S101 - there is an onset at least
        return best

    def _pipe(self, told: Estimate) -> set[int]:
        """Return the nodes of the pipe on which a leak was told, ends included: a second one there waits for repair.

        What is left of a leak whose place or onset is a little off looks like another one beside it.
        """
        return {n for a, b, e in self._cells if told.pipe and e.element == told.pipe for n in (a, b)}

    def _near(self, fault: int) -> list[tuple[int, int, Any]]:
        """Return the cells within three nodes of a node."""
        reach = {fault}
        for _ in range(3):
            reach |= {n for a, b, _ in self._cells for n in (a, b) if a in reach or b in reach}
        return [cell for cell in self._cells if cell[0] in reach and cell[1] in reach]

    def _onsets(self, nodes: list[int], beside: Sequence[Estimate]) -> Any:
        """Yield (scans since the onset, D, C) of some faults: scans of the last hour, blocks of the last day."""
        m, s = self.memory, self.signatures
        for y, bank, unit, first in (
            (m.recent, s.short, 1, 1),
            (m.sums, s.long, BLOCK, max(SHORT) // BLOCK + 1),
        ):
            for e in beside:
                y = y - e.size * shifted(s, e.parts(len(y) * unit, m.count))  # noqa: PLW2901 - what is left of it
            g = bank[:, :, nodes].astype(np.float64)
            cross = np.cumsum(np.einsum("tmi,tmj->tij", g, g), axis=0)
            late = m.count % BLOCK if unit == BLOCK else 0
            for n in range(first, min(len(y), m.count // unit) + 1):
                yield n * unit + late, np.einsum("tm,tmi->i", y[len(y) - n :], g[:n]), cross[n - 1]

    def _along(self, edge: Any, share: float) -> tuple[str, float, float]:
        """Return the pipe, the share of its length for a share of a cell, and the share that a cell is."""
        cells = self._cut[edge.element]
        _, _, k = edge.name.rpartition(" [cell ")
        cell = int(k.rstrip("]")) if k and edge.name != edge.element else 1
        return edge.element, (cell - 1 + share) / cells, 1.0 / cells

    # ------------------------------------------------------------ save, restore

    def save(self) -> dict[str, Any]:
        """Return all that changes from scan to scan, as arrays, numbers and texts: what `restore` takes."""
        s, m = self.moving.state, self.memory
        return {
            "tags": list(self.moving.tags), "x": s.x.copy(), "u": s.u.copy(), "e": s.e.copy(), "b": s.b.copy(),
            "c": s.c.copy(), "age": s.age, "silent": s.silent.copy(), "recent": m.recent.copy(), "sums": m.sums.copy(),
            "open_sum": m.open_sum.copy(), "count": m.count, "dead": self.moving.dead.copy(),
            "thrown": self.thrown.copy(), "doubted": self.doubted.copy(), "held": [asdict(f) for f in m.held],
        }  # fmt: skip

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up where `save` left off; SeraiError when the meters are others."""
        self.moving.restore(saved)
        if not np.array_equal(self.signatures.alive, ~self.moving.dead):
            self._relay()
        self.thrown = np.array(saved.get("thrown", self.thrown), float)
        self.doubted = np.array(saved.get("doubted", self.doubted), float)
        self.memory = Memory(
            np.array(saved["recent"]),
            np.array(saved["sums"]),
            np.array(saved["open_sum"]),
            int(saved["count"]),
            [Finding(**{**f, "where": tuple(f["where"])}) for f in saved.get("held", [])],
        )


@dataclass(frozen=True)
class Estimate:
    """The likeliest place, size and onset of one fault.

    root         square root of the information on its size
    share_sigma  standard deviation of the share of the pipe, the size being unknown as well
    between, part   the two faults (nodes) between which it lies, and how far from the first
    """

    node: int
    pipe: str
    share: float
    size: float
    sigma: float
    root: float
    onset: float
    gain: float
    share_sigma: float
    between: tuple[int, int]
    part: float

    def parts(self, window: int, count: int) -> Since:
        """Return where its signature stands in a window [scans] that ends now."""
        late = count % BLOCK if window not in SHORT else 0
        return Since(window, self.onset - late, self.between, self.part)


def _place_sigma(C: Floats, share: float, size: float) -> float:
    """Return the standard deviation of a place between two nodes, as a share of their distance (Cramer and Rao)."""
    mid, slope = np.array([1.0 - share, share]), np.array([-1.0, 1.0])
    own = float(slope @ C @ slope) - float(mid @ C @ slope) ** 2 / max(float(mid @ C @ mid), 1e-30)
    return 1.0 / (abs(size) * own**0.5) if own > 0.0 and size else nan
