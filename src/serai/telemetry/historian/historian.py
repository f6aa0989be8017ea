# SPDX-License-Identifier: Apache-2.0
"""The historian: readings kept for years, each batch once, by the same calls on every engine."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from serai.errors import BatchConflict, NotStored, SeraiError, UnknownName
from serai.telemetry.bus.batch import Batch
from serai.telemetry.historian import resample as resampling
from serai.telemetry.historian.engine import AlreadyThere, Engine, Entry, ToStore, hour_of, shares
from serai.telemetry.historian.rows import (
    EVER,
    HOUR,
    Asked,
    Rows,
    When,
    first_row_after,
    instant,
    last_of_each_tag,
    newest_versions,
    ordered,
    together,
)
from serai.telemetry.readings import MICROSECONDS, Readings, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from serai.telemetry.readings import Counts, Register

DAY = 24 * HOUR
EARLIEST, LATEST = instant("0001-01-01T00:00:00Z"), instant("9999-12-31T00:00:00Z")
STEPS = (60 * MICROSECONDS, 600 * MICROSECONDS, HOUR, 6 * HOUR, DAY)  # how far back `snapshot` looks, step by step


class Outcome(Enum):
    """What became of a batch; the value is what a person reads."""

    STORED = "stored"
    REPEATED = "was stored before: nothing to do"
    CONFLICT = "other content was stored under the same batch id: not stored"
    REFUSED = "its times are outside the years 1 to 9999: not stored"


class Historian:
    """Readings kept for years; `serai.telemetry.historian.open` makes one.

    All times that are given are µs since 1970 UTC, a datetime with its zone, or ISO 8601 text with its zone.
    A reading is known by tag and time. Storing another value for the same tag and time is a correction: reads give the
    one stored last, `versions` all. `as_of` gives what was known at an instant: what was stored by then
    (`by="stored"`), or what had been received by then (`by="received"`, for histories that were filled afterwards).
    """

    def __init__(self, engine: Engine, clock: Callable[[], int] = now) -> None:
        self.engine = engine
        self.clock = clock
        self._numbers: dict[int, tuple[Register, NDArray[np.int32]]] = {}
        self._lock = threading.Lock()
        self._hashing = ThreadPoolExecutor(2, "hashing")  # hashing runs without Python's lock

    @property
    def register(self) -> Register:
        """All tags that were ever stored."""
        return self.engine.register

    @property
    def counts(self) -> Counts:
        """What happened, by name."""
        return self.engine.counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; what was stored is safe without it."""
        self._hashing.shutdown()
        self.engine.close()

    # --- storing

    def append(self, batch: str, readings: Readings, source: str = "") -> Outcome:
        """Store readings under a batch id: all of them or none, safe on disk when this returns.

        A batch that was stored before is not stored again (REPEATED), so a retry is always safe.
        Raises BatchConflict when the id was stored with other content, NotStored when disk or server fail.
        """
        outcome = self.append_all([Batch(batch, source, readings)])[0]
        if outcome is Outcome.CONFLICT:
            msg = f"batch {batch} of {source or 'an unnamed source'}: {outcome.value}; give other readings another id"
            raise BatchConflict(msg, batch)
        if outcome is Outcome.REFUSED:
            msg = f"batch {batch} of {source or 'an unnamed source'}: {outcome.value}; mend the clock of the source"
            raise NotStored(msg, "times outside the years 1 to 9999")
        return outcome

    def append_all(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Store batches in one transaction (one fsync) and return what became of each, in their order.

        A batch that is refused does not keep the others out. Raises NotStored when disk or server fail; then none is
        stored by this call.
        """
        with self._lock:
            own = {k: self._in_own_numbers(b.readings) for k, b in enumerate(batches) if _datable(b.readings)}
            outcomes = {k: Outcome.REFUSED for k in range(len(batches)) if k not in own}
            lines = (self._hashing.map if len(own) > 1 else map)(_line, (batches[k] for k in own), own.values())
            wanted = {k: ToStore(line, own[k]) for k, line in zip(own, lines, strict=True)}
            self._repeats_within(wanted, outcomes)
            try:
                self._store(wanted, outcomes)
            except NotStored as error:
                self.counts.add(f"not stored: {error.reason}", len(wanted))
                raise
            for k, outcome in outcomes.items():
                self.counts.add(f"batches: {outcome.name.lower()}")
                self.counts.add(f"readings: {outcome.name.lower()}", len(batches[k].readings))
            return [outcomes[k] for k in range(len(batches))]

    def _store(self, wanted: dict[int, ToStore], outcomes: dict[int, Outcome]) -> None:
        """Store what is new; what the ledger has already is told apart by its content. New outcomes are added."""
        for _ in range(5):  # on PostgreSQL another writer may store one of them in between
            if not wanted:
                return
            try:
                self.engine.store(list(wanted.values()), self.clock)
            except AlreadyThere:
                had = self.engine.entries([w.entry.batch for w in wanted.values()])
                for k, new in list(wanted.items()):
                    old = had.get(new.entry.batch)
                    if old is not None:
                        outcomes[k] = _same(old, new.entry)
                        del wanted[k]
            else:
                outcomes.update(dict.fromkeys(wanted, Outcome.STORED))
                return
        msg = "other writers store the same batches at the same time: let one process store them, or try again"
        raise NotStored(msg, "storing against other writers")

    @staticmethod
    def _repeats_within(wanted: dict[int, ToStore], outcomes: dict[int, Outcome]) -> None:
        """Take batches out whose id stands earlier in the same call."""
        first: dict[str, Entry] = {}
        for k, new in list(wanted.items()):
            old = first.setdefault(new.entry.batch, new.entry)
            if old is not new.entry:
                outcomes[k] = _same(old, new.entry)
                del wanted[k]

    def _in_own_numbers(self, readings: Readings) -> Readings:
        """Return readings with tags in the numbers of this historian; tags that are new get one."""
        theirs = readings.register
        _, known = self._numbers.get(id(theirs), (theirs, np.empty(0, np.int32)))
        if len(known) < len(theirs):
            names = list(theirs)
            new = [name for name in names if name not in self.register]
            if new:
                self.engine.add_tags(new)
            known = self.register.numbers(names)
            self._numbers[id(theirs)] = (theirs, known)  # holding the register keeps its id its own
            while len(self._numbers) > 64:  # readers that make a register a message
                self._numbers.pop(next(iter(self._numbers)))
        r = readings
        return Readings(self.register, known[r.tag], r.time, r.value, r.quality, r.received)

    # --- reading

    def read(
        self,
        tags: Iterable[str] | None = None,
        start: When = -EVER,
        end: When = EVER,
        *,
        as_of: When | None = None,
        by: str = "stored",
    ) -> Readings:
        """Return the readings of tags (None: all) with start <= time < end, by tag and then time.

        as_of   as they were known at that instant: without what was stored (or `by="received"`: received) later
        Raises UnknownName for a tag that was never stored, SegmentChanged where a sealed part was changed.
        """
        asked = self._asked(tags, start, end, as_of, by)
        return newest_versions(self.engine.rows(asked)).readings(self.register)

    def versions(self, tags: Iterable[str] | None = None, start: When = -EVER, end: When = EVER) -> pa.Table:
        """Return every version of every reading, by tag, time and storing, with `row` and `stored`."""
        rows = ordered(self.engine.rows(self._asked(tags, start, end, None, "stored")))
        stored = pa.array(rows.stored).cast(pa.timestamp("us", "UTC"))
        return rows.to_arrow(self.register).append_column("stored", stored)

    def snapshot(
        self,
        at: When | None = None,
        tags: Iterable[str] | None = None,
        *,
        within: float | None = 86_400.0,
        as_of: When | None = None,
        by: str = "stored",
    ) -> Readings:
        """Return all tags at one instant: of each the last reading at or before `at` (None: now), by tag.

        within   how far back [s] a reading may lie; None = to the beginning. A tag without one is absent.
        """
        end = self.clock() if at is None else instant(at)
        reach = end + EVER if within is None else round(within * MICROSECONDS)
        wanted = self._asked(tags, -EVER, EVER, as_of, by)
        numbers = np.arange(len(self.register), dtype=np.int32) if wanted.tags is None else wanted.tags
        found: list[Rows] = []
        upper = end + 1
        for step in [*(s for s in STEPS if s < reach), reach]:
            lower = max(end - step, -EVER)
            tags_left = None if wanted.tags is None and not found else numbers
            rows = self.engine.rows(Asked(tags_left, lower, upper, wanted.before_row, wanted.received_by))
            found.append(last_of_each_tag(rows))
            numbers = np.setdiff1d(numbers, found[-1].tag)
            upper = lower
            if not len(numbers):
                break
        return last_of_each_tag(together(found)).readings(self.register)

    def resample(
        self,
        tags: Iterable[str] | None,
        start: When,
        end: When,
        step: float,
        rule: resampling.Rule,
        *,
        as_of: When | None = None,
    ) -> resampling.Resampled:
        """Return tags on a grid of `step` seconds by a rule, see `serai.telemetry.historian.resample`."""
        grid = resampling.grid(instant(start), instant(end), step)
        names = list(self.register) if tags is None else list(tags)
        reach = round(rule.hold * MICROSECONDS)
        asked = self._asked(
            names, int(grid[0]) - reach, int(grid[-1]) + (reach if rule.looks_ahead else 0), as_of, "stored"
        )
        rows = newest_versions(self.engine.rows(asked))
        return resampling.resample(rows.readings(self.register), names, grid, rule)

    def ledger(self) -> pa.Table:
        """Return the batch ledger: batch, source, rows, hash, first (row number); in the order of storing."""
        return self.engine.ledger()

    def windows(self, start: When = -EVER, end: When = EVER) -> Iterator[tuple[int, int]]:
        """Yield ranges of time [µs] that hold all rows from start to end: an hour, or more where rows are few."""
        low, high = instant(start), instant(end)
        for first, last in shares(self.engine.hours()):
            if first < high and last > low:
                yield max(first, low), min(last, high)

    def _asked(self, tags: Iterable[str] | None, start: When, end: When, as_of: When | None, by: str) -> Asked:
        """Return the question in numbers."""
        self.engine.refresh()
        if isinstance(tags, str):
            tags = [tags]
        names = None if tags is None else list(tags)
        missing = [name for name in names or () if name not in self.register]
        if missing:
            msg = f"{missing[0]!r}{f' and {len(missing) - 1} more' if missing[1:] else ''}: no such tag was ever stored"
            raise UnknownName(msg)
        numbers = None if names is None else np.unique(self.register.numbers(names))
        if by not in {"stored", "received"}:
            msg = f"by={by!r}: what was known at an instant goes by 'stored' or by 'received'"
            raise SeraiError(msg)
        before_row, received_by = EVER, EVER
        if as_of is not None:
            when = instant(as_of)
            before_row, received_by = (first_row_after(when), EVER) if by == "stored" else (EVER, when)
        return Asked(numbers, instant(start), instant(end), before_row, received_by)

    # --- keeping

    def publish(self) -> int:
        """Show what is stored so far to the processes that read the files; returns how many rows are new to them.

        PostgreSQL shows each transaction as it commits, so there this does nothing.
        """
        return self.engine.publish()

    def seal(self, before: When | None = None) -> int:
        """Seal the hours that ended at or before an instant (None: an hour ago); returns how many rows were sealed."""
        return self.engine.seal(hour_of(self.clock() - HOUR if before is None else instant(before)))

    def relieve(self, most: int) -> int:
        """Seal a part of the running hour where more than `most` rows wait; returns how many rows were sealed.

        PostgreSQL keeps what waits on its disk, so there this does nothing.
        """
        return self.engine.relieve(most)

    def compact(self) -> int:
        """Merge what late data has scattered over several segments; returns how many were merged."""
        return self.engine.compact()

    def retain(self, since: When) -> int:
        """Drop readings older than an instant, by whole hours that ended before it; returns how many rows."""
        return self.engine.retain(hour_of(instant(since)))

    def verify(self) -> list[str]:
        """Read everything again and return what is wrong, a line each; an empty list: all is as it was stored.

        Hashes of segments; every batch of the ledger whole; no row stored twice. For when nothing is being sealed.
        Beside a writer, who has the ledger, the hashes alone.
        """
        wrong = self.engine.verify()
        if wrong or not self.engine.has_ledger:
            return wrong
        ledger = self.ledger()
        first = ledger.column("first").to_numpy()
        rows = ledger.column("rows").to_numpy()
        found = np.zeros(len(first) + 1, np.int64)
        for start, end in self.windows():
            numbers = np.sort(self.engine.rows(Asked(start=start, end=end)).row)
            if (numbers[1:] == numbers[:-1]).any():
                wrong.append(f"between {start} and {end} µs a row number is there twice")
            found += np.bincount(np.searchsorted(first, numbers, side="right"), minlength=len(found))
        since = self.engine.retained_since()
        for k in np.flatnonzero(found[1:] != rows).tolist():
            line = ledger.slice(k, 1).to_pylist()[0]
            if found[k + 1] > rows[k] or line["earliest"] >= since:
                wrong.append(f"batch {line['batch']}: {rows[k]} rows were stored, {found[k + 1]} are there")
        return wrong


def _datable(readings: Readings) -> bool:
    """Return whether all times are ones that every engine can keep."""
    return not len(readings) or all(
        int(t.min()) >= EARLIEST and int(t.max()) < LATEST for t in (readings.time, readings.received)
    )


def _line(batch: Batch, own: Readings) -> Entry:
    """Return the line of the ledger of a batch, whose readings in the historian's numbers are `own`."""
    digest = hashlib.sha256()
    for column in (own.tag, own.time, own.value, own.quality, own.received):
        digest.update(np.ascontiguousarray(column).data)
    return Entry(batch.id, batch.source, len(own), digest.digest(), int(own.time.min()) if len(own) else EVER)


def _same(old: Entry, new: Entry) -> Outcome:
    """Return what a batch is whose id is known."""
    return Outcome.REPEATED if (old.rows, old.hash) == (new.rows, new.hash) else Outcome.CONFLICT
