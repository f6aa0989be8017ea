# SPDX-License-Identifier: Apache-2.0
"""Readings in any form (Knowns, a batch from the field, a table) as meters with values and sigmas.

Whatever cannot be used is set aside with a finding that says why; nothing here raises for the sake of one reading.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import isfinite, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serai.errors import CaseError, Mistake, SeraiError, UnknownName
from serai.estimate.findings import Finding, some
from serai.estimate.meters import STATUS, Meter, dimension, readable
from serai.known import Known
from serai.network.instruments import instruments
from serai.network.quantities import QUANTITIES
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register
from serai.units import UNITS, to_si

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.network import Network
    from serai.network.instruments import Instrument

    Floats = NDArray[np.float64]

# Bits that do not make a reading unusable by themselves: they tell of the way it came, not of what it says.
TOLERATED = Quality.DUPLICATED | Quality.OUT_OF_ORDER | Quality.CLOCK_SKEW | Quality.ELAPSED_TIME_INVALID
TABLE = "a readings table has columns value and unit, and tag, or quantity and where with sigma (in the same unit)"


@dataclass
class Given:
    """Readings ready to be weighed, in parallel lists; set-points with sigma 0 apart.

    times  at which they were taken [s since 1970 UTC], nan = not said
    """

    meters: list[Meter] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    sigmas: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    exact: list[Known] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, network: Network, meter: Meter, value: float, sigma: float, time: float = nan) -> None:
        """Take one reading, or say why not."""
        reason = _unusable(network, meter, value, sigma)
        if reason is not None:
            self.findings.append(reason)
        elif meter.quantity in STATUS:
            self._status(meter, value)
        else:
            self.meters.append(meter)
            self.values.append(value)
            self.sigmas.append(sigma)
            self.times.append(time)

    def _status(self, meter: Meter, value: float) -> None:
        """Take a position for exact: it says how the network stands."""
        nearest = float(round(value))
        flag = QUANTITIES[meter.quantity].flag
        if abs(value - nearest) > 0.2 or (flag and nearest not in (0.0, 1.0)):
            text = f"{meter.name} reads {value:g}, which is no position; set aside"
            self.findings.append(Finding("position", (meter.name,), text, set_aside=True))
            return
        self.exact.append(Known(meter.quantity, meter.where, nearest, source=meter.name))


def _unusable(network: Network, meter: Meter, value: float, sigma: float) -> Finding | None:
    name = meter.name
    if meter.where not in network:
        return Finding(
            "unknown", (name,), f"{name}: {network.name} has no element {meter.where!r}; set aside", set_aside=True
        )
    if not readable(network, meter.quantity, meter.where):
        kind = network.kind_of(meter.where)
        return Finding(
            "unknown", (name,), f"{name}: {kind} have no {meter.quantity!r} to read; set aside", set_aside=True
        )
    if meter.quantity == "temperature":
        text = f"{name}: the temperature of the gas is the case's own, not estimated; set aside"
        return Finding("unknown", (name,), text, set_aside=True)
    if not isfinite(value):
        return Finding("not a number", (name,), f"{name} reads {value}: no usable number; set aside", set_aside=True)
    if not (isfinite(sigma) and sigma > 0.0) and meter.quantity not in STATUS:
        text = f"{name} has sigma {sigma:g}: a reading needs one above 0; set aside (correct its instrument)"
        return Finding("sigma", (name,), text, set_aside=True)
    return None


def given(network: Network, readings: Any, known: Tags | None = None) -> Given:
    """Return readings of any accepted form as meters, values and sigmas.

    readings  Knowns (sigma 0 holds exactly), a `Readings` batch with the case's instruments, a table (DataFrame, or the
              path of a CSV file)
    known     the instruments, where they are laid out already
    """
    if isinstance(readings, Given):
        return readings
    if known is None:
        known = Tags(network)
    if isinstance(readings, Readings):
        return from_batch(network, readings, known)
    if isinstance(readings, (str, os.PathLike)):
        return from_table(network, _read(Path(readings)), known, str(readings))
    if isinstance(readings, pd.DataFrame):
        return from_table(network, readings, known)
    return from_knowns(network, readings)


def from_knowns(network: Network, knowns: Iterable[Known]) -> Given:
    """Weigh Knowns with sigma above 0; those with sigma 0 hold exactly."""
    out = Given()
    for k in knowns:
        if k.exact:
            out.exact.append(k)
        else:
            out.add(network, Meter(k.quantity, k.where, k.source), k.value, k.sigma)
    return out


class Tags:
    """The instruments of a case, laid out once so that a scan is a matter of arrays.

    meters, instruments   in the order of the case (n,)
    """

    def __init__(self, network: Network) -> None:
        self.instruments = instruments(network)
        self.meters = [meter_of(i) for i in self.instruments]
        self.number = {m.tag: k for k, m in enumerate(self.meters)}
        self._sigma = np.array([i.sigma for i in self.instruments], float)
        self._share = np.array([i.share for i in self.instruments], float)
        weighed = [m.quantity not in STATUS and readable(network, m.quantity, m.where) for m in self.meters]
        self._weighed = np.array(weighed, bool)
        self._of: tuple[Register, NDArray[np.intp]] = (Register(), np.empty(0, np.intp))

    def of(self, register: Register) -> NDArray[np.intp]:
        """Return the instrument of every number of a register (n,), -1 = none."""
        if self._of[0] is not register or len(self._of[1]) != len(register):
            self._of = register, np.array([self.number.get(tag, -1) for tag in register], np.intp)
        return self._of[1]

    def sigmas(self, which: NDArray[np.intp], values: Floats) -> Floats:
        """Return the standard deviations [SI] of readings (n,); nan for a part that is negative or not said."""
        sigma, share = self._sigma[which], self._share[which]
        good = (sigma >= 0.0) & (share >= 0.0)
        return np.where(good, np.hypot(sigma, share * values), nan)

    def plain(self, which: NDArray[np.intp], values: Floats, sigmas: Floats) -> NDArray[np.bool_]:
        """Tell which readings (n,) are fit to be weighed as they are."""
        return np.asarray(self._weighed[which] & np.isfinite(values) & np.isfinite(sigmas) & (sigmas > 0.0), bool)


def from_batch(network: Network, batch: Readings, known: Tags) -> Given:
    """Take the latest reading of each tag, with the sigma of its instrument."""
    out = Given()
    order = np.argsort(batch.time, kind="stable")[::-1]
    numbers, first = np.unique(batch.tag[order], return_index=True)
    rows, which = order[first], known.of(batch.register)[numbers]
    bad = (batch.quality[rows] & ~np.uint16(int(TOLERATED))) != 0
    strangers = [batch.register[int(n)] for n in numbers[which < 0]]
    spoilt = [
        f"{batch.register[int(n)]} ({said(int(q))})"
        for n, q in zip(numbers[bad & (which >= 0)], batch.quality[rows][bad & (which >= 0)], strict=True)
    ]
    mine = (which >= 0) & ~bad
    rows, which = rows[mine], which[mine]
    values = batch.value[rows]
    sigmas = known.sigmas(which, values)
    plain = known.plain(which, values, sigmas)
    out.meters = [known.meters[k] for k in which[plain].tolist()]
    out.values, out.sigmas = values[plain].tolist(), sigmas[plain].tolist()
    out.times = (batch.time[rows][plain] / MICROSECONDS).tolist()
    for k, value, sigma in zip(which[~plain].tolist(), values[~plain].tolist(), sigmas[~plain].tolist(), strict=True):
        out.add(network, known.meters[k], value, sigma)
    if strangers:
        text = f"no instrument of {network.name} has the tag {some(strangers)}; set aside"
        out.findings.append(Finding("unknown", tuple(strangers), text, set_aside=True))
    if spoilt:
        tags = tuple(s.rsplit(" (", 1)[0] for s in spoilt)
        text = f"bad by their quality: {some(spoilt)}; set aside"
        out.findings.append(Finding("quality", tags, text, set_aside=True))
    return out


def said(quality: int) -> str:
    """Return the bits of a quality in words."""
    return ", ".join(b.name.lower().replace("_", " ") for b in Quality if b and quality & b and b.name)


def meter_of(instrument: Instrument) -> Meter:
    """Return the meter that an instrument is."""
    return Meter(instrument.quantity, instrument.where, instrument.tag, instrument.station)


def sigma_of(instrument: Instrument, value: float) -> float:
    """Return the standard deviation [SI] of a reading; nan for a part that is negative or not said."""
    if instrument.sigma < 0.0 or instrument.share < 0.0:
        return nan
    return instrument.sigma_at(value) if isfinite(value) else nan


# -------------------------------------------------------------------------------------------------------------- tables


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        msg = f"{path}: no such file. {TABLE}"
        raise SeraiError(msg)
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise CaseError(str(path), [Mistake(path.name, 0, "", f"is no table: {error}")]) from None


def from_table(network: Network, table: pd.DataFrame, known: Tags, name: str = "readings") -> Given:
    """Read a table: value and unit, and tag, or quantity and where with sigma (in the same unit).

    A row that cannot be read is set aside with a finding that names it; a table without the columns is refused.
    """
    columns = set(table.columns)
    if "value" not in columns or not ("tag" in columns or {"quantity", "where"} <= columns):
        raise CaseError(name, [Mistake(name, 1, "", f"{TABLE}; it has {', '.join(map(str, table.columns))}")])
    out = Given()
    seen: set[str] = set()
    for row, cells in enumerate(table.to_dict("records"), start=2):
        try:
            meter, value, sigma = _row(network, known, cells)
        except (SeraiError, ValueError) as error:
            tag = str(cells.get("tag") or cells.get("where") or f"row {row}")
            out.findings.append(Finding("unknown", (tag,), f"{name} row {row}: {error}; set aside", set_aside=True))
            continue
        if meter.tag and meter.tag in seen:
            out.findings.append(
                Finding("twice", (meter.tag,), f"{name} row {row}: {meter.tag} is given twice", set_aside=True)
            )
            continue
        seen.add(meter.tag)
        out.add(network, meter, value, sigma)
    return out


def _row(network: Network, known: Tags, cells: Mapping[Any, Any]) -> tuple[Meter, float, float]:
    tag = str(cells.get("tag", "") or "")
    instrument = known.instruments[known.number[tag]] if tag in known.number else None
    if instrument is None and not cells.get("quantity"):
        msg = f"no instrument of {network.name} has the tag {tag!r}"
        raise UnknownName(msg)
    meter = known.meters[known.number[tag]] if instrument else Meter(str(cells["quantity"]), str(cells["where"]), tag)
    unit = cells.get("unit")
    unit = str(unit) if isinstance(unit, str) and unit else (instrument.unit if instrument else "")
    _fits(meter, unit)
    density = network.gas.standard_density
    value = to_si(_number(cells["value"]), unit, density) if unit else _number(cells["value"])
    if cells.get("sigma") not in (None, "") and not isnan(_number(cells["sigma"])):
        sigma = _number(cells["sigma"]) * (to_si(1.0, unit, density) - to_si(0.0, unit, density) if unit else 1.0)
    else:
        sigma = sigma_of(instrument, value) if instrument else nan
    return meter, value, sigma


def _number(cell: Any) -> float:
    text = str(cell).strip()
    try:
        return float(text) if text else nan
    except ValueError:
        msg = f"{text!r} is no number"
        raise ValueError(msg) from None


def _fits(meter: Meter, unit: str) -> None:
    """Refuse a unit that does not exist or is of another dimension."""
    if not unit:
        return
    if unit not in UNITS:
        msg = f"{meter.name}: no unit {unit!r}"
        raise UnknownName(msg)
    wanted = dimension(meter.quantity)
    if wanted and UNITS[unit].dimension != wanted:
        msg = f"{meter.name}: {unit} is a unit of {UNITS[unit].dimension}, not of {wanted}"
        raise UnknownName(msg)


def aligned(meters: Sequence[Meter], found: Given) -> tuple[Floats, Floats, Floats]:
    """Return values, sigmas and times (n,) in the order of `meters`; nan where there is no reading.

    A reading is that of the meter with its tag, or else of the meter of its quantity and element; one that belongs to
    no meter is set aside and named in `found.findings`.
    """
    place = {(m.quantity, m.where): k for k, m in reversed(list(enumerate(meters)))}
    tag = {m.tag: k for k, m in enumerate(meters) if m.tag}
    same = {m: k for k, m in enumerate(meters)}
    values, sigmas, times = (np.full(len(meters), nan) for _ in range(3))
    lost = []
    for m, *read in zip(found.meters, found.values, found.sigmas, found.times, strict=True):
        k = same.get(m, tag.get(m.tag, place.get((m.quantity, m.where), -1)))
        if k < 0 or meters[k].quantity != m.quantity or meters[k].where != m.where:
            lost.append(m.name)
        else:
            values[k], sigmas[k], times[k] = read
    if lost:
        text = f"{some(lost)}: read by none of the meters that this estimator was given; set aside"
        found.findings.append(Finding("unknown", tuple(lost), text, set_aside=True))
    return values, sigmas, times
