# SPDX-License-Identifier: Apache-2.0
"""The desk: everything that a control room may ask of a running twin, and be told by it.

One interface with two implementations: `serai.twin.twin.Twin` in the same process, `serai.twin.client.Client` over a
socket. Every answer is plain: dicts, lists, strings, numbers that are finite, True, False and None; None = not known.
Values stand in display units with the unit beside them; times are ISO 8601 UTC with Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from serai.errors import SeraiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

Plain = dict[str, Any]  # as JSON has it

Reason = Literal["unknown", "invalid", "conflict", "not-ready", "unavailable", "denied", "fault"]
EventKind = Literal["hello", "scan", "alarm", "tally", "health", "diagnosis", "ahead", "outages", "log", "command"]

# what a client may call by name; `subscribe` is the one method beside them
ASKED = (
    "case", "network", "layout", "snapshot", "health", "diagnosis", "ahead", "outages", "plan", "sheets",
    "readings", "trend", "instant",
    "alarms", "alarm", "alarm_history", "alarm_figures", "acknowledge", "shelve", "unshelve", "suppress",
    "out_of_service", "into_service", "annotate", "write", "log",
    "commands", "propose", "confirm", "withdraw",
)  # fmt: skip


class Refused(SeraiError):  # noqa: N818 - reads as what happened
    """The desk cannot do what was asked; nothing was changed.

    reason      unknown (no such element, series, alarm, command, day); invalid (a value or time that does not fit);
                conflict (the state does not allow it: an alarm that is not active, a confirmation that came too late);
                not-ready (never computed yet, will be); unavailable (the loop or the history is not there now);
                denied (switched off at this site, as field writes); fault (of Serai; the text has the name of it)
    message     what happened;  what_to_do   what helps, "" where nothing does
    """

    def __init__(self, reason: Reason, message: str, what_to_do: str = "") -> None:
        """Keep the parts beside the text."""
        self.reason: Reason = reason
        self.message = message
        self.what_to_do = what_to_do
        super().__init__(f"{message}. {what_to_do}" if what_to_do else message)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    sequence   rises by one per event while one loop lives; goes on rising over a restart of the loop
    kind       `scan` (Snapshot), `alarm` (Alarm), `tally`, `health` (Health), `diagnosis` (Diagnosis), `ahead`,
               `outages`, `log` (one entry), `command` (Command), `hello` ({version, sequence, restarted})
    data       plain
    """

    sequence: int
    kind: EventKind
    data: Plain


@runtime_checkable
class Desk(Protocol):
    """What a running twin answers. All methods raise `Refused`; `who` is an account's name, `why` a reason in words.

    The desk checks states and values. Who may do what is checked before it is asked.
    """

    # ---- what there is
    async def case(self) -> Plain:
        """Return the case: name, title, place, time zone, base time, day, has_map, units, field_writes, version."""
        ...

    async def network(self) -> Plain:
        """Return {elements: [Element], outlines: None}; the same until the loop starts again."""
        ...

    async def layout(self) -> Plain:
        """Return {version, values: [...]}: what the arrays of every Snapshot hold, in their order."""
        ...

    # ---- what is so
    async def snapshot(self) -> Plain:
        """Return the newest Snapshot; `not-ready` before the first scan."""
        ...

    async def health(self) -> Plain:
        """Return the Health of loop, sources, history and processes."""
        ...

    async def diagnosis(self) -> Plain:
        """Return the newest Diagnosis; `not-ready` before the first one."""
        ...

    async def readings(self, where: str | None = None, tag: str | None = None, limit: int = 1000) -> list[Plain]:
        """Return the newest reading of every instrument at an element, of one tag, or of all."""
        ...

    # ---- what will be, what could be
    async def ahead(self) -> Plain:
        """Return the newest look-ahead; `not-ready` before the first one."""
        ...

    async def outages(self) -> Plain:
        """Return what every single loss would do now; `not-ready` before the first one."""
        ...

    async def plan(self) -> Plain:
        """Return the last computed plan; `not-ready` where there is none."""
        ...

    async def sheets(self, day: str | None = None) -> Plain:
        """Return the balance sheets of a day (2026-11-22; None = today so far)."""
        ...

    # ---- what was
    async def trend(self, series: Sequence[str], start: str, end: str, points: int = 600) -> Plain:
        """Return measured and estimated values of series ("pressure:Gedaim") between two times, resampled."""
        ...

    async def instant(self, time: str) -> Plain:
        """Return the Snapshot as known at a time; `unknown` before the history begins and in its gaps."""
        ...

    # ---- alarms
    async def alarms(self, state: Sequence[str] = (), limit: int = 1000) -> list[Plain]:
        """Return alarms that are in one of these states (none named = all that are not normal), newest first."""
        ...

    async def alarm(self, id: str) -> Plain:  # noqa: A002 - the word of the interface
        """Return one alarm."""
        ...

    async def alarm_history(self, start: str, end: str, limit: int = 1000) -> list[Plain]:
        """Return what happened to alarms between two times, oldest first."""
        ...

    async def alarm_figures(self) -> Plain:
        """Return the EEMUA 191 figures."""
        ...

    async def acknowledge(self, id: str, who: str) -> Plain:  # noqa: A002 - the word of the interface
        """Acknowledge an alarm; return it."""
        ...

    async def shelve(self, id: str, who: str, minutes: float, why: str) -> Plain:  # noqa: A002 - as above
        """Shelve an alarm for some minutes; return it."""
        ...

    async def unshelve(self, id: str, who: str) -> Plain:  # noqa: A002 - as above
        """Bring a shelved alarm back; return it."""
        ...

    async def suppress(self, id: str, who: str, why: str, until: str) -> Plain:  # noqa: A002 - as above
        """Suppress an alarm until a time; return it."""
        ...

    async def out_of_service(self, id: str, who: str, why: str, permit: str) -> Plain:  # noqa: A002 - as above
        """Take an alarm out of service under a permit; return it."""
        ...

    async def into_service(self, id: str, who: str, why: str) -> Plain:  # noqa: A002 - as above
        """Put an alarm back into service; return it."""
        ...

    async def annotate(self, subject: str, text: str, who: str) -> Plain:
        """Write a note on an alarm or an element; return the entry of the log."""
        ...

    # ---- the shift log
    async def write(self, text: str, who: str, subject: str = "") -> Plain:
        """Write into the shift log; return the entry."""
        ...

    async def log(self, start: str | None = None, end: str | None = None, limit: int = 1000) -> list[Plain]:
        """Return entries of the shift log between two times, newest first."""
        ...

    # ---- commands to the field
    async def commands(self, limit: int = 100) -> list[Plain]:
        """Return commands, newest first."""
        ...

    async def propose(self, command: Mapping[str, Any], who: str) -> Plain:
        """Propose {quantity, where, value, unit, reason}: try it on the twin, return the Command with its effect."""
        ...

    async def confirm(self, id: str, who: str) -> Plain:  # noqa: A002 - the word of the interface
        """Confirm a command that was tried: send it; return it."""
        ...

    async def withdraw(self, id: str, who: str) -> Plain:  # noqa: A002 - as above
        """Withdraw a command that is not confirmed; return it."""
        ...

    # ---- what happens
    def subscribe(self, after: int | None = None) -> AsyncIterator[Event]:
        """Yield what happens from now on, first a `hello`; `after` = the last sequence seen: what came since, first.

        A slow reader loses old `scan`, `health`, `diagnosis`, `ahead` and `outages` events to newer ones of their
        kind, never alarms; where alarms would be lost too, a `hello` with `restarted` tells it to ask for everything.
        """
        ...
