# SPDX-License-Identifier: Apache-2.0
"""Readings that are wrong before any arithmetic: another unit, a station that stands still."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from serai.estimate.findings import Finding, some
from serai.estimate.meters import dimension

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.estimate.meters import Meter

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

NEAR = 2.0  # a reading within this factor of a known mistake is suspected of it ...
GROSS = 50.0  # ... if it is so many sigmas away from what is expected
FAR = 500.0  # a factor that no two pressures of one network differ by: what the median of all can tell
ENOUGH = 0.1  # and it is confirmed where, converted, it lies so near to what the others say
SCANS = 5  # in a row without any change of any meter of a station, while the rest moves
FEWEST = 3  # meters that must stand still together
MOVING = 0.5  # share of the other meters that must have moved

# factor (reading over truth) -> what it looks like, by dimension; "" holds for all
FACTORS: dict[str, dict[float, str]] = {
    "pressure": {1e-5: "bar where Pa is meant", 1e-3: "kPa where Pa is meant", 1e-6: "MPa where Pa is meant",
                 1e5: "Pa where bar is meant", 1e2: "kPa where bar is meant", 1e-1: "MPa where bar is meant"},
    "power": {1e3: "kW where MW is meant", 1e-3: "MW where kW is meant",
              1e6: "W where MW is meant", 1e-6: "MW where W is meant"},
    "reactive power": {1e3: "kvar where Mvar is meant", 1e-3: "Mvar where kvar is meant",
                       1e6: "var where Mvar is meant", 1e-6: "Mvar where var is meant"},
    "": {1e3: "1,000 times too much", 1e-3: "1,000 times too little",
         1e6: "1,000,000 times too much", 1e-6: "1,000,000 times too little"},
}  # fmt: skip


def wrong_units(
    meters: Sequence[Meter], values: Floats, sigmas: Floats, expected: Floats
) -> dict[int, tuple[float, str]]:
    """Return the readings (by number) that are off by the factor of a confused unit, with the factor and words.

    expected  what each would read in the state last known (n,), nan where nothing is known; pressures are then held
              against the median of all pressures, which tells only the gross factors: 6 and 60 bar may both be right
    """
    found: dict[int, tuple[float, str]] = {}
    about = expected
    if np.isnan(expected).any():
        pressures = np.array([dimension(m.quantity) == "pressure" for m in meters]) & np.isfinite(values)
        median = float(np.median(values[pressures])) if pressures.sum() > 2 else np.nan
        about = np.where(np.isnan(expected) & pressures, median, expected)
    with np.errstate(invalid="ignore"):
        gross = (np.abs(values - about) > GROSS * sigmas) & (about != 0.0)
    for k in np.flatnonzero(gross).tolist():
        ratio = values[k] / about[k]
        for factor, words in {**FACTORS[""], **FACTORS.get(dimension(meters[k].quantity), {})}.items():
            wide = NEAR if not 0.05 < factor < 50 else 1.3
            told = np.isfinite(expected[k]) or not 1.0 / FAR < factor < FAR
            if told and factor / wide < ratio < factor * wide:
                found[k] = factor, words
    return found


def confirmed_units(
    meters: Sequence[Meter], values: Floats, sigmas: Floats, told: Floats, suspects: dict[int, tuple[float, str]]
) -> list[Finding]:
    """Return one finding for each suspected unit; `told` is what the other readings say each should read (n,)."""
    grouped: dict[str, list[str]] = defaultdict(list)
    findings = []
    for k, (factor, words) in suspects.items():
        right = values[k] / factor
        if np.isfinite(told[k]) and abs(right - told[k]) > max(ENOUGH * abs(told[k]), 10.0 * sigmas[k] / factor):
            text = (
                f"{meters[k].name} reads {values[k]:.6g} where the other readings say {told[k]:.6g}, about "
                f"{values[k] / told[k]:.3g} times as much; set aside"
            )
            findings.append(Finding("unit", (meters[k].name,), text, set_aside=True))
        else:
            grouped[words].append(meters[k].name)
    for words, names in grouped.items():
        who = f"{some(names)} reads" if len(names) == 1 else f"{len(names)} meters ({some(names)}) read"
        text = f"{who} as if in another unit: {words}; set aside"
        findings.append(Finding("unit", tuple(names), text, set_aside=True))
    return findings


@dataclass
class Memory:
    """What an estimator remembers of its meters from scan to scan.

    values  last reading of each (n,), nan = none yet
    times   when it was taken [s] (n,): the same reading shown again is no new scan
    still   scans in a row in which it did not change (n,)
    """

    values: Floats
    times: Floats
    still: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, count: int) -> Memory:
        """Return an empty memory of `count` meters."""
        return cls(np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, np.int64))

    def see(self, values: Floats, times: Floats) -> None:
        """Remember one scan; a reading that is missing, or not new, neither moves nor stands still."""
        here = np.isfinite(values) & (times != self.times)
        self.times = np.where(here, times, self.times)
        same = here & (values == self.values)
        self.still = np.where(same, self.still + 1, np.where(here, 0, self.still))
        self.values = np.where(here, values, self.values)


def stuck_stations(meters: Sequence[Meter], memory: Memory, present: Flags) -> list[Finding]:
    """Return the stations all of whose meters have stood still for several scans while most others moved."""
    still = memory.still >= SCANS
    if not (still & present).any():
        return []
    stations: dict[str, list[int]] = defaultdict(list)
    for k, meter in enumerate(meters):
        if meter.station and present[k]:
            stations[meter.station].append(k)
    findings = []
    for station, mine in stations.items():
        if len(mine) < FEWEST or not still[mine].all():
            continue
        others = present.copy()
        others[mine] = False
        if not others.any() or float((memory.still[others] == 0).mean()) < MOVING:
            continue
        names = tuple(meters[k].name for k in mine)
        scans = int(memory.still[mine].min())
        text = (
            f"station {station}: all its {len(mine)} meters have stood still for {scans} scans while others moved "
            f"({some(names, 3)}); set aside, look at its link and its gateway"
        )
        findings.append(Finding("stuck", names, text, set_aside=True))
    return findings
