# SPDX-License-Identifier: Apache-2.0
"""Time tags of IEC 60870-5: CP56Time2a and CP24Time2a to and from microseconds since 1970 UTC, in columns.

Binary time of IEC 60870-5-4, 6.8, as IEC 60870-5-101:2003, 7.2.6.18 and 7.2.6.19 use it. A tag has milliseconds, so
microseconds are cut. Stations keep UTC or a local time; `offset` is what their clock is ahead of UTC without summer
time, and a tag with the bit SU (summer time) is one hour further ahead. The two digits of the year are of this century.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.errors import BadTimes
from serai.telemetry.iec104.types import CP56

if TYPE_CHECKING:
    from numpy.typing import NDArray

INVALID = 0x80  # IV, in the octet of the minute
SUMMER = 0x80  # SU, in the octet of the hour
_MINUTE, _HOUR, _DAY = 60_000_000, 3_600_000_000, 86_400_000_000
_SINCE_1970 = 360  # months before 2000
FIRST = 946_684_800_000_000  # 2000-01-01, the first time that a tag can hold
_AFTER = 4_102_444_800_000_000  # 2100-01-01


def held(local: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times [µs] as they are; BadTimes when a CP56Time2a cannot hold one."""
    if local.size and not (local.min() >= FIRST and local.max() < _AFTER):
        msg = "a CP56Time2a holds the years 2000 to 2099: a time is outside; are the times in microseconds?"
        raise BadTimes(msg)
    return local


def cp56(time: NDArray[np.int64], offset: int = 0) -> NDArray[np.void]:
    """Return tags (n,) of times (n,) [µs]; `offset` [min] is what the clock is ahead of UTC."""
    local = held(np.asarray(time, dtype=np.int64) + offset * _MINUTE)
    day, within = np.divmod(local, _DAY)
    date = day.astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    months = month.astype(np.int64) - _SINCE_1970
    tags = np.empty(len(local), CP56)
    tags["ms"] = within % _MINUTE // 1000
    tags["minute"] = within // _MINUTE % 60
    tags["hour"] = within // _HOUR
    weekday = (day + 3) % 7 + 1  # 1970-01-01 was a Thursday; 1 = Monday
    tags["day"] = (date - month).astype(np.int64) + 1 | weekday << 5
    tags["month"] = months % 12 + 1
    tags["year"] = months // 12
    return tags


def since_1970(tags: NDArray[np.void], offset: int = 0) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return times (n,) [µs] of CP56 tags (n,) and which can be trusted: no IV bit, a date and time that exist."""
    ms, minute, hour = tags["ms"].astype(np.int64), tags["minute"] & 0x3F, tags["hour"] & 0x1F
    day, month, year = tags["day"] & 0x1F, tags["month"] & 0x0F, tags["year"] & 0x7F
    exists = (ms < 60_000) & (minute < 60) & (hour < 24) & (day > 0) & (month > 0) & (month < 13) & (year < 100)
    months = _SINCE_1970 + 12 * year.astype(np.int64) + np.where(exists, month, 1) - 1
    first = months.astype("datetime64[M]")
    length = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    exists &= day <= length
    days = first.astype("datetime64[D]").astype(np.int64) + day - 1
    ahead = offset * _MINUTE + np.where(tags["hour"] & SUMMER, _HOUR, 0)
    time = days * _DAY + hour.astype(np.int64) * _HOUR + minute.astype(np.int64) * _MINUTE + ms * 1000 - ahead
    return time, exists & (tags["minute"] & INVALID == 0)


def near(tags: NDArray[np.void], received: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return times (n,) [µs] of CP24 tags (n,), which say minute and milliseconds only, and which can be trusted.

    The hour is the one that puts the time within half an hour of `received` (n,) [µs].
    """
    ms, minute = tags["ms"].astype(np.int64), (tags["minute"] & 0x3F).astype(np.int64)
    within = minute * _MINUTE + ms * 1000
    hour = (received - within + _HOUR // 2) // _HOUR
    return hour * _HOUR + within, (ms < 60_000) & (minute < 60) & (tags["minute"] & INVALID == 0)
