# SPDX-License-Identifier: Apache-2.0
"""The list of alarms: conditions in, what a person must know out, kept over a crash.

    alarms = Alarms(rationale(net), net, "alarms.sqlite")
    alarms.watch([("pressure", "Gedaim"), ...])         # which values `scan` brings, in which order
    alarms.scan(time, values)                           # limits, every scan
    alarms.report("data", time, conditions)             # all that this source holds for true now
    alarms.acknowledge(id, who="...", time=time)

Every call takes the time [s since 1970 UTC]: the same list runs live and on a simulated clock. While the journal takes
nothing, alarms are still told (`fault` says why, `unsaved` how many transitions wait), but a person's action is
refused: it is stored first, then done.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from math import inf
from typing import TYPE_CHECKING, Any

from serai.alarms import states
from serai.alarms.engine import Engine
from serai.alarms.figures import Figures, figures
from serai.alarms.journal import COLUMNS, Row
from serai.alarms.states import STANDING, Hold, Point, Priority, State, holding
from serai.alarms.tracked import Tracked
from serai.alarms.view import Alarm, Note, Transition, iso
from serai.errors import NotStored, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serai.alarms.rationale import Record
    from serai.alarms.states import Change

_ORDER = {p: k for k, p in enumerate(Priority)}
_SEEN_ORDER = {s: k for k, s in enumerate((*STANDING, *states.HELD, State.NORMAL))}


class Alarms(Engine):
    """All alarms of one network: what conditions do to them, what people do, what can be asked."""

    # ---------------------------------------------------------------------------------------------------- actions

    def acknowledge(self, alarm: str, *, who: str, time: float) -> Alarm:
        """Take in that a person has seen it. Refused where there is nothing to acknowledge."""
        return self._act(
            alarm, time, ("acknowledge", who, ""), Point.acknowledge, "it is {state}: nothing to acknowledge"
        )

    def shelve(self, alarm: str, *, who: str, minutes: float, why: str, time: float) -> Alarm:
        """Put it away for a time, with a reason. Refused for urgent alarms, for too long, and while it is held."""
        record = self._record(alarm)
        most = self.book.philosophy.shelving.get(record.priority, 0.0) / 60.0
        if not 0.0 < minutes <= most:
            text = (
                f"{record.priority} alarms cannot be shelved"
                if most == 0.0
                else f"must be above 0 and at most {most:g} minutes for a {record.priority} alarm, got {minutes:g}"
            )
            raise Refused(f"shelve {record.key}: {text}", "may not be shelved" if most == 0.0 else "too long")
        _reason(why)
        hold = Hold(time + 60.0 * minutes, who, why)

        def put(p: Point) -> bool:
            return not p.holds and holding(states.SHELF, hold)(p)

        return self._act(alarm, time, ("shelve", who, why), put, "it is {state}: only what is told can be shelved")

    def unshelve(self, alarm: str, *, who: str, time: float) -> Alarm:
        """Take it from the shelf."""
        return self._act(alarm, time, ("unshelve", who, ""), lambda p: p.release(states.SHELF), "it is not shelved")

    def suppress(self, alarm: str, *, who: str, why: str, time: float, until: float = inf) -> Alarm:
        """Suppress it by design until a time [s since 1970 UTC] or until `into_service`."""
        _reason(why)
        if not until > time:
            raise Refused("suppress: the end must lie after now", "too late")
        return self._act(
            alarm, time, ("suppress", who, why), holding(states.DESIGN, Hold(until, who, why)), "it is suppressed"
        )

    def out_of_service(self, alarm: str, *, who: str, why: str, time: float, permit: str = "") -> Alarm:
        """Take it out of service under a permit, until `into_service`."""
        _reason(why)
        hold = Hold(inf, who, f"{why} (permit {permit})" if permit else why)
        return self._act(
            alarm, time, ("out of service", who, hold.why), holding(states.SERVICE, hold), "it is out of service"
        )

    def into_service(self, alarm: str, *, who: str, time: float, why: str = "") -> Alarm:
        """End out of service, or a person's suppression where it is not out of service."""

        def end(p: Point) -> bool:
            return p.release(states.SERVICE) or p.release(states.DESIGN)

        return self._act(alarm, time, ("into service", who, why), end, "it is in service")

    def note(self, alarm: str, text: str, *, who: str, time: float) -> Alarm:
        """Write a note under an alarm that is not normal."""
        with self._lock:
            slot = self._slot(alarm)
            if slot not in self._tracked:
                raise Refused(f"{self._slots.of(slot).record.key}: it is normal: write it in the shift log", "normal")
            kept = deepcopy(self._tracked[slot])
            kept.note(Note(time, who, text))
            row = self._store_now(slot, time, ("note", who, text), kept)
            self._tracked[slot] = kept
            self._caused.append(
                Transition(row[0], time, "note", kept.point.state, kept.point.state, self._view(slot), who, text)
            )
            return self._view(slot)

    # ---------------------------------------------------------------------------------------------------- answers

    def standing(self, wanted: Iterable[str] = (), limit: int = 1000) -> list[Alarm]:
        """Return the alarms that are not normal, or in the states `wanted`: unacknowledged and urgent first."""
        with self._lock:
            kept = frozenset(wanted)
            found = []
            for s, t in self._tracked.items():
                state = t.point.state
                if state in kept or (not kept and state is not State.NORMAL):
                    found.append((_SEEN_ORDER[state], _ORDER[self._slots.of(s).record.priority], -t.changed, s))
            return [self._view(s) for *_, s in sorted(found)[:limit]]

    def alarm(self, alarm: str) -> Alarm:
        """Return one alarm by id, normal ones too; UnknownName where there is none."""
        with self._lock:
            return self._view(self._slot(alarm))

    def tally(self) -> dict[str, int]:
        """Return how many alarms stand by priority, and how many want an acknowledgement."""
        with self._lock:
            found = dict.fromkeys([*(p.value for p in Priority), "unacknowledged", "held"], 0)
            for s, t in self._tracked.items():
                state = t.point.state
                if state in STANDING:
                    found[self._slots.of(s).record.priority.value] += 1
                    found["unacknowledged"] += state is not State.ACKNOWLEDGED
                else:
                    found["held"] += 1
            return found

    def history(self, start: float, end: float, limit: int = 1000, alarm: str = "") -> list[dict[str, Any]]:
        """Return what happened from `start` to before `end` [s since 1970 UTC], the newest `limit` at most."""
        with self._lock:
            return [_told(row) for row in self._journal.rows(start, end, limit, alarm)]

    def figures(self, start: float, end: float) -> Figures:
        """Return the figures of EEMUA 191 from `start` to `end` [s since 1970 UTC]."""
        with self._lock:
            began = {self._slots.of(s).id: t.began for s, t in self._tracked.items() if t.point.state in STANDING[:2]}
            held = Counter(t.point.state.value for t in self._tracked.values() if t.point.state in states.HELD)
            return figures(self._journal.rows(start, end), start, end, self.book.philosophy, (began, held))

    @property
    def flood_since(self) -> float:
        """When the present flood began [s since 1970 UTC], nan = there is none."""
        return self._rates.flood_since

    @property
    def unsaved(self) -> int:
        """How many transitions wait for the journal."""
        return len(self._rows)

    def conditions(self) -> int:
        """Return how many conditions are known now."""
        return len(self._slots)

    def forget(self, before: float) -> int:
        """Delete history before a time [s since 1970 UTC]; what stands stays."""
        with self._lock:
            return self._journal.forget(before)

    def close(self) -> None:
        """Write what waits and close the journal."""
        with self._lock:
            self._flush()
            self._journal.close()

    # ----------------------------------------------------------------------------------------------------- inside

    def _record(self, alarm: str) -> Record:
        with self._lock:
            return self._slots.of(self._slot(alarm)).record

    def _act(self, alarm: str, time: float, what: tuple[str, str, str], change: Change, refusal: str) -> Alarm:
        """Do what a person asks: stored first, then done. Refused, NotStored, UnknownName: nothing has changed."""
        event, who, _ = what
        if not who:
            raise Refused(f"{event}: say who does it", "nobody")
        with self._lock:
            time = self._clock(time)
            slot = self._slot(alarm)
            before = self._tracked.get(slot, Tracked())
            trial = deepcopy(before)
            if not change(trial.point):
                key = self._slots.of(slot).record.key
                raise Refused(f"{event} {key}: {refusal.format(state=before.point.state.value)}", "wrong state")
            trial.changed = time
            if event == "acknowledge":
                trial.acknowledged_by, trial.acknowledged_at = who, time
            row = self._store_now(slot, time, what, trial)
            before.acknowledged_by, before.acknowledged_at = trial.acknowledged_by, trial.acknowledged_at
            self._tracked[slot] = before
            self._turn(slot, time, what, change, row)
            self._flush()
            return self._view(slot)

    def _store_now(self, slot: int, time: float, what: tuple[str, str, str], trial: Tracked) -> Row:
        """Write what a person is about to do; NotStored, and it shall not be done."""
        self._flush()
        if self.fault:
            raise NotStored(f"{what[0]} refused: {self.fault}", "journal")
        before = self._tracked[slot].point.state if slot in self._tracked else State.NORMAL
        row = self._row(slot, time, what, (before, trial.point.state))
        try:
            self._journal.write([row], {self._slots.of(slot).id: self._kept(slot, trial)})
        except NotStored as error:
            self._number -= 1
            raise NotStored(f"{what[0]} refused: {error}", error.reason) from None
        return row


def _reason(why: str) -> None:
    if not why.strip():
        raise Refused("a reason must be given", "no reason")


def _told(row: Row) -> dict[str, Any]:
    """Return a row of the journal as JSON can say it."""
    doc = dict(zip(COLUMNS, row, strict=True))
    return {**doc, "time": iso(row[1])}
