# SPDX-License-Identifier: Apache-2.0
"""The image of the process at one common address: the last value of every information object, in columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SeraiError
from serai.telemetry.iec104.asdu import Asdu, asdus
from serai.telemetry.iec104.times import FIRST, held
from serai.telemetry.iec104.types import LAYOUTS, SIZES, Cause, Sizes, TypeId
from serai.telemetry.iec104.values import elements, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

INVALID = 0x80 | 0x40  # not topical, invalid: what a point says before its first value
_EVENTS = ("protection", "start", "output")  # told once, never interrogated


@dataclass(frozen=True, slots=True)
class InformationObject:
    """A point or a command of a station.

    address   1..16777215 with three octets; SeraiError when `select` is asked of a bit string, which has no such bit
    type      how it is sent or what it takes; a command is also taken with a time tag
    group     1..16 to be in an interrogation group, counters 1..4; 0 = in none (the station's interrogation has all)
    select    a command that must be selected before it is executed
    low, high what a command may set
    """

    address: int
    type: TypeId
    group: int = 0
    select: bool = False
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        """Refuse a command that nobody could give."""
        if self.select and LAYOUTS[self.type].content == "bits command":
            raise SeraiError(f"object {self.address}: a bit string command has no select bit, so it cannot ask for one")


class Image:
    """Last values of the points at one common address.

    address (n,) rising, type (n,), group (n,), value (n,), quality (n,), time (n,) [µs since 1970 UTC]
    timed   answer interrogations with time tags, against the standard's table of causes; some peers expect it
    """

    def __init__(
        self, common_address: int, points: Iterable[InformationObject], sizes: Sizes = SIZES, *, timed: bool = False
    ) -> None:
        ordered = sorted(points, key=lambda p: p.address)
        _check(common_address, ordered, sizes)
        n = len(ordered)
        self.common_address, self.sizes, self.timed = common_address, sizes, timed
        self.address = np.array([p.address for p in ordered], np.int32)
        self.type = np.array([p.type for p in ordered], np.uint8)
        self.group = np.array([p.group for p in ordered], np.uint8)
        self.value = np.zeros(n)
        self.quality = np.full(n, INVALID, np.uint8)
        self.time = np.full(n, FIRST, np.int64)
        contents = [LAYOUTS[p.type].content for p in ordered]
        self._total = np.array([c == "total" for c in contents], bool)
        self._event = np.array([c in _EVENTS for c in contents], bool)
        self._frozen = np.full(n, np.nan)
        self._reading = 0  # number of the last freeze, 0..31

    def places(self, addresses: ArrayLike) -> NDArray[np.intp]:
        """Return the places (m,) of addresses (m,); SeraiError names an address that is none of the station's."""
        wanted = np.asarray(addresses, dtype=np.int32).reshape(-1)
        found = np.searchsorted(self.address, wanted)
        known = np.append(self.address, -1)[found] == wanted
        if not known.all():
            first = wanted[~known][0]
            raise SeraiError(f"common address {self.common_address} has no point {first}: the station was made without")
        return found

    def update(self, places: NDArray[np.intp], value: ArrayLike, quality: ArrayLike, time: ArrayLike) -> None:
        """Take new values at places (m,); all broadcast. BadTimes for a time that no time tag can hold."""
        held(np.asarray(time))
        self.value[places] = value
        self.quality[places] = np.asarray(quality) & 0xFF
        self.time[places] = time

    def told(
        self, places: NDArray[np.intp], value: ArrayLike, quality: ArrayLike, time: ArrayLike, *, cause: int
    ) -> Iterator[Asdu]:
        """Yield ASDUs with values (m,) of points at places (m,), a place as often as it is named, type by type."""
        columns = [spread(c, len(places)) for c in (value, quality, time)]
        kinds = self.type[places]
        for number in set(kinds.tolist()):
            chosen = kinds == number
            whole = bool(chosen.all())
            made = elements(number, *(columns if whole else (c[chosen] for c in columns)))
            header = Asdu(number, cause, self.common_address, b"", 0)
            yield from asdus(header, self.address[places if whole else places[chosen]], made, self.sizes)

    def last(self, place: int, cause: int) -> Iterator[Asdu]:
        """Yield an ASDU with the last value at a place."""
        places = np.array([place])
        yield from self.told(places, self.value[places], self.quality[places], self.time[places], cause=cause)

    def interrogated(self, group: int = 0) -> Iterator[Asdu]:
        """Yield the answer to an interrogation of the station (group 0) or a group: all but counters and events."""
        which = ~self._total & ~self._event & ((self.group == group) if group else True)
        yield from self._shown(np.flatnonzero(which), Cause.INTERROGATED + group, self.value)

    def counted(self, group: int = 0) -> Iterator[Asdu]:
        """Yield the answer to a counter interrogation of all (group 0) or a group: frozen values where frozen."""
        shown = np.where(np.isnan(self._frozen), self.value, self._frozen)
        yield from self._shown(np.flatnonzero(self._counters(group)), Cause.COUNTERS + group, shown)

    def freeze(self, group: int, *, hold: bool, reset: bool) -> None:
        """Hold the present counts for later reading, set the running ones to 0, or both."""
        which = self._counters(group)
        if hold:
            self._frozen[which] = self.value[which]
            self._reading = (self._reading + 1) % 32
        if reset:
            self.value[which] = 0.0

    def _counters(self, group: int) -> NDArray[np.bool_]:
        return self._total & ((self.group == group) if group else np.bool_(1))

    def _shown(self, places: NDArray[np.intp], cause: int, shown: NDArray[np.float64]) -> Iterator[Asdu]:
        kinds = np.array([n if self.timed else LAYOUTS[n].untimed for n in self.type[places].tolist()], np.uint8)
        for number in np.unique(kinds).tolist():
            chosen = places[kinds == number]
            made = elements(number, shown[chosen], self.quality[chosen], self.time[chosen])
            if LAYOUTS[number].content == "total":
                made["bcr_flags"] |= self._reading
            # a type with time tag has one address for each object (7.2.2.1)
            header = Asdu(number, cause, self.common_address, b"", 0, sequence=not LAYOUTS[number].tag)
            yield from asdus(header, self.address[chosen], made, self.sizes)


def _check(common_address: int, points: Sequence[InformationObject], sizes: Sizes) -> None:
    """Refuse addresses that are given twice or do not fit."""
    last = (1 << 8 * sizes.address) - 1
    if not 0 < common_address < (1 << 8 * sizes.common_address) - 1:
        raise SeraiError(f"common address {common_address} does not fit: the last one means all, 0 none")
    for address, count in Counter(p.address for p in points).items():
        if count > 1 or not 0 < address <= last:
            wrong = "is given twice" if count > 1 else f"must be 1..{last}"
            raise SeraiError(f"common address {common_address}, object {address}: {wrong}")
