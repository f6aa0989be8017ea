# SPDX-License-Identifier: Apache-2.0
"""Commands at the controlled station: select, execute, deactivate, and what is refused (IEC 60870-5-101:2003, 7.4).

A command is executed by the station's `act`; everything around it (does the point exist, was it selected by the same
controlling station with the same value, is its time tag fresh) is decided here, and every refusal has a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serai.telemetry.iec104.asdu import Asdu, objects
from serai.telemetry.iec104.faults import Violation
from serai.telemetry.iec104.times import since_1970
from serai.telemetry.iec104.types import LAYOUTS, SIZES, Cause, Sizes, TypeId
from serai.telemetry.iec104.values import qualifier_of, values
from serai.telemetry.readings import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serai.telemetry.iec104.image import InformationObject


@dataclass(frozen=True, slots=True)
class Request:
    """What a controlling station asks for: a command, a parameter, a reset.

    common_address, address   which point;  type   as it was sent (with or without time tag)
    value       as `values` reads it;  qualifier   QU, QL, KPA, ... without the select bit
    select      it is asked for permission, nothing is to move yet
    time        of its time tag [µs since 1970 UTC]; None = it has none
    peer        who asks;  originator   number that the controlling station gave itself, 0 = none
    test        the T bit is set: act as if, but do not move the process
    """

    common_address: int
    address: int
    type: TypeId
    value: float
    qualifier: int = 0
    select: bool = False
    time: int | None = None
    peer: str = ""
    originator: int = 0
    test: bool = False


def request(asdu: Asdu, peer: str, sizes: Sizes = SIZES) -> Request:
    """Return what an ASDU with one object asks for."""
    addresses, found = objects([asdu], sizes)
    layout = LAYOUTS[asdu.type]
    value, flags = values(asdu.type, found)
    time = int(since_1970(found["time"])[0][0]) if layout.tag == "cp56" else None
    qualifier, select = qualifier_of(asdu.type, int(flags[0]))
    return Request(
        asdu.common_address, int(addresses[0]), layout.type, float(value[0]), qualifier, select, time,
        peer, asdu.originator, asdu.test,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Selected:
    by: object
    asked: tuple[TypeId, float, int]
    until: float


class Selections:
    """Which points are selected, by which connection, until when; and whether a command may go on.

    timeout   seconds between select and execute;  age   most seconds between a time tag and now
    """

    def __init__(self, points: Mapping[tuple[int, int], InformationObject], timeout: float, age: float) -> None:
        self._points = points
        self._timeout = timeout
        self._age = age
        self._selected: dict[tuple[int, int], _Selected] = {}

    def drop(self, by: object) -> None:
        """Forget what a connection had selected: it is gone."""
        self._selected = {place: s for place, s in self._selected.items() if s.by is not by}

    def deactivate(self, wanted: Request, by: object) -> bool:
        """Take a selection back; False when there is none of this connection."""
        place = wanted.common_address, wanted.address
        found = self._selected.get(place)
        if found is None or found.by is not by:
            return False
        del self._selected[place]
        return True

    def judge(self, wanted: Request, by: object, clock: float, time: int) -> tuple[int, Violation | None]:
        """Return the cause to refuse with and the violation; (ACTIVATION_CON, None) = it may go on.

        by, clock   connection that asks, and the loop's clock [s];  time   the station's [µs since 1970 UTC]
        A select that may go on is entered here; an execute takes its selection away.
        """
        place = wanted.common_address, wanted.address
        point = self._points.get(place)
        if point is None or LAYOUTS[point.type].untimed != LAYOUTS[wanted.type].untimed:
            return Cause.UNKNOWN_OBJECT, Violation.UNKNOWN_OBJECT
        if wanted.time is not None and abs(time - wanted.time) > self._age * MICROSECONDS:
            return Cause.ACTIVATION_CON, Violation.COMMAND_AGE
        if not point.low <= wanted.value <= point.high:
            return Cause.ACTIVATION_CON, Violation.BEYOND
        found = self._selected.get(place)
        late = found is not None and clock > found.until
        if found is not None and found.by is not by and not late:
            return Cause.ACTIVATION_CON, Violation.SELECTED_BY_OTHER
        asked = (LAYOUTS[wanted.type].untimed, wanted.value, wanted.qualifier)
        if wanted.select:
            self._selected[place] = _Selected(by, asked, clock + self._timeout)
            return Cause.ACTIVATION_CON, None
        return Cause.ACTIVATION_CON, self._execute(place, asked, late=late, needed=point.select)

    def _execute(
        self, place: tuple[int, int], asked: tuple[TypeId, float, int], *, late: bool, needed: bool
    ) -> Violation | None:
        found = self._selected.pop(place, None)
        if found is None:
            return Violation.NO_SELECT if needed else None
        if late:
            return Violation.SELECT_LATE
        return None if found.asked == asked else Violation.SELECT_DIFFERS
