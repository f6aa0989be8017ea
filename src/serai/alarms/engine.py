# SPDX-License-Identifier: Apache-2.0
"""From conditions to alarms: delays, states, one cause one alarm, the journal. What people do is in `people`.

Every call takes the time [s since 1970 UTC] and returns the transitions that it caused. While an alarm stands, those
that its record says it explains are noted under it. What happens is journaled before the call returns.
"""

from __future__ import annotations

from collections import Counter
from math import inf, isfinite, nan
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.alarms import states
from serai.alarms.causes import Causes, Groups
from serai.alarms.journal import Journal, Row
from serai.alarms.limits import Limits, watched
from serai.alarms.rates import Rates
from serai.alarms.slots import Named, Slots, identify
from serai.alarms.states import (
    EXPLAINED,
    STANDING,
    Hold,
    State,
    clearing,
    holding,
    releasing,
    rising,
)
from serai.alarms.tracked import Tracked
from serai.alarms.view import Alarm, Note, Transition
from serai.errors import NotStored, Refused, UnknownName
from serai.network.instruments import instruments

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from serai.alarms.rationale import Condition, Rationale, Record
    from serai.alarms.states import Change
    from serai.network import Network

JITTER = 60.0  # s by which calls may come out of order; further back, and the clock was set
BACKLOG = 100_000  # transitions that wait for the journal; more are counted in `lost`
STILL = Hold(why="the plant stands still")


