# SPDX-License-Identifier: Apache-2.0
"""Readings of many scans from a file: Parquet as the historian exports it, or a CSV with a column `time`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serai.errors import CaseError, Mistake
from serai.network.instruments import instruments
from serai.telemetry.readings import MICROSECONDS, Quality, Readings, Register
from serai.units import UNITS, to_si

if TYPE_CHECKING:
    import os

    from serai.network import Network

COLUMNS = "a series of readings has columns time (ISO 8601, UTC), tag and value, and may have unit, quality, received"
BATCH = 3600 * MICROSECONDS  # readings of an hour are taken at once


def is_series(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file holds readings of many scans: it is Parquet, or a CSV with a column `time`."""
    file = Path(path)
    if file.suffix == ".parquet":
        return True
    try:
        with file.open(encoding="utf-8-sig") as lines:
            return "time" in [c.strip() for c in lines.readline().strip().split(",")]
    except (OSError, UnicodeDecodeError):
        return False


def read_series(network: Network, path: str | os.PathLike[str]) -> list[Readings]:
    """Return the readings of a file in batches of an hour, in the order of their times.

    Values of a CSV stand in `unit`, or in that of the instrument; those of Parquet are SI. CaseError names every row
    that cannot be read.
    """
    file = Path(path)
    try:
        t = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, encoding="utf-8-sig")
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise CaseError(str(file), [Mistake(file.name, 0, "", f"cannot be read: {error}")]) from None
    missing = [c for c in ("time", "tag", "value") if c not in t.columns]
    if missing:
        text = f"{COLUMNS}; {', '.join(missing)} missing"
        raise CaseError(str(file), [Mistake(file.name, 1, "", text)])
    mistakes: list[Mistake] = []
    stamps = _times(t["time"])
    value = pd.to_numeric(t["value"], errors="coerce").to_numpy(float)
    if file.suffix != ".parquet":
        value = _si(network, t, value, file.name, mistakes)
    mistakes += [
        Mistake(file.name, int(k) + 2, "time", f"is no time: {t['time'].iloc[int(k)]!r}")
        for k in np.flatnonzero(stamps < 0)[:20]
    ]
    if mistakes:
        raise CaseError(str(file), mistakes)
    quality = t["quality"].to_numpy(np.uint16) if "quality" in t else np.zeros(len(t), np.uint16)
    quality = np.where(np.isfinite(value), quality, quality | np.uint16(Quality.INVALID)).astype(np.uint16)
    received = _times(t["received"]) if "received" in t else stamps
    register = Register()
    whole = Readings(register, register.numbers(t["tag"].astype(str)), stamps, value, quality, received)
    whole = whole.take(np.argsort(stamps, kind="stable"))
    hour = whole.time // BATCH
    return [whole.take(np.flatnonzero(hour == h)) for h in np.unique(hour)]


def _times(column: Any) -> Any:
    """Return times [us since 1970 UTC] (n,), -1 for what is none; numbers are seconds."""
    if pd.api.types.is_numeric_dtype(column):
        return np.rint(column.to_numpy(float) * MICROSECONDS).astype(np.int64)
    found = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601" if column.dtype == object else None)
    known = found.notna().to_numpy()
    return np.where(known, found.astype("datetime64[us, UTC]").astype("int64").to_numpy(), -1)


def _si(network: Network, t: pd.DataFrame, value: Any, name: str, mistakes: list[Mistake]) -> Any:
    own = {i.tag: i.unit for i in instruments(network)}
    unit = [u if isinstance(u, str) and u else own.get(str(tag), "") for u, tag in zip(
        t["unit"] if "unit" in t else [""] * len(t), t["tag"], strict=True)]  # fmt: skip
    out, density = value.copy(), network.gas.standard_density
    units = np.array(unit, dtype=object)
    for u in sorted(set(unit)):
        mine = np.flatnonzero(units == u)
        if u and u not in UNITS:
            mistakes.append(Mistake(name, int(mine[0]) + 2, "unit", f"no unit {u!r}"))
        elif u:
            zero, one = to_si(0.0, u, density), to_si(1.0, u, density)
            out[mine] = zero + (one - zero) * value[mine]
    return out
