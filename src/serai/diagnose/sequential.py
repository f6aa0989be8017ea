# SPDX-License-Identifier: Apache-2.0
"""The sequential test: which one fault, since when, how large, explains the filter's innovations.

A unit fault of kind j that begins at scan k leaves a signature g_j(t - k) in the innovations after it, by the filter's
own recursion (A. S. Willsky, H. L. Jones, IEEE Trans. Autom. Control 21 (1976) 108-112):

    s(1) = d,   nu(t) = H s(t) + h,   s(t+1) = F (s(t) - K nu(t)) + d

d what the fault does to the state in one scan (a leak: a column of T), h what it does to a reading (a bias: 1). With
whitened innovations y = V^-1/2 nu and signatures g alike, for a window of n scans

    D = sum g(t)' y(t)     C = sum g(t)' g(t)     score D / sqrt(C)     size D / C     smallest size z / sqrt(C)

A score is a standard normal when the filter's model is the truth. It is not: so each score is divided by its own spread
on clean days, and the level that the largest of all may reach follows from the alarms a month that are allowed
(`Limits`). Short windows slide scan by scan; long ones take innovations by blocks of ten.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import ndtri
from scipy.stats import chi2

from serai.errors import SeraiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from serai.estimate.moving import Moving

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]

SHORT = (3, 5, 10, 20, 30, 60)  # windows, in scans
BLOCK = 10  # scans
LONG = (9, 12, 18, 24, 36, 54, 72, 108, 144)  # windows, in blocks
MONTH = 30.0 * 86400.0
EULER = 0.5772156649015329
ALIKE = 0.98  # correlation from which on two signatures cannot be told apart
POWER = 0.9  # with which the smallest detectable fault is found
SURE = 0.9  # with which a spread is no larger than what is taken for it


@dataclass(frozen=True)
class Fault:
    """One hypothesis: a `leak` at a node of the pipes, or a `bias` of a meter; index of the node or meter."""

    kind: str
    where: str
    index: int


class Signatures:
    """Whitened signatures of every fault, for one filter and one set of living meters.

    faults    leaks at all nodes first, then biases of all meters
    short     (60, n_meter, n_fault), scan by scan; long (144, n_meter, n_fault), block by block
    """

    def __init__(self, moving: Moving) -> None:
        lo, stage = moving.layout, moving.stages[-1]
        nodes = [Fault("leak", name, k) for k, name in enumerate(moving.pipes.nodes)]
        biases = [Fault("bias", tag, k) for k, tag in enumerate(moving.tags)]
        self.faults = (*nodes, *biases)
        self.n_leak = len(nodes)
        self.alive = ~moving.dead
        self.whiten = cholesky(stage.V, lower=True)
        d = np.zeros((lo.size, len(self.faults)))
        d[lo.p, : self.n_leak] = moving.regime.T
        h = np.zeros((len(moving.tags), len(self.faults)))
        h[:, self.n_leak :] = np.eye(len(moving.tags))
        self._short(moving, stage.K, d, h)
        self._long(moving, stage.K, d, h)
        self.information = {
            **{n: np.cumsum((self.short**2).sum(1, dtype=np.float64), 0)[n - 1] for n in SHORT},
            **{n * BLOCK: np.cumsum((self.long**2).sum(1, dtype=np.float64), 0)[n - 1] for n in LONG},
        }

    def _short(self, moving: Moving, K: Floats, d: Floats, h: Floats) -> None:
        n = max(SHORT)
        self.short: Singles = np.empty((n, *h.shape), np.float32)
        s = d.copy()
        for t in range(n):
            nu = moving.H @ s + h
            self.short[t] = solve_triangular(self.whiten, nu, lower=True)
            s = moving.F @ (s - K @ nu) + d

    def _long(self, moving: Moving, K: Floats, d: Floats, h: Floats) -> None:
        """Sum the signatures over blocks: s after a block is B s + b, the sum of s over it S s + e."""
        step = moving.F - moving.F @ (K @ moving.H)
        rest = d - moving.F @ (K @ h)
        B, b = np.eye(step.shape[0]), np.zeros_like(rest)
        S, e = np.zeros_like(step), np.zeros_like(rest)
        for _ in range(BLOCK):
            S, e = S + B, e + b
            B, b = step @ B, step @ b + rest
        HS, He = moving.H @ S, moving.H @ e + BLOCK * h
        n = max(LONG)
        self.long: Singles = np.empty((n, *h.shape), np.float32)
        s = d.copy()
        for t in range(n):
            self.long[t] = solve_triangular(self.whiten, HS @ s + He, lower=True) / np.sqrt(BLOCK)
            s = B @ s + b

    # ------------------------------------------------------------------ scores

    def whitened(self, nu: Floats) -> Floats:
        """Return y = V^-1/2 nu for innovations (n_scan, n_meter)."""
        return np.asarray(solve_triangular(self.whiten, nu.T, lower=True).T)

    def bank(self, window: int) -> Singles:
        """Return the signatures of a window [scans] in a row (n_time x n_meter, n_fault)."""
        g = self.short[:window] if window in SHORT else self.long[: window // BLOCK]
        return g.reshape(-1, g.shape[2])

    def scores(self, y: Floats, window: int) -> Singles:
        """Return D / sqrt(C) of every fault that began `window` scans before each scan (n_scan, n_fault).

        y (n_scan, n_meter) whitened innovations, or their sums over blocks / sqrt(BLOCK) for long windows. Rows before
        the first full window are nan.
        """
        n = window if window in SHORT else window // BLOCK
        out = np.full((len(y), len(self.faults)), np.nan, np.float32)
        if len(y) >= n:
            view = np.lib.stride_tricks.sliding_window_view(y.astype(np.float32), n, axis=0)  # (.., n_meter, n)
            rows = np.ascontiguousarray(view.transpose(0, 2, 1)).reshape(len(view), -1)
            C = np.maximum(self.information[window], 1e-30)
            out[n - 1 :] = rows @ self.bank(window) / np.sqrt(C).astype(np.float32)
        return out


# -------------------------------------------------------------------------------------------- one fault beside others


@dataclass(frozen=True)
class Since:
    """A fault that has stood for a while, seen in a window that ends now.

    window   [scans]; onset [scans before the window's end]
    between, part   the two signatures between which it lies, and how far from the first
    """

    window: int
    onset: float
    between: tuple[int, int]
    part: float


def _ages(since: Since) -> tuple[NDArray[np.intp], bool]:
    """Return for every row of a window how many rows the fault has stood (below 0 = not yet), and whether by blocks."""
    by_block = since.window > max(SHORT)
    rows = since.window // BLOCK if by_block else since.window
    stood = max(1, round(since.onset / BLOCK)) if by_block else round(since.onset)
    return np.arange(rows) + stood - rows, by_block


def _pair(signatures: Signatures, since: Since) -> Floats:
    """Return both signatures of a fault in a window (n_time, n_meter, 2), 0 before its onset."""
    ages, by_block = _ages(since)
    between = list(since.between)
    short, long = signatures.short[:, :, between], signatures.long[:, :, between]
    out = np.zeros((len(ages), *short.shape[1:]))
    began = ages >= 0
    if by_block:
        out[began] = long[np.minimum(ages[began], len(long) - 1)]
        return out
    fresh = began & (ages < len(short))
    out[fresh] = short[ages[fresh]]
    later = ages >= len(short)
    out[later] = long[np.minimum(ages[later] // BLOCK, len(long) - 1)] / np.sqrt(BLOCK)
    return out


def shifted(signatures: Signatures, since: Since) -> Floats:
    """Return the signature of a fault of size 1 in a window that ends now (n_time, n_meter), 0 before its onset."""
    return np.asarray(_pair(signatures, since) @ np.array([1.0 - since.part, since.part]))


def scores_beside(signatures: Signatures, y: Floats, window: int, told: list[Since]) -> Floats:
    """Return D / sqrt(C) (n_fault,) of every fault that began `window` scans ago, the faults told being unknown too.

    y  what is remembered (n_time, n_meter), the last row now: whitened innovations, or sums of blocks for long windows

    Those told are free in size and in place between their two nodes: their signatures are taken out of y and of every
    signature (Gram and Schmidt), so what is left of C is the information beside them. A fault that is not to be told
    from them scores 0.
    """
    bank = signatures.bank(window)
    C = np.maximum(signatures.information[window], 1e-30)
    rows = window if window in SHORT else window // BLOCK
    late = y[-rows:].astype(np.float32).ravel()
    if not told:
        return np.asarray((late @ bank) / np.sqrt(C), np.float64)
    taken = np.concatenate([_pair(signatures, t).reshape(len(late), 2) for t in told], axis=1)
    scale = np.sqrt((taken**2).sum(0))
    taken = taken[:, scale > 0.0] / scale[scale > 0.0]
    left, values, _ = np.linalg.svd(taken, full_matrices=False)
    basis = left[:, values > 1e-4].astype(np.float32)
    shared = basis.T @ bank
    rest = C - (shared.astype(np.float64) ** 2).sum(0)
    seen = rest > (1.0 - ALIKE**2) * C
    D = (late - basis @ (basis.T @ late)) @ bank
    return np.where(seen, D / np.sqrt(np.where(seen, rest, 1.0)), 0.0)


def blocks(y: Floats) -> Floats:
    """Return sums of y (n_scan, n_meter) over whole blocks, over the root of their length: white when y is."""
    n = len(y) // BLOCK
    return np.asarray(y[: n * BLOCK].reshape(n, BLOCK, -1).sum(1) / np.sqrt(BLOCK))


# ---------------------------------------------------------------------- limits


@dataclass(frozen=True)
class Limits:
    """What clean days have taught: how far scores spread, and how high the largest of them goes.

    spread   window [scans] -> (n_fault,) standard deviation of each score on clean days, never below 1
    mu, beta Gumbel's law of the largest score over `span` seconds, all faults and windows together
    days     clean days behind it
    """

    spread: dict[int, Floats]
    mu: float
    beta: float
    span: float
    days: float

    def level(self, alarms_a_month: float) -> float:
        """Return the score that clean days pass so often."""
        share = min(0.5, alarms_a_month * self.span / MONTH)
        return float(self.mu - self.beta * np.log(-np.log1p(-share)))

    def sure(self, scan: float = 60.0) -> Limits:
        """Return limits whose spreads are the largest that so few clean days leave open (chi-square, nine in ten).

        A window of n scans fits only so many times into the days; of a spread that few of them tell, as much is unsure.
        scan [s]
        """
        times = {n: max(1.0, self.days * 86400.0 / scan / n) for n in self.spread}
        wide = {n: float(np.sqrt(k / chi2.ppf(1.0 - SURE, k))) for n, k in times.items()}
        return replace(self, spread={n: s * wide[n] for n, s in self.spread.items()})

    def alarms_a_month(self, score: float) -> float:
        """Return how often clean days pass a score."""
        return float(-np.expm1(-np.exp(-(score - self.mu) / self.beta)) * MONTH / self.span)


def windows() -> tuple[int, ...]:
    """Return all windows in scans."""
    return (*SHORT, *(n * BLOCK for n in LONG))


def untaught(signatures: Signatures, *, scan: float = 60.0, spread: float = 2.0) -> Limits:
    """Return limits for a network without clean days: spreads as given, the largest of independent normals.

    The largest of M normals in a span follows Gumbel's law with mu = z(1 - 1/M), beta = 1/mu; each window counts as
    many independent tests as it fits into the span.
    """
    span = 6 * 3600.0
    tests = sum(max(1.0, span / scan / n) for n in windows()) * len(signatures.faults)
    mu = float(ndtri(1.0 - 1.0 / tests))
    wide = {n: np.full(len(signatures.faults), spread) for n in windows()}
    return Limits(wide, mu, 1.0 / mu, span, 0.0)


def all_scores(signatures: Signatures, y: Floats) -> Iterable[tuple[int, int, Singles]]:
    """Yield (window, scans between rows, scores (n_row, n_fault)) of whitened innovations (n_scan, n_meter)."""
    for n in SHORT:
        yield n, 1, signatures.scores(y, n)
    sums = blocks(y)
    for n in LONG:
        yield n * BLOCK, BLOCK, signatures.scores(sums, n * BLOCK)


@dataclass
class Lesson:
    """Gathers clean days for `Limits`: first their spread, then, on the same days, the largest scores.

    Two passes over the days: `spread` of each, `close`, then `largest` of each, `limits`.

    reach  spreads that a score may go on clean days; where it goes further, its spread is taken for so much wider: a
           meter of a station that starts is wrong for a moment on every day, and must not raise the limit of all others
    """

    scan: float = 60.0
    span: float = 6 * 3600.0
    reach: float = np.inf
    tops: dict[int, Floats] = field(default_factory=dict)
    squares: dict[int, Floats] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    spreads: dict[int, Floats] = field(default_factory=dict)
    maxima: list[Floats] = field(default_factory=list)
    days: float = 0.0

    def spread(self, signatures: Signatures, y: Floats, skip: int) -> None:
        """Add a run's whitened innovations (n_scan, n_meter); its first `skip` scans are warming up."""
        for n, every, scores in all_scores(signatures, y):
            late = scores[skip // every :]
            z = late[np.isfinite(late[:, 0])].astype(np.float64)
            self.squares[n] = self.squares.get(n, 0.0) + (z**2).sum(0)
            z[:, : signatures.n_leak] = np.maximum(z[:, : signatures.n_leak], 0.0)  # gas goes away
            self.tops[n] = np.maximum(self.tops.get(n, 0.0), np.abs(z).max(0, initial=0.0))
            self.counts[n] = self.counts.get(n, 0) + len(z)
        self.days += (len(y) - skip) * self.scan / 86400.0

    def close(self) -> None:
        """Turn what was gathered into spreads."""
        for n, total in self.squares.items():
            if self.counts[n] < 2:
                msg = f"clean days too short for a window of {n} scans"
                raise SeraiError(msg)
            wide = np.maximum(np.sqrt(total / self.counts[n]), self.tops[n] / self.reach)
            self.spreads[n] = np.maximum(1.0, wide)

    def largest(self, signatures: Signatures, y: Floats, skip: int) -> None:
        """Add the largest score of every span of a run."""
        top = course(signatures, self.spreads, y)
        n = int(self.span / self.scan)
        top = top[skip:]
        spans = top[: len(top) // n * n].reshape(-1, n)
        self.maxima.append(spans.max(1))

    def limits(self) -> Limits:
        """Fit Gumbel's law by moments."""
        top = np.concatenate(self.maxima)
        beta = float(top.std(ddof=1) * np.sqrt(6.0) / np.pi)
        return Limits(self.spreads, float(top.mean()) - EULER * beta, beta, self.span, self.days)


def course(signatures: Signatures, spreads: dict[int, Floats], y: Floats) -> Floats:
    """Return the largest score of any fault and window at each scan (n_scan,), in units of its spread."""
    top = np.zeros(len(y))
    leaks = signatures.n_leak
    for n, every, scores in all_scores(signatures, y):
        z = np.nan_to_num(np.asarray(scores, np.float64)) / spreads[n]
        best = np.maximum(z[:, :leaks].max(1), np.abs(z[:, leaks:]).max(1))
        at = np.arange(len(z)) * every + every - 1
        top[at] = np.maximum(top[at], best)
    return top