class Engine:
    """All alarms of one network, as conditions move them.

    unrecorded   conditions told that nobody has rationalised, by key: they make no alarm
    fault        why the journal takes nothing, "" = it does; lost: transitions that found no room while it waits
    withdrawn    alarms of the journal whose record is gone
    """

    def __init__(self, book: Rationale, network: Network, journal: str | os.PathLike[str] | None = None) -> None:
        """Take up what a journal says stood when it was last written; None = keep nothing over the process's end."""
        self.book, self.network = book, network
        self.unrecorded: Counter[str] = Counter()
        self.fault, self.lost = "", 0
        self.withdrawn: list[str] = []
        self._lock = RLock()
        self._journal = Journal(journal)
        self._number = self._journal.last()
        self._slots = Slots()
        self._tracked: dict[int, Tracked] = {}
        self._said: dict[int, Condition] = {}
        self._of_source: dict[str, set[int]] = {}
        self._of_element: dict[str, list[int]] = {}
        self._rates = Rates(book.philosophy)
        self._causes, self._explainers = Causes(), book.explaining()
        self._groups = Groups()
        self._stopped: set[str] = set()
        self._limits: Limits | None = None
        self._values = np.empty(0)
        self._past = np.empty(0)  # the last value of each condition of the limits that was past its limit
        self._held: dict[int, int] = {}  # condition -> its row in the limits
        self._stations = _stations(network)
        self._time = -inf
        self._expiry = inf
        self._rows: list[Row] = []
        self._changed: set[int] = set()
        self._caused: list[Transition] = []
        self._restore()

    # ------------------------------------------------------------------------------------------------- conditions

    def watch(self, values: Sequence[tuple[str, str]]) -> int:
        """Hold values, each (quantity, element), to the limits that the records say; return how many conditions.

        `scan` then brings the values in this order. Called again after a change of network or records; what stands of
        limits that are no more clears.
        """
        with self._lock:
            held = list(watched(self.book, self.network, values))
            slots = [self._define(w.record, w.where) for w in held]
            self._limits = Limits.of(slots, held)
            self._held = {s: k for k, s in enumerate(slots)}
            mine = set(slots)
            for s in self._of_source.get("limit", set()) - mine:
                self._slots.say(s, self._time, true=False)
            self._of_source["limit"] = mine | {s for s in self._of_source.get("limit", ()) if s in self._tracked}
            self._values, self._past = np.full(len(values), nan), np.full(len(slots), nan)
            return len(slots)

    def scan(self, time: float, values: NDArray[np.float64]) -> list[Transition]:
        """Hold values (n,) [SI], in the order of `watch`, to their limits; nan = not known, nothing changes."""
        with self._lock:
            time = self._clock(time)
            limits = self._limits
            if limits is None or len(values) != len(self._values):
                n = 0 if limits is None else len(self._values)
                raise Refused(f"{len(values)} values came, {n} are watched: call `watch` first", "not watched")
            self._values = values
            past = limits.past(values)
            self._past[past] = values[limits.column[past]]
            before = self._slots.true[limits.slot]
            now = limits.check(values, before)
            changed = limits.slot[now != before]
            self._slots.true[changed] ^= True
            self._slots.since[changed] = time
            return self._settle(time)

    def report(self, source: str, time: float, conditions: Iterable[Condition]) -> list[Transition]:
        """Take in everything that a source (data, diagnosis, ahead, solver) holds for true now; the rest of it clears.

        A key without a record is counted in `unrecorded` and makes no alarm.
        """
        with self._lock:
            time = self._clock(time)
            told: set[int] = set()
            for c in conditions:
                r = self.book.records.get(c.key)
                if r is None or r.source != source:
                    self.unrecorded[c.key] += 1
                    continue
                slot = self._same(c, told)
                slot = self._define(r, c.where, c.identity) if slot is None else slot
                told.add(slot)
                self._said[slot] = c
                self._slots.say(slot, time, true=True)
                self._retell(slot, c)
            for slot in self._of_source.get(source, set()) - told:
                self._slots.say(slot, time, true=False)
            caused = self._settle(time)
            self._tidy(source)
            return caused

    def _retell(self, slot: int, c: Condition) -> None:
        """Take in what is told anew of an alarm that stands: its numbers, and what it explains."""
        tracked = self._tracked.get(slot)
        if tracked is None:
            return
        moved = tracked.explains != tuple(sorted(c.explains))
        tracked.take(c)
        if moved:
            self._explain(slot)

    def step(self, time: float) -> list[Transition]:
        """Let time pass: delays that are over, shelves that end."""
        with self._lock:
            time = self._clock(time)
            return self._settle(time)

    def plant(self, element: str, time: float, *, running: bool) -> list[Transition]:
        """Take in that an element stands still or runs: what its records say is then suppressed by design."""
        with self._lock:
            time = self._clock(time)
            if running == (element not in self._stopped):
                return []
            (self._stopped.discard if running else self._stopped.add)(element)
            for slot in list(self._of_element.get(element, ())):
                if self._slots.of(slot).record.suppressed_when_stopped:
                    change = releasing(states.PLANT) if running else holding(states.PLANT, STILL)
                    self._turn(slot, time, ("plant runs" if running else "plant stands still", "", ""), change)
            return self._settle(time)

    # ----------------------------------------------------------------------------------------------------- inside

    def _clock(self, time: float) -> float:
        """Return the time that counts: callers may be a little apart; a clock set back costs no condition its wait."""
        if self._time - JITTER <= time < self._time:
            return self._time
        if time < self._time:
            self._slots.back(self._time - time)
        self._time = time
        return time

    def _define(self, record: Record, where: str, identity: str = "") -> int:
        """Return the number of a condition, a new one where it is new."""
        identity = identity or where
        element = f"{self.network.kind_of(where)}/{where}" if where in self.network else where
        place = {"": "", "element": where, "station": self._stations.get(where, where)}[record.group]
        named = Named(identify(record.key, identity), record, where, element, identity, place)
        known = named.id in self._slots.number
        slot = self._slots.add(named)
        if not known:
            self._of_source.setdefault(record.source, set()).add(slot)
            self._of_element.setdefault(where, []).append(slot)
        return slot

    def _same(self, c: Condition, told: set[int]) -> int | None:
        """Return the condition of the same key that is about one of the same elements: a cause that is placed anew."""
        own = self._slots.number.get(identify(c.key, c.identity or c.where))
        if own is not None or not c.members:
            return own
        for slot in self._of_source.get(self.book.records[c.key].source, ()):
            before = self._said.get(slot)
            members = (
                before.members if before else frozenset(self._tracked[slot].members) if slot in self._tracked else ()
            )
            if slot not in told and self._slots.of(slot).record.key == c.key and c.members & frozenset(members):
                return slot
        return None

    def _settle(self, time: float) -> list[Transition]:
        """Turn what has lasted, end what has expired, keep it; return what happened since the last call."""
        due = self._slots.due(time)
        if self._explainers and len(due) > 1:  # what explains others comes before them
            due = np.array(sorted(due.tolist(), key=self._explains_nothing), dtype=np.intp)
        for slot in due.tolist():
            self._flip(slot, time)
        if time >= self._expiry:
            self._expire(time)
        flood = self._rates.step(time)
        if flood:
            self._number += 1
            none = ("", "", "")
            self._rows.append((self._number, time, *none, "", flood, "", "", "", f"{self._rates.recent()}", None, None))
        self._flush()
        caused, self._caused = self._caused, []
        return caused

    def _explains_nothing(self, slot: int) -> bool:
        return self._slots.of(slot).record.key not in self._explainers

    def _flip(self, slot: int, time: float) -> None:
        """Take in that a condition has lasted its delay."""
        named = self._slots.of(slot)
        true = bool(self._slots.true[slot])
        self._slots.active[slot] = true
        if not true:
            self._turn(slot, time, ("clears", "", ""), clearing(latch=named.record.latch))
            return
        tracked = self._tracked.setdefault(slot, Tracked())
        tracked.began, tracked.acknowledged_by, tracked.acknowledged_at = time, "", nan
        if slot in self._said:
            tracked.take(self._said[slot])
        elif self._limits is not None and slot in self._held:
            k = self._held[slot]
            tracked.limit, tracked.past = float(self._limits.limit[k]), float(self._past[k])
        if named.where in self._stopped and named.record.suppressed_when_stopped:
            tracked.point.holds.setdefault(states.PLANT, STILL)
        parent = self._causes.of(named.where, named.record.explained_by)
        if parent is None:
            self._turn(slot, time, ("rises", "", ""), rising)
            return
        above = self._slots.of(parent)
        tracked.point.holds[EXPLAINED + above.id] = Hold(why=above.record.key)
        self._causes.under(parent, slot)
        self._turn(slot, time, ("explained", "", above.record.key), rising)
        words = self._view(slot).words
        self._tracked[parent].note(Note(time, "", named.where, words["key"], words["parameters"]))
        self._changed.add(parent)

    def _turn(
        self,
        slot: int,
        time: float,
        what: tuple[str, str, str],
        change: Change,
        row: Row | None = None,
    ) -> bool:
        """Change the state of one alarm and what hangs on it; False where nothing changed.

        what  event, who, why; row: already in the journal
        """
        tracked = self._tracked.setdefault(slot, Tracked())
        before, told_before = tracked.point.state, tracked.point.told
        if not change(tracked.point):
            if tracked.point.idle:
                del self._tracked[slot]
            return False
        after, told = tracked.point.state, tracked.point.told
        self._changed.add(slot)
        if after is not before or row is not None:
            tracked.changed, tracked.value = time, self._value(slot)
            self._follow(slot, time, before, after)
            if row is None:
                row = self._row(slot, time, what, (before, after))
                self._rows.append(row)
            self._caused.append(Transition(row[0], time, what[0], before, after, self._view(slot), *what[1:]))
        for hold in tracked.point.holds.values():
            self._expiry = min(self._expiry, hold.until)
        if tracked.point.idle:
            del self._tracked[slot]
        if told and not told_before:
            self._explain(slot)
        elif told_before and not told:
            self._unexplain(slot, time)
        return True

    def _follow(self, slot: int, time: float, before: State, after: State) -> None:
        """Count it, and tell the first of its group."""
        named, tracked = self._slots.of(slot), self._tracked[slot]
        if after is State.UNACKNOWLEDGED:
            self._rates.tell(named.id, time)
        if after not in STANDING:
            tracked.first_out = False
            self._groups.leave(named.group, slot)
        elif named.group and before not in STANDING:
            tracked.first_out = self._groups.enter(named.group, slot)

    # ------------------------------------------------------------------------------------------ one cause, one alarm

    def _explain(self, slot: int) -> None:
        """Let an alarm that is told explain what the records of others say."""
        named, tracked = self._slots.of(slot), self._tracked.get(slot)
        if tracked is not None and named.record.key in self._explainers and tracked.point.told:
            self._causes.explain(slot, named.record.key, tracked.explains or (named.where,))

    def _unexplain(self, slot: int, time: float) -> None:
        """Tell what an alarm explained that is told no more itself."""
        name = EXPLAINED + self._slots.of(slot).id
        for child in self._causes.end(slot):
            if child in self._tracked:
                self._turn(child, time, ("no longer explained", "", ""), releasing(name))

    # --------------------------------------------------------------------------------------------- persons and time

    def _expire(self, time: float) -> None:
        """End the holds whose time has come; find the next."""
        for slot, tracked in list(self._tracked.items()):
            for name in list(tracked.point.expired(time)):
                event = "shelf ends" if name == states.SHELF else "hold ends"
                self._turn(slot, time, (event, "", ""), releasing(name))
        self._expiry = min((h.until for t in self._tracked.values() for h in t.point.holds.values()), default=inf)

    # ---------------------------------------------------------------------------------------------------- the journal

    def _row(self, slot: int, time: float, what: tuple[str, str, str], states_: tuple[State, State]) -> Row:
        """Return the next row of the journal."""
        self._number += 1
        named, tracked, (event, who, why) = self._slots.of(slot), self._tracked.get(slot), what
        value, limit = (tracked.value, tracked.limit) if tracked else (nan, nan)
        return (
            self._number, time, named.id, named.record.key, named.record.priority.value, named.element, event,
            states_[0].value, states_[1].value, who, why, value if isfinite(value) else None,
            limit if isfinite(limit) else None,
        )  # fmt: skip

    def _kept(self, slot: int, tracked: Tracked | None) -> dict[str, Any] | None:
        """Return what the journal keeps of an alarm, None = it is normal."""
        if tracked is None or tracked.point.idle:
            return None
        named = self._slots.of(slot)
        return {"key": named.record.key, "where": named.where, "identity": named.identity, **tracked.kept()}

    def _flush(self) -> None:
        """Write what waits; when that fails it goes on waiting, and `fault` says why."""
        docs = {self._slots.of(s).id: self._kept(s, self._tracked.get(s)) for s in self._changed}
        try:
            self._journal.write(self._rows, docs)
        except NotStored as error:
            self.fault = str(error)
            more = len(self._rows) - BACKLOG
            if more > 0:
                self.lost += more
                del self._rows[:more]
            return
        self.fault = ""
        self._rows.clear()
        self._changed.clear()

    def _restore(self) -> None:
        """Take up what stood when the journal was last written."""
        gone: dict[str, None] = {}
        for alarm, doc in self._journal.standing().items():
            record = self.book.records.get(doc.pop("key"))
            where, identity = doc.pop("where"), doc.pop("identity")
            if record is None:
                self.withdrawn.append(where)
                gone[alarm] = None
                continue
            slot = self._define(record, where, identity)
            tracked = self._tracked[slot] = Tracked.of(doc)
            self._slots.true[slot] = self._slots.active[slot] = tracked.point.active
            if tracked.point.state in STANDING and self._slots.of(slot).group:
                self._groups.enter(self._slots.of(slot).group, slot)
            if states.PLANT in tracked.point.holds:
                self._stopped.add(where)
            self._expiry = min([self._expiry, *(h.until for h in tracked.point.holds.values())])
            self._explain(slot)
        for slot, tracked in self._tracked.items():
            for name in tracked.point.holds:
                parent = self._slots.number.get(name.removeprefix(EXPLAINED))
                if parent is not None:
                    self._causes.under(parent, slot)
        self._journal.write([], gone)
        for told, alarm in self._journal.told(
            max(self.book.philosophy.flood_window, self.book.philosophy.chattering_window)
        ):
            self._rates.tell(alarm, told)
        self._rates.flood_since = self._journal.flood_since()

    def _tidy(self, source: str) -> None:
        """Forget conditions of a source that are false and have no alarm: findings come and go."""
        mine = self._of_source.get(source, set())
        for slot in [s for s in mine if not self._slots.true[s] and s not in self._tracked and s not in self._changed]:
            where = self._slots.of(slot).where
            self._slots.remove(slot)
            mine.discard(slot)
            self._said.pop(slot, None)
            self._of_element[where].remove(slot)
            if not self._of_element[where]:
                del self._of_element[where]

    # ---------------------------------------------------------------------------------------------------------- views

    def _slot(self, alarm: str) -> int:
        try:
            return self._slots.number[alarm]
        except KeyError:
            raise UnknownName(
                f"no alarm {alarm!r}: it may have returned to normal and be gone; see the history"
            ) from None

    def _value(self, slot: int) -> float:
        """Return the present value of a limit's condition, or what its source told last."""
        if self._limits is not None and slot in self._held:
            value = float(self._values[self._limits.column[self._held[slot]]])
            if isfinite(value):
                return value
        return self._tracked[slot].value if slot in self._tracked else nan

    def _view(self, slot: int) -> Alarm:
        """Return an alarm as it is now."""
        named, t = self._slots.of(slot), self._tracked.get(slot) or Tracked()
        limit, past = t.limit, t.past
        if self._limits is not None and slot in self._held:
            k = self._held[slot]
            limit = float(self._limits.limit[k])
            past = float(self._past[k]) if isfinite(self._past[k]) else past
        return Alarm(
            named.id, named.record, t.point.state, named.where, named.element, t.began, t.changed, self._value(slot),
            limit, t.acknowledged_by, t.acknowledged_at, dict(t.point.holds), t.first_out,
            self._rates.chattering(named.id, self._time), tuple(t.notes), t.parameters, t.members,
            self.network.gas.standard_density, past,
        )  # fmt: skip


def _stations(network: Network) -> dict[str, str]:
    """Return element -> the station whose instruments report it."""
    return {i.where: i.station for i in instruments(network)}
