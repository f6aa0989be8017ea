# SPDX-License-Identifier: Apache-2.0
"""The default engine: one process writes to a DuckDB file over ADBC, and seals past hours as Parquet segments.

Rows enter together with their line of the ledger, in one transaction: few as rows of the table `readings`, many as one
block of Arrow in the table `blocks`, which is less work for each row. Sealing takes past hours out of both: segments
are written and safe first, then one transaction enters them in the table `segments` and deletes their rows, then
the list that other processes read (`manifest.json`) is replaced. A kill in between leaves files that no list names,
which the next start removes. Late rows wait like all others until the next sealing gives them a segment of their own;
`compact` merges segments that overlap.

What waits outside segments is in memory until DuckDB makes a checkpoint. So an hour with many rows is sealed while it
runs (`relieve`), all but its newest part, and a checkpoint of the little that is left gives the memory back.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import adbc_driver_duckdb.dbapi as adbc
import numpy as np
import pyarrow as pa

from serai.errors import NotStored, SeraiError
from serai.telemetry.historian.engine import (
    LEDGER,
    MANY,
    AlreadyThere,
    Engine,
    Entry,
    ToStore,
    entry_of,
    hour_of,
    hours_of,
    lines_of,
    rows_of,
    shares,
)
from serai.telemetry.historian.rows import EVER, HOUR, PLACES, Asked, Rows, ordered, together
from serai.telemetry.historian.segments import MANIFEST, Segment, Segments, write_list
from serai.telemetry.historian.shown import OpenFiles
from serai.telemetry.readings import Counts, Readings, Register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS tags (number INTEGER, tag VARCHAR);
CREATE TABLE IF NOT EXISTS ledger
    (batch VARCHAR PRIMARY KEY, source VARCHAR, rows INTEGER, hash BLOB, earliest BIGINT, first BIGINT);
CREATE TABLE IF NOT EXISTS readings
    (tag INTEGER, time BIGINT, value DOUBLE, quality USMALLINT, received BIGINT, "row" BIGINT);
CREATE TABLE IF NOT EXISTS blocks
    (first BIGINT, last BIGINT, earliest BIGINT, latest BIGINT, content BLOB USING COMPRESSION uncompressed);
CREATE TABLE IF NOT EXISTS segments (file VARCHAR, line VARCHAR);
CREATE TABLE IF NOT EXISTS state (name VARCHAR, number BIGINT);
"""
BLOCK = 2_000  # rows: a transaction with so many stores them as a block
COLUMNS = 'tag, time, value, quality, received, "row"'
SHOWN = 500_000  # rows: about as many are written to one open file
MANY_TAGS = 1000  # above so many they are picked from all rows instead of named in the question
LEDGER_DAYS = 30.0
NEWEST = 0.9  # share of what waits that `relieve` seals: the newest part of it may still get company
HOURS = f"SELECT time // {HOUR} AS hour, count(*) AS n FROM readings GROUP BY hour"
# what a block holds: the batches of a transaction, numbered from its `first` on; or the rest of one, with its numbers
NUMBERED = pa.schema(
    [
        ("tag", pa.int32()),
        ("time", pa.int64()),
        ("value", pa.float64()),
        ("quality", pa.uint16()),
        ("received", pa.int64()),
        ("row", pa.int64()),
    ]
)
PLAIN = pa.schema(list(NUMBERED)[:-1])
PLAIN_BYTES = sum(field.type.bit_width // 8 for field in PLAIN)


class Duck:
    """An engine on a DuckDB file that this process owns, and a folder of segments that everyone may read.

    ledger_days   how long a batch id is remembered: longer than anyone retries or a bus keeps
    """

    name, has_ledger = "DuckDB", True

    def __init__(self, database: Path, folder: Path, *, ledger_days: float = LEDGER_DAYS) -> None:
        self.database, self.folder, self.ledger_days = database, folder, ledger_days
        self.register = Register()
        self.counts = Counts(f"historian {database}")
        self.segments = Segments(folder)
        self.sealed: tuple[Segment, ...] = ()
        self._write, self._read, self._keep = threading.RLock(), threading.Lock(), threading.RLock()
        self._broken = False  # an error may have left DuckDB unusable: connect again before the next use
        self._next = 0  # row number
        self._waiting = 0  # rows outside segments
        self._open_between = (EVER, -EVER)  # times [µs] between which all rows outside segments are
        self.shown = OpenFiles(self.segments, self.register)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
            self._take_up()
        except OSError as error:
            msg = f"{database}: {error}; give a folder that this process may write to"
            raise SeraiError(msg) from error

    # --- the connection

    def _open(self) -> None:
        """Connect; one connection stores, one reads, one keeps (seals, compacts, drops)."""
        try:
            self._storing = adbc.connect(str(self.database), autocommit=False)
        except adbc.Error as error:
            if "Could not set lock" in str(error):
                msg = f"{self.database}: another process writes to it; open it with read_only=True to read beside it"
                raise SeraiError(msg) from error
            msg = f"{self.database}: cannot be opened: {error}"
            raise SeraiError(msg) from error
        # rows leave the table when their hour is sealed, so a rare checkpoint has less to compress
        _run(self._storing, "SET checkpoint_threshold = '1GB'")
        _run(self._storing, "SET threads = 1")  # handing so few rows to several threads takes longer than the work
        for table in TABLES.strip().split(";\n"):
            _run(self._storing, table)
        self._storing.commit()
        self._reading, self._keeping = self._storing.adbc_clone(), self._storing.adbc_clone()

    def _take_up(self) -> None:
        """Read what the last process left: tags, segments, the next row number; put the folder in order."""
        tags = self._ask(self._storing, "SELECT tag FROM tags ORDER BY number")
        self.register.numbers(tags.column("tag").to_pylist())
        lines = self._ask(self._storing, "SELECT line FROM segments ORDER BY file").column("line").to_pylist()
        self.sealed = tuple(Segment(**json.loads(line)) for line in lines)
        sql = "SELECT coalesce(max(first + rows), 0) AS n FROM ledger"
        taken = self._ask(self._storing, sql).column("n")[0].as_py()
        self._next = max([int(taken), *(s.last_row + 1 for s in self.sealed)])
        size = "coalesce(sum(octet_length(content)), 0)::BIGINT"
        found = self._ask(self._storing, f"SELECT (SELECT count(*) FROM readings) AS n, {size} AS size FROM blocks")
        self._waiting = found.column("n")[0].as_py() + found.column("size")[0].as_py() // PLAIN_BYTES  # about
        left = [path for path in self.folder.iterdir() if path.suffix in {".part", ".parquet"}]
        self._look_for_open()
        self._list_sealed()
        self.publish()
        named = {s.file for s in (*self.sealed, *self.shown.files)}
        for path in left:
            if path.name not in named:
                path.unlink(missing_ok=True)
                self.counts.add("files that no list names removed")

    def close(self) -> None:
        """Let go of the file."""
        with self._keep, self._write, self._read:
            self._let_go()
            self.segments.close()

    def _let_go(self) -> None:
        for connection in (self._keeping, self._reading, self._storing):
            with suppress(adbc.Error):
                connection.rollback()
            with suppress(adbc.Error):
                connection.close()

    def _open_again(self) -> None:
        """Connect again after an error that leaves DuckDB unusable."""
        with self._keep, self._write, self._read:
            if self._broken:
                self._let_go()
                self._open()
                sql = "SELECT coalesce(max(first + rows), 0) AS n FROM ledger"
                self._next = max(self._next, int(self._ask(self._storing, sql).column("n")[0].as_py()))
                self._broken = False
                self.counts.add("database opened again")

    def _ask_beside(self, *questions: str) -> list[pa.Table]:
        """Return answers as of one instant, on the connection that reads, beside storing."""
        if self._broken:
            self._open_again()
        try:
            with self._read:
                found = [self._ask(self._reading, sql) for sql in questions]
                self._reading.rollback()
        except adbc.Error as error:
            self._broken = True
            msg = f"{self.database}: cannot be read: {error}; the next use opens it again"
            raise SeraiError(msg) from error
        return found

    @staticmethod
    def _ask(connection: adbc.Connection, sql: str) -> pa.Table:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    # --- storing

    def refresh(self) -> None:
        """Nothing: no other process adds tags."""

    def add_tags(self, names: Sequence[str]) -> None:
        """Give new tags their numbers, for ever."""
        names = list(dict.fromkeys(names))
        first = len(self.register)
        with self._or_not_stored(), self._write:
            _ingest(self._storing, "tags", pa.table({"number": _int32(range(first, first + len(names))), "tag": names}))
            self._storing.commit()
            self.register.numbers(names)

    def store(self, batches: Sequence[ToStore], clock: Callable[[], int]) -> None:
        """Store batches and their lines of the ledger in one transaction, safe on disk when this returns."""
        with self._or_not_stored(), self._write:
            first = max(clock() << PLACES, self._next)
            count = sum(b.entry.rows for b in batches)
            times = [(b.entry.earliest, int(b.readings.time.max())) for b in batches if b.entry.rows]
            spans = [self._open_between, *times]  # before the commit, so that no reader passes by what it brings
            self._open_between = min(s[0] for s in spans), max(s[1] for s in spans)
            _ingest(self._storing, "ledger", lines_of(batches, first))
            if count >= BLOCK:
                full = [b.readings for b in batches if b.entry.rows]
                _ingest(self._storing, "blocks", _block(full, PLAIN, first))
            elif count:
                _ingest(self._storing, "readings", pa.table(rows_of(batches, first).columns()))
            self._storing.commit()
            self._next = first + count
            self._waiting += count

    @contextmanager
    def _or_not_stored(self) -> Iterator[None]:
        """Turn an error of the database into AlreadyThere or NotStored, with nothing stored."""
        try:
            if self._broken:
                self._open_again()
            yield
        except (adbc.Error, OSError) as error:
            text = str(error)
            with suppress(adbc.Error):
                self._storing.rollback()
            if "violates primary key" in text or "Duplicate key" in text:
                raise AlreadyThere from error
            self._broken = True
            reason = _reason(text)
            msg = (
                f"{self.database}: nothing of the batch was stored, {reason}: {text}; make room or mend it, then retry"
            )
            raise NotStored(msg, reason) from error

    def entries(self, batches: Sequence[str]) -> dict[str, Entry]:
        """Return the lines of the ledger of those batch ids that are in it."""
        names = ", ".join(_quoted(b) for b in batches)
        with self._or_not_stored(), self._write:  # a part of storing, with its errors
            sql = f"SELECT {', '.join(LEDGER.names)} FROM ledger WHERE batch IN ({names})"
            found = self._ask(self._storing, sql)
            self._storing.rollback()
        return {line["batch"]: entry_of(line) for line in found.to_pylist()}

    def ledger(self) -> pa.Table:
        """Return the whole ledger as a table of `LEDGER`, in the order of storing."""
        sql = f"SELECT {', '.join(LEDGER.names)} FROM ledger ORDER BY first, batch"
        return self._ask_beside(sql)[0].cast(LEDGER)

    # --- reading

    def rows(self, asked: Asked) -> Rows:
        """Return the rows that are asked for; the table first, then the segments, so that none falls in between."""
        earliest, latest = self._open_between
        open_rows = Rows.none()
        if earliest < asked.end and latest >= asked.start:
            rows, blocks = _sql(asked)
            table, content = self._ask_beside(rows, blocks)
            open_rows = _wanted(table, content, asked)
        return together([open_rows, *self.segments.read_all(self.sealed, asked, self.register)])

    def _open_rows(self, asked: Asked) -> Rows:
        """Return the rows of the table that are asked for, on the connection that keeps."""
        table, content = (self._ask(self._keeping, sql) for sql in _sql(asked))
        self._keeping.rollback()
        return _wanted(table, content, asked)

    def hours(self) -> dict[int, int]:
        """Return the hours that hold rows, with about how many."""
        rows = self._ask_beside(HOURS)[0]
        found = Counter(dict(zip(rows.column("hour").to_pylist(), rows.column("n").to_pylist(), strict=True)))
        for part in _in_each_block(lambda sql: self._ask_beside(sql)[0], "true"):
            found.update(hours_of(part.time))
        for segment in self.sealed:
            found.update(self.segments.hours(segment, self.register))
        return dict(found)

    def retained_since(self) -> int:
        """Return the time before which rows were dropped on purpose."""
        found = self._ask_beside("SELECT max(number) AS n FROM state WHERE name = 'retained since'")[0]
        since = found.column("n")[0].as_py()
        return -EVER if since is None else int(since)

    # --- showing it to other processes

    def publish(self) -> int:
        """Write the rows that no file holds yet to open files; returns how many."""
        with self._keep, self._or_not_kept("publishing"):
            before = self._next
            return self.shown.show(self._not_shown(before), before)

    def _not_shown(self, before: int) -> Iterator[Rows]:
        """Yield the rows below a row number that no file holds yet, in parts that memory holds easily."""
        sql = f"SELECT first, rows FROM ledger WHERE first >= {self.shown.upto} AND first < {before} ORDER BY first"
        lines = self._ask(self._keeping, sql)
        self._keeping.rollback()
        part = np.cumsum(lines.column("rows").to_numpy()) // SHOWN
        cuts = lines.column("first").to_numpy()[1:][part[1:] != part[:-1]].tolist()
        for first, end in pairwise([self.shown.upto, *cuts, before]):
            yield self._open_rows(Asked(from_row=first, before_row=end))

    def _list_sealed(self) -> None:
        self.shown.write_tags()
        write_list(self.folder / MANIFEST, self.sealed, {"retained_since": self.retained_since()})

    # --- keeping

    def seal(self, before: int) -> int:
        """Seal all hours that end at or before `before`; returns how many rows were sealed."""
        with self._keep, self._or_not_kept("sealing"):
            upto = self._next
            counted = 0

            def parts() -> Iterator[Rows]:  # one after the other, so that memory holds one hour
                nonlocal counted
                for start, end in shares(self._open_hours(before, upto)):
                    rows = self._open_rows(Asked(start=start, end=min(end, before), before_row=upto))
                    if len(rows):
                        counted += len(rows)
                        yield rows

            self._replace([], parts(), drop=(before, upto))
            if counted:
                self._list_sealed()
                self.shown.drop(before, upto)
                self.counts.add("sealed readings", counted)
            self._forget_old_batches()
            with self._write:
                self._waiting -= counted
            return counted

    def relieve(self, most: int) -> int:
        """Seal all but the newest part of what waits, when that is more than `most` rows; returns how many."""
        if self._waiting <= most:
            return 0
        with self._keep, self._or_not_kept("sealing"):
            times = "SELECT latest AS t FROM blocks UNION ALL SELECT time AS t FROM readings"
            found = self._ask(self._keeping, f"SELECT quantile_disc(t, {NEWEST}) AS t FROM ({times})").column("t")
            self._keeping.rollback()
            counted = self.seal(int(found[0].as_py()))
            with self._write, self._read:  # nobody else has a transaction: what was sealed is taken off the disk too
                _run(self._keeping, "CHECKPOINT")
                self._keeping.commit()
            return counted

    def _open_hours(self, before: int, upto: int) -> dict[int, int]:
        """Return the hours before `before` [µs] that hold rows outside segments, with how many."""
        own = f'WHERE time < {before} AND "row" < {upto} GROUP BY hour'
        rows = self._ask(self._keeping, HOURS.replace("GROUP BY hour", own))
        found = Counter(dict(zip(rows.column("hour").to_pylist(), rows.column("n").to_pylist(), strict=True)))
        over = f"earliest < {before} AND first < {upto}"
        for part in _in_each_block(partial(self._ask, self._keeping), over):
            found.update(hours_of(part.time[part.time < before]))
        self._keeping.rollback()
        return dict(found)

    def _drop_open(self, before: int, upto: int) -> None:
        """Take the rows before `before` [µs] out of table and blocks; a block that goes on after it keeps the rest."""
        over = f"earliest < {before} AND first < {upto}"
        for part in _in_each_block(partial(self._ask, self._keeping), f"{over} AND latest >= {before}"):
            rest = part.take(part.time >= before)
            if len(rest):
                _ingest(self._keeping, "blocks", _block([rest], NUMBERED))
        _run(self._keeping, f"DELETE FROM blocks WHERE {over}")
        _run(self._keeping, f'DELETE FROM readings WHERE time < {before} AND "row" < {upto}')

    def compact(self) -> int:
        """Merge segments that overlap in time; returns how many were merged."""
        merged: list[str] = []
        with self._keep, self._or_not_kept("compacting"):
            for group in _overlapping(self.sealed):
                rows = ordered(together(self.segments.read_all(group, Asked(), self.register)))
                inside = (rows.take((rows.time >= a) & (rows.time < b)) for a, b in shares(hours_of(rows.time)))
                self._replace(group, inside)
                merged += [s.file for s in group]
            if merged:
                self._list_sealed()
                self.shown.remove_later(merged)
                self.counts.add("merged segments", len(merged))
        return len(merged)

    def retain(self, since: int) -> int:
        """Drop rows older than `since`: segments that end before it, and rows of the table."""
        with self._keep, self._or_not_kept("dropping"):
            since = max(since, self.retained_since())
            old = [s for s in self.sealed if s.last < since]
            open_rows = len(self._open_rows(Asked(end=since)))
            counted = open_rows + sum(s.rows for s in old)
            self._replace(old, [], drop=(since, EVER), retained_since=since)
            with self._write:
                self._waiting -= open_rows
            self._list_sealed()
            self.shown.drop(since, EVER)
            self.shown.remove_later([s.file for s in old])
            self.counts.add("readings dropped by retention", counted)
            return counted

    def _replace(
        self,
        old: Sequence[Segment],
        parts: Iterable[Rows],
        *,
        drop: tuple[int, int] | None = None,
        retained_since: int | None = None,
    ) -> None:
        """Put new segments in the place of old ones, and take rows out of the tables, in one transaction.

        drop   (before [µs], row number below which): the rows that are taken out
        """
        new = [self.segments.write(_stem(int(rows.time.min())), rows, self.register) for rows in parts]
        was, gone = self.sealed, {s.file for s in old}
        # readers in this process see the new beside the old until the transaction is done: a row twice, none missing
        self.sealed = (*was, *new)
        try:
            if gone:
                _run(self._keeping, f"DELETE FROM segments WHERE file IN ({', '.join(map(_quoted, gone))})")
            if new:
                lines = {"file": [s.file for s in new], "line": [json.dumps(asdict(s)) for s in new]}
                _ingest(self._keeping, "segments", pa.table(lines))
            if retained_since is not None:
                _run(self._keeping, f"INSERT INTO state VALUES ('retained since', {retained_since})")
            if drop is not None:
                self._drop_open(*drop)
            self._keeping.commit()
        except BaseException:
            self.sealed = was
            raise
        self.sealed = tuple(s for s in self.sealed if s.file not in gone)
        if drop is not None:
            self._look_for_open()

    def _look_for_open(self) -> None:
        """Learn between which times rows outside segments are, while nothing is stored."""
        with self._write:
            table = "SELECT min(time) AS a, max(time) AS b FROM readings"
            found = self._ask(self._keeping, f"{table} UNION ALL SELECT min(earliest), max(latest) FROM blocks")
            self._keeping.rollback()
            self._open_between = (
                min((t for t in found.column("a").to_pylist() if t is not None), default=EVER),
                max((t for t in found.column("b").to_pylist() if t is not None), default=-EVER),
            )

    def _forget_old_batches(self) -> None:
        """Drop lines of the ledger that nobody can retry any more, never the last one."""
        limit = self._next - (round(self.ledger_days * 24 * HOUR) << PLACES)
        _run(self._keeping, f"DELETE FROM ledger WHERE first < {limit} AND first < (SELECT max(first) FROM ledger)")
        self._keeping.commit()

    @contextmanager
    def _or_not_kept(self, doing: str) -> Iterator[None]:
        """Turn an error while keeping into a named one; what was stored stays where it was."""
        if self._broken:
            self._open_again()
        try:
            yield
        except (adbc.Error, OSError) as error:
            with suppress(adbc.Error):
                self._keeping.rollback()
            self._broken = isinstance(error, adbc.Error)
            reason = _reason(str(error))
            self.counts.add(f"{doing} failed: {reason}")
            msg = f"{self.database}: {doing} failed, {reason}: {error}; what was stored stays where it was, try again"
            raise NotStored(msg, reason) from error

    def verify(self) -> list[str]:
        """Check every segment against its hash and its line."""
        with self._keep:
            return self.segments.verify(self.sealed, self.register)

    def load(self, rows: Rows, ledger: pa.Table) -> None:
        """Put back rows and lines of the ledger: a part of a restore. The rows become segments at once."""
        with self._keep, self._write, self._or_not_stored():
            names = pa.array(list(self.register))
            known = len(self._ask(self._storing, "SELECT number FROM tags"))
            new = {"number": _int32(range(known, len(names))), "tag": names[known:]}
            _ingest(self._storing, "tags", pa.table(new))
            if ledger.num_rows:
                _ingest(self._storing, "ledger", ledger)
                ends = np.asarray(ledger.column("first")) + np.asarray(ledger.column("rows"))
                self._next = max(self._next, int(ends.max()))
            self._storing.commit()
            if len(rows):
                self._replace([], [rows])
                self._next = max(self._next, int(rows.row.max()) + 1)
                self._list_sealed()


def _sql(asked: Asked) -> tuple[str, str]:
    """Return the questions for the rows of the table, and for the blocks that may hold rows."""
    where = [
        f"time >= {asked.start}",
        f"time < {asked.end}",
        f'"row" < {asked.before_row}',
        f'"row" >= {asked.from_row}',
    ]
    if asked.received_by < EVER:
        where.append(f"received <= {asked.received_by}")
    if asked.tags is not None and len(asked.tags) <= MANY_TAGS:
        where.append(f"tag IN ({', '.join(map(str, asked.tags.tolist())) or 'NULL'})")
    blocks = f"latest >= {asked.start} AND earliest < {asked.end}"
    blocks += f" AND first < {asked.before_row} AND last >= {asked.from_row}"
    return (
        f"SELECT {COLUMNS} FROM readings WHERE {' AND '.join(where)}",
        f"SELECT first, content FROM blocks WHERE {blocks} ORDER BY first",
    )


def _wanted(table: pa.Table, blocks: pa.Table, asked: Asked) -> Rows:
    """Return the answers as rows."""
    parts = []
    if len(table):
        rows = Rows(*(table.column(c).to_numpy() for c in ("tag", "time", "value", "quality", "received", "row")))
        parts.append(rows.take(asked.mask(rows)) if asked.tags is not None and len(asked.tags) > MANY_TAGS else rows)
    parts += [part.take(asked.mask(part)) for part in _in_blocks(blocks)]
    return together(parts)


def _in_each_block(ask: Callable[[str], pa.Table], where: str) -> Iterator[Rows]:
    """Yield the rows of blocks, one block in memory at a time."""
    for first in ask(f"SELECT first FROM blocks WHERE {where} ORDER BY first").column("first").to_pylist():
        yield from _in_blocks(ask(f"SELECT first, content FROM blocks WHERE first = {first} AND {where}"))


def _in_blocks(blocks: pa.Table) -> Iterator[Rows]:
    """Yield the rows of blocks (first, content); those without numbers of their own are numbered from `first` on."""
    for first, content in zip(blocks.column("first").to_pylist(), blocks.column("content"), strict=True):
        following = first
        with pa.ipc.open_stream(content.as_buffer()) as stream:
            for part in stream:
                columns = [column.to_numpy() for column in part.columns]
                if len(columns) < len(NUMBERED):
                    columns.append(np.arange(following, following + part.num_rows, dtype=np.int64))
                following += part.num_rows
                yield Rows(*columns)


def _block(parts: Sequence[Readings | Rows], schema: pa.Schema, first: int | None = None) -> pa.Table:
    """Return parts, each with rows, as one line of `blocks`: an Arrow IPC stream of a record batch for each."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for part in parts:
            columns = [pa.array(getattr(part, name)) for name in schema.names]
            stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    content = sink.getvalue()
    ends = pa.array([0, content.size], pa.int32()).buffers()[1]
    if first is None:
        numbers = [p.row for p in parts if isinstance(p, Rows)]
        first, last = min(int(n.min()) for n in numbers), max(int(n.max()) for n in numbers)
    else:
        last = first + sum(map(len, parts)) - 1
    return pa.table(
        {
            "first": [first],
            "last": [last],
            "earliest": [min(int(p.time.min()) for p in parts)],
            "latest": [max(int(p.time.max()) for p in parts)],
            "content": pa.Array.from_buffers(pa.binary(), 1, [None, ends, content]),  # no copy of the content
        }
    )


def _run(connection: adbc.Connection, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _ingest(connection: adbc.Connection, table: str, rows: pa.Table) -> None:
    with connection.cursor() as cursor:
        cursor.adbc_ingest(table, rows, mode="append")


def _int32(numbers: range) -> Any:
    return pa.array(numbers, pa.int32())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _reason(text: str) -> str:
    """Return the name under which an error of DuckDB or of the disk is counted."""
    low = text.lower()
    if "no space left" in low or "file too large" in low or "disk full" in low:
        return "disk full"
    return "database failed"


def _stem(time: int) -> str:
    """Return the name of the hour [µs] of a time."""
    return datetime.fromtimestamp(hour_of(time) // 1_000_000, UTC).strftime("%Y-%m-%dT%HZ")


def _overlapping(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield groups of two or more segments that overlap in time, none with more rows than memory should hold."""
    group: list[Segment] = []
    for s in sorted(segments, key=lambda s: (s.first, s.last)):
        overlaps = group and s.first <= max(g.last for g in group)
        if overlaps and sum(g.rows for g in group) + s.rows <= MANY:
            group.append(s)
        else:
            if len(group) > 1:
                yield group
            group = [s]
    if len(group) > 1:
        yield group


_: type[Engine] = Duck  # the type checker compares it with what an engine is
