# SPDX-License-Identifier: Apache-2.0
"""The engine on PostgreSQL over ADBC: rows partitioned by hour, any number of writers and readers.

A transaction takes its row numbers from one line of the table `state`, which it holds until it commits: so row numbers
rise in the order of commits, also with several writers. An open hour has a BRIN index over time, small and cheap to
write; sealing an hour sorts it by tag and time and gives it a B-tree. Rows of hours without a partition (few rows of
the past, clocks in the future) lie together in the partition `readings_rest`. Late rows go where their time says,
sealed or not. There are no files and no hashes here: page checksums are the server's (`initdb --data-checksums`).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import adbc_driver_postgresql.dbapi as adbc
import numpy as np
import pyarrow as pa

from serai.errors import NotStored, SeraiError
from serai.telemetry.historian.engine import (
    FEW,
    LEDGER,
    AlreadyThere,
    Engine,
    Entry,
    ToStore,
    entry_of,
    hour_of,
    lines_of,
    rows_of,
)
from serai.telemetry.historian.rows import EVER, HOUR, PLACES, Asked, Rows
from serai.telemetry.readings import Counts, Register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

TABLES = """
CREATE TABLE IF NOT EXISTS tags (number int4 PRIMARY KEY, tag text UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (batch text PRIMARY KEY, source text NOT NULL, rows int4 NOT NULL,
    hash bytea NOT NULL, earliest int8 NOT NULL, first int8 NOT NULL);
CREATE TABLE IF NOT EXISTS state (name text PRIMARY KEY, number int8 NOT NULL);
CREATE TABLE IF NOT EXISTS hours (start int8 PRIMARY KEY, sealed bool NOT NULL);
CREATE TABLE IF NOT EXISTS readings (tag int4 NOT NULL, time timestamptz NOT NULL, value float8 NOT NULL,
    quality int2 NOT NULL, received timestamptz NOT NULL, "row" int8 NOT NULL) PARTITION BY RANGE (time);
CREATE TABLE IF NOT EXISTS readings_rest PARTITION OF readings DEFAULT;
CREATE INDEX IF NOT EXISTS readings_rest_tag ON readings_rest (tag, time);
CREATE INDEX IF NOT EXISTS readings_rest_time ON readings_rest (time);
INSERT INTO state VALUES ('next row', 0) ON CONFLICT DO NOTHING
"""
STAMP = pa.timestamp("us", "UTC")


class Postgres:
    """An engine on the tables of one schema of a PostgreSQL database."""

    name, has_ledger = "PostgreSQL", True

    def __init__(self, url: str, *, schema: str = "serai") -> None:
        self.url, self.schema = url, schema
        self.register = Register()
        self.counts = Counts(f"historian {schema}")
        self._write, self._read = threading.RLock(), threading.RLock()
        self._storing: adbc.Connection | None = None
        self._reading: adbc.Connection | None = None
        self._hours: set[int] = set()
        try:
            with self._write:
                connection = self._store_connection()
                _run(connection, f"CREATE SCHEMA IF NOT EXISTS {_name(schema)}")
                # two processes may start at once: one makes the tables, the other waits for it
                _run(connection, f"SELECT pg_advisory_xact_lock(hashtext({_quoted('serai ' + schema)}))")
                for table in TABLES.strip().split(";\n"):
                    _run(connection, table)
                connection.commit()
            self.refresh()
        except adbc.Error as error:
            self.close()
            msg = f"the history in PostgreSQL (schema {schema}) cannot be opened: {_short(error)}; check URL and rights"
            raise SeraiError(msg) from error

    # --- connections

    def _connect(self) -> adbc.Connection:
        connection = adbc.connect(self.url, autocommit=False)
        try:
            _run(connection, "SET timezone = 'UTC'")
            _run(connection, f"SET search_path = {_name(self.schema)}")
            connection.commit()
        except adbc.Error:
            _hang_up(connection)
            raise
        return connection

    def _store_connection(self) -> adbc.Connection:
        if self._storing is None:
            self._storing = self._connect()
        return self._storing

    def close(self) -> None:
        """Let go of the connections."""
        with self._write, self._read:
            for connection in (self._storing, self._reading):
                _hang_up(connection)
            self._storing = self._reading = None

    def _ask(self, sql: str) -> pa.Table:
        """Return the answer to a question, on the connection that reads; connects again once."""
        with self._read:
            for attempt in range(2):
                try:
                    if self._reading is None:
                        self._reading = self._connect()
                    found = _ask(self._reading, sql)
                    self._reading.rollback()
                except adbc.Error as error:
                    _hang_up(self._reading)
                    self._reading = None
                    if attempt or not isinstance(error, adbc.OperationalError):
                        msg = f"PostgreSQL cannot be read: {_short(error)}; what was stored is safe there, try again"
                        raise SeraiError(msg) from error
                else:
                    return found
        raise AssertionError  # the last attempt returns or raises

    @contextmanager
    def _transaction(self) -> Iterator[adbc.Connection]:
        """Commit what is done inside, or nothing of it; turns errors into AlreadyThere or NotStored."""
        with self._write:
            try:
                connection = self._store_connection()
                yield connection
                connection.commit()
            except adbc.Error as error:
                state = getattr(error, "sqlstate", None)
                self._hours.clear()  # another process may have dropped one
                if state:  # the server answered, so the connection is alive
                    with suppress(adbc.Error):
                        self._store_connection().rollback()
                else:
                    _hang_up(self._storing)
                    self._storing = None
                if state == "23505":
                    raise AlreadyThere from error
                reason = _reason(error)
                msg = f"PostgreSQL stored nothing of it, {reason}: {_short(error)}; mend it, then try again"
                raise NotStored(msg, reason) from error

    # --- storing

    def refresh(self) -> None:
        """Take up the tags that other processes have added."""
        sql = f"SELECT tag FROM tags WHERE number >= {len(self.register)} ORDER BY number"
        self.register.numbers(self._ask(sql).column("tag").to_pylist())

    def add_tags(self, names: Sequence[str]) -> None:
        """Give new tags their numbers, for ever."""
        with self._transaction() as connection:
            _run(connection, "LOCK TABLE tags IN EXCLUSIVE MODE")
            known = _ask(connection, "SELECT tag FROM tags ORDER BY number").column("tag").to_pylist()
            new = [name for name in dict.fromkeys(names) if name not in set(known)]
            numbers = pa.array(range(len(known), len(known) + len(new)), pa.int32())
            if new:
                self._ingest(connection, "tags", pa.table({"number": numbers, "tag": new}))
        self.register.numbers([*known, *new])

    def store(self, batches: Sequence[ToStore], clock: Callable[[], int]) -> None:
        """Store batches and their lines of the ledger in one transaction, safe on disk when this returns."""
        count = sum(b.entry.rows for b in batches)
        with self._transaction() as connection:
            sql = f"UPDATE state SET number = greatest(number, {clock() << PLACES}) + {count} WHERE name = 'next row'"
            first = _ask(connection, f"{sql} RETURNING number").column("number")[0].as_py() - count
            self._ingest(connection, "ledger", lines_of(batches, first))
            new_hours = self._put(connection, rows_of(batches, first)) if count else set()
        self._hours |= new_hours

    def _put(self, connection: adbc.Connection, rows: Rows) -> set[int]:
        """Copy rows into their partitions; returns the hours that got one in this transaction."""
        low, high = hour_of(int(rows.time.min())), hour_of(int(rows.time.max()))
        table, new = "readings", set()
        if low == high and low in self._hours:
            table = _partition(low)  # straight into the partition: no row is routed
        else:
            new = self._make_partitions(connection, rows.time, int(rows.stored[0]))
        columns = {
            **rows.columns(),
            "time": pa.array(rows.time).cast(STAMP),
            # PostgreSQL has no unsigned numbers: the same 16 bits, read back the same way
            "quality": rows.quality.view(np.int16),
            "received": pa.array(rows.received).cast(STAMP),
        }
        self._ingest(connection, table, pa.table(columns))
        return new

    def _make_partitions(self, connection: adbc.Connection, time: NDArray[np.int64], stored: int) -> set[int]:
        """Give hours their partitions: those around now, and past ones with many rows."""
        hours, counts = np.unique(time // HOUR * HOUR, return_counts=True)
        near = np.abs(hours - hour_of(stored)) <= HOUR
        # a past hour needs many rows in one transaction
        wanted = set(hours[near | (counts >= FEW)].tolist()) - self._hours
        if not wanted:
            return set()
        had = _ask(connection, "SELECT start FROM hours").column("start").to_pylist()
        for start in sorted(wanted - set(had)):
            name = _partition(start)
            end = _stamp(start + HOUR)
            rest = f"DELETE FROM readings_rest WHERE time >= {_stamp(start)} AND time < {end} RETURNING *"
            for sql in (
                f"CREATE TABLE {name} (LIKE readings INCLUDING DEFAULTS)",
                f"WITH moved AS ({rest}) INSERT INTO {name} SELECT * FROM moved",
                f"CREATE INDEX {name}_time ON {name} USING brin (time)",
                f"ALTER TABLE readings ATTACH PARTITION {name} FOR VALUES FROM ({_stamp(start)}) TO ({end})",
                f"INSERT INTO hours VALUES ({start}, false)",
            ):
                _run(connection, sql)
        return wanted

    def _ingest(self, connection: adbc.Connection, table: str, rows: pa.Table) -> None:
        with connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", db_schema_name=self.schema)

    def entries(self, batches: Sequence[str]) -> dict[str, Entry]:
        """Return the lines of the ledger of those batch ids that are in it."""
        names = ", ".join(_quoted(b) for b in batches)
        with self._transaction() as connection:  # a part of storing, with its errors
            found = _ask(connection, f"SELECT {', '.join(LEDGER.names)} FROM ledger WHERE batch IN ({names})")
        return {line["batch"]: entry_of(line) for line in found.to_pylist()}

    def ledger(self) -> pa.Table:
        """Return the whole ledger as a table of `LEDGER`, in the order of storing."""
        return pa.table(
            self._ask(f"SELECT {', '.join(LEDGER.names)} FROM ledger ORDER BY first, batch").columns, LEDGER
        )

    # --- reading

    def rows(self, asked: Asked) -> Rows:
        """Return the rows that are asked for."""
        where = ["true"]
        if asked.start > -EVER:
            where.append(f"time >= {_stamp(asked.start)}")
        if asked.end < EVER:
            where.append(f"time < {_stamp(asked.end)}")
        if asked.before_row < EVER:
            where.append(f'"row" < {asked.before_row}')
        if asked.received_by < EVER:
            where.append(f"received <= {_stamp(asked.received_by)}")
        if asked.tags is not None:
            where.append(f"tag = ANY ('{{{','.join(map(str, asked.tags.tolist()))}}}'::int4[])")
        columns = 'tag, time, value, quality, received, "row"'
        found = self._ask(f"SELECT {columns} FROM readings WHERE {' AND '.join(where)}")
        rows = Rows(
            found.column("tag").to_numpy(),
            found.column("time").cast(pa.int64()).to_numpy(),
            found.column("value").to_numpy(),
            found.column("quality").to_numpy().view(np.uint16),
            found.column("received").cast(pa.int64()).to_numpy(),
            found.column("row").to_numpy(),
        )
        if len(rows) and int(rows.tag.max()) >= len(self.register):
            self.refresh()
        return rows

    def hours(self) -> dict[int, int]:
        """Return the hours that hold rows; those with a partition count as full."""
        own = self._ask("SELECT start FROM hours").column("start").to_pylist()
        epoch = f"floor(extract(epoch FROM time) / {HOUR // 1_000_000})::int8"
        rest = self._ask(f"SELECT {epoch} AS hour, count(*) AS n FROM readings_rest GROUP BY hour")
        found = dict(zip(rest.column("hour").to_pylist(), rest.column("n").to_pylist(), strict=True))
        return {**found, **dict.fromkeys((start // HOUR for start in own), FEW)}

    def retained_since(self) -> int:
        """Return the time before which rows were dropped on purpose."""
        found = self._ask("SELECT number FROM state WHERE name = 'retained since'").column("number").to_pylist()
        return int(found[0]) if found else -EVER

    # --- keeping

    def publish(self) -> int:
        """Return 0: every transaction is seen as it commits."""
        return 0

    def seal(self, before: int) -> int:
        """Sort the hours that end at or before `before` by tag and time and give them a B-tree; returns their rows."""
        sql = f"SELECT start FROM hours WHERE NOT sealed AND start + {HOUR} <= {before} ORDER BY start"
        counted = 0
        for start in self._ask(sql).column("start").to_pylist():
            name = _partition(start)
            with self._transaction() as connection:
                _run(connection, f"CREATE INDEX {name}_tag ON {name} (tag, time)")
                _run(connection, f"CLUSTER {name} USING {name}_tag")
                _run(connection, f"DROP INDEX {name}_time")
                _run(connection, f"ANALYZE {name}")
                _run(connection, f"UPDATE hours SET sealed = true WHERE start = {start}")
                counted += _ask(connection, f"SELECT count(*) AS n FROM {name}").column("n")[0].as_py()
        self.counts.add("sealed readings", counted)
        return counted

    def relieve(self, most: int) -> int:  # noqa: ARG002 - what an engine is asked
        """Return 0: what waits to be sealed waits on the disk of the server."""
        return 0

    def compact(self) -> int:
        """Return 0: late rows are in the partition of their hour."""
        return 0

    def retain(self, since: int) -> int:
        """Drop the partitions of hours that end at or before `since`, and older rows of the rest."""
        counted = 0
        with self._transaction() as connection:
            sql = f"SELECT start FROM hours WHERE start + {HOUR} <= {since}"
            for start in _ask(connection, sql).column("start").to_pylist():
                name = _partition(start)
                counted += _ask(connection, f"SELECT count(*) AS n FROM {name}").column("n")[0].as_py()
                _run(connection, f"DROP TABLE {name}")
                _run(connection, f"DELETE FROM hours WHERE start = {start}")
                self._hours.discard(start)
            sql = f"DELETE FROM readings_rest WHERE time < {_stamp(since)} RETURNING 1 AS n"
            counted += len(_ask(connection, sql))
            upsert = "ON CONFLICT (name) DO UPDATE SET number = greatest(state.number, excluded.number)"
            _run(connection, f"INSERT INTO state VALUES ('retained since', {since}) {upsert}")
        self.counts.add("readings dropped by retention", counted)
        return counted

    def verify(self) -> list[str]:
        """Return nothing: the server checks its pages as it reads them."""
        return []

    def load(self, rows: Rows, ledger: pa.Table) -> None:
        """Put back rows and lines of the ledger: a part of a restore."""
        self.add_tags(list(self.register))
        last = [int(rows.row.max()) + 1] if len(rows) else []
        with self._transaction() as connection:
            if ledger.num_rows:
                self._ingest(connection, "ledger", ledger)
                ends = np.asarray(ledger.column("first")) + np.asarray(ledger.column("rows"))
                last.append(int(ends.max()))
            new = self._put(connection, rows) if len(rows) else set()
            sql = f"UPDATE state SET number = greatest(number, {max(last, default=0)}) WHERE name = 'next row'"
            _run(connection, sql)
        self._hours |= new


def _run(connection: adbc.Connection, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def _ask(connection: adbc.Connection, sql: str) -> pa.Table:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


def _hang_up(connection: adbc.Connection | None) -> None:
    if connection is not None:
        with suppress(adbc.Error):
            connection.close()


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _partition(start: int) -> str:
    return f"readings_{start // HOUR}" if start >= 0 else f"readings_before_{-start // HOUR}"


def _stamp(time: int) -> str:
    """Return a time [µs] as a literal; times that PostgreSQL does not have are its ends."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    except OverflowError:
        return "'infinity'::timestamptz" if time > 0 else "'-infinity'::timestamptz"
    return f"'{moment.isoformat()}'::timestamptz"


def _short(error: adbc.Error) -> str:
    return str(error).strip().splitlines()[0]


def _reason(error: adbc.Error) -> str:
    """Return the name under which an error is counted."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "53100":
        return "disk full"
    if not state or state.startswith(("08", "57P")):
        return "server lost"
    return "database refused"


_: type[Engine] = Postgres  # the type checker compares it with what an engine is
