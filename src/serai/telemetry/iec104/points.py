# SPDX-License-Identifier: Apache-2.0
"""Points in columns: what many ASDUs of many types say, decoded at once and in the order in which it came."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from serai.telemetry.iec104.asdu import Asdu, objects
from serai.telemetry.iec104.times import near, since_1970
from serai.telemetry.iec104.types import LAYOUTS, SIZES, Sizes
from serai.telemetry.iec104.values import values
from serai.telemetry.readings import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Points:
    """Points as they came, in columns (n,).

    common_address int32, address int32, type uint8, cause uint8
    value      float64, see `values`;  quality   uint16, `readings.Quality`
    time       int64 [µs since 1970 UTC]: of the time tag; where there is none, or none to be trusted, `received`
    received   int64 [µs since 1970 UTC]
    """

    common_address: NDArray[np.int32]
    address: NDArray[np.int32]
    type: NDArray[np.uint8]
    cause: NDArray[np.uint8]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]
    time: NDArray[np.int64]
    received: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.address)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the rows that a mask (n,) or an index array names."""
        return type(self)(*(getattr(self, f.name)[which] for f in fields(self)))


def decoded(arrived: Sequence[tuple[Asdu, int]], sizes: Sizes = SIZES, offset: int = 0) -> Points:
    """Return the points of ASDUs of monitor types and when each arrived [µs], in that order; at least one ASDU.

    A time tag that cannot be trusted (IV, or a date that does not exist) is replaced by the time of arrival and the
    point marked CLOCK_SKEW; a value that is no number is marked INVALID. `offset` [min]: see `times`.
    """
    by: dict[int, list[int]] = defaultdict(list)
    for place, (asdu, _) in enumerate(arrived):
        by[asdu.type].append(place)
    parts = [_of_one_type([arrived[p] for p in places], sizes, offset) for places in by.values()]
    if len(parts) == 1:
        return parts[0]
    counts = np.array([asdu.count for asdu, _ in arrived])
    places = np.concatenate([np.repeat(p, counts[p]) for p in map(np.array, by.values())])
    order = np.argsort(places, kind="stable")
    return Points(*(np.concatenate([getattr(p, f.name) for p in parts])[order] for f in fields(Points)))


def _of_one_type(arrived: Sequence[tuple[Asdu, int]], sizes: Sizes, offset: int) -> Points:
    asdus = [asdu for asdu, _ in arrived]
    number = asdus[0].type
    counts = [asdu.count for asdu in asdus]
    address, found = objects(asdus, sizes)
    value, flags = values(number, found)
    quality = flags.astype(np.uint16)
    received = np.repeat(np.array([time for _, time in arrived], np.int64), counts)
    time = received
    if LAYOUTS[number].tag:
        tags = found["time"]
        told, good = since_1970(tags, offset) if LAYOUTS[number].tag == "cp56" else near(tags, received)
        time = np.where(good, told, received)
        quality[~good] |= np.uint16(Quality.CLOCK_SKEW)
    quality[~np.isfinite(value)] |= np.uint16(Quality.INVALID)
    return Points(
        np.repeat(np.array([a.common_address for a in asdus], np.int32), counts),
        address,
        np.full(len(address), number, np.uint8),
        np.repeat(np.array([a.cause for a in asdus], np.uint8), counts),
        value,
        quality,
        time,
        received,
    )
