# SPDX-License-Identifier: Apache-2.0
"""`serai.diagnose`: one scan or many, as the readings are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from serai.diagnose.course import History, over_time
from serai.diagnose.scan import Diagnosis
from serai.diagnose.scan import diagnose as of_scan
from serai.diagnose.series import is_series, read_series
from serai.telemetry.readings import MICROSECONDS, Readings

if TYPE_CHECKING:
    from serai.network import Network

SPAN = 600.0  # s that a batch must span to be a time series


def diagnose(network: Network, readings: Any, **asked: Any) -> Diagnosis | History:
    """Say what is wrong: in one scan (a `Diagnosis`, see `serai.diagnose.scan`), or over many (a `History`).

    readings   one scan as `estimate` takes it; or a series: a `Readings` batch that spans more than ten minutes,
               batches in their order, a recording of the field, a Parquet file, a CSV with a column `time`
    asked      for a scan: commands, alarms, estimator; for a series: lesson, budget, hour, shown, kept

    Both iterate over what is wrong: faults with kind, where, size, score, false_alarm, or incidents with an onset too.
    Errors as `estimate` raises them; a clean result is empty.
    """
    series = as_series(network, readings)
    return of_scan(network, readings, **asked) if series is None else over_time(network, series, **asked)


def as_series(network: Network, readings: Any) -> Any:
    """Return readings as batches where they are a series, None where they are one scan."""
    if isinstance(readings, Readings):
        span = (int(readings.time.max()) - int(readings.time.min())) / MICROSECONDS if len(readings) else 0.0
        return [readings] if span > SPAN else None
    if isinstance(readings, (str, Path)):
        return read_series(network, readings) if is_series(readings) else None
    if hasattr(readings, "truth") and hasattr(readings, "shown"):  # a recording of the field
        return readings
    if isinstance(readings, (list, tuple)) and readings and all(isinstance(r, Readings) for r in readings):
        return readings
    return None
