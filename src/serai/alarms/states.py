# SPDX-License-Identifier: Apache-2.0
"""The state of one alarm: ISA-18.2 (2016) figure 3 and clause 5.4, IEC 62682 the same.

    normal           condition true            -> unacknowledged
    unacknowledged   acknowledged by a person  -> acknowledged
    unacknowledged   condition false           -> returned (unacknowledged)
    acknowledged     condition false           -> normal; where the record latches -> returned
    returned         acknowledged              -> normal
    returned         condition true            -> unacknowledged
    any of these     shelved                   -> shelved, until its time or a person ends it
    any              suppressed by design      -> suppressed: by plant state, by a person, by an alarm that explains it
    any              taken out of service      -> out of service

A held alarm (the last three) goes on following its condition without being told. When its last hold ends it is told
anew if the condition is true, and normal if not. Out of service goes before suppressed, suppressed before shelved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class State(StrEnum):
    """What an alarm is in."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"


class Priority(StrEnum):
    """How soon a person must act; `data` = the reading, not the plant, wants care."""

    URGENT = "urgent"
    HIGH = "high"
    LOW = "low"
    DATA = "data"


SHELF, SERVICE, DESIGN, PLANT, EXPLAINED = "shelf", "service", "design", "plant", "explained "  # + id of the alarm
STANDING = (State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED)
HELD = (State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE)


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an alarm is not told: until when [s since 1970 UTC; inf = until ended], by whom, for what reason."""

    until: float = inf
    who: str = ""
    why: str = ""


@dataclass(slots=True)
class Point:
    """The state of one alarm.

    active   its condition is true, after delay and dead band
    unseen   it wants an acknowledgement
    holds    name of the hold -> Hold; `shelf`, `service`, `design`, `plant` or `explained <id>`
    """

    active: bool = False
    unseen: bool = False
    holds: dict[str, Hold] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Return the state that the flags mean."""
        if self.holds:
            if SERVICE in self.holds:
                return State.OUT_OF_SERVICE
            return State.SHELVED if len(self.holds) == 1 and SHELF in self.holds else State.SUPPRESSED
        if self.active:
            return State.UNACKNOWLEDGED if self.unseen else State.ACKNOWLEDGED
        return State.RETURNED if self.unseen else State.NORMAL

    @property
    def told(self) -> bool:
        """Whether its condition is true and nothing holds it."""
        return self.active and not self.holds

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember of it."""
        return not (self.active or self.unseen or self.holds)

    def rise(self) -> None:
        """Take in that the condition is true."""
        self.active = True
        self.unseen = not self.holds

    def clear(self, *, latch: bool = False) -> None:
        """Take in that the condition is false; a latching alarm wants to be acknowledged (reset) once more."""
        self.active = False
        self.unseen = not self.holds and (self.unseen or latch)

    def acknowledge(self) -> bool:
        """Take in that a person has seen it; False where there is nothing to acknowledge."""
        if self.state not in (State.UNACKNOWLEDGED, State.RETURNED):
            return False
        self.unseen = False
        return True

    def hold(self, name: str, hold: Hold) -> None:
        """Stop telling it."""
        self.holds[name] = hold
        self.unseen = False

    def release(self, name: str) -> bool:
        """End one hold; with the last one it is told anew if its condition is true. False where there was none."""
        if self.holds.pop(name, None) is None:
            return False
        self.unseen = self.active and not self.holds
        return True

    def expired(self, time: float) -> Iterator[str]:
        """Yield the holds whose time has come."""
        yield from [name for name, hold in self.holds.items() if hold.until <= time]


Change = Callable[[Point], bool]  # of a state; False = there was nothing to change


def rising(p: Point) -> bool:
    """Take in that the condition is true."""
    p.rise()
    return True


def clearing(*, latch: bool) -> Change:
    """Return the change that clears; what an alarm explained is no more its matter then."""

    def change(p: Point) -> bool:
        p.clear(latch=latch)
        for name in [n for n in p.holds if n.startswith(EXPLAINED)]:
            del p.holds[name]
        return True

    return change


def holding(name: str, hold: Hold) -> Change:
    """Return the change that holds an alarm, unless it is held by that name already."""

    def change(p: Point) -> bool:
        if name in p.holds:
            return False
        p.hold(name, hold)
        return True

    return change


def releasing(name: str) -> Change:
    """Return the change that ends a hold."""
    return lambda p: p.release(name)
