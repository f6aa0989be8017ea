# SPDX-License-Identifier: Apache-2.0
"""What an engine of the historian does; everything else is the same for all of them (`serai.telemetry.historian`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from serai.telemetry.historian.rows import HOUR, PLACES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from serai.telemetry.historian.rows import Asked, Rows
    from serai.telemetry.readings import Counts, Readings, Register


LEDGER = pa.schema(
    [
        pa.field("batch", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),
        pa.field("hash", pa.binary(), nullable=False),
        pa.field("earliest", pa.int64(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),
    ]
)


class AlreadyThere(Exception):  # noqa: N818 - reads as what happened; never leaves the historian
    """A batch id of the transaction is in the ledger; nothing was stored."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the batch ledger: which batch was stored, from whom, how many rows with which content.

    hash       SHA-256 of its columns
    earliest   time of its earliest reading [µs since 1970 UTC]
    first      its first row number; the others follow
    """

    batch: str
    source: str
    rows: int
    hash: bytes
    earliest: int
    first: int = 0

    @property
    def stored(self) -> int:
        """When it was stored [µs since 1970 UTC]."""
        return self.first >> PLACES


@dataclass(frozen=True, slots=True)
class ToStore:
    """A batch on its way: its line of the ledger to be, and its readings numbered by the historian's register."""

    entry: Entry
    readings: Readings


class Engine(Protocol):
    """Where rows are kept. One process writes (PostgreSQL: any number); reads may come from other threads."""

    name: str
    register: Register  # tags by the numbers that the rows carry
    counts: Counts

    def refresh(self) -> None:
        """Take up the tags that other processes have added."""
        ...

    def add_tags(self, names: Sequence[str]) -> None:
        """Give new tags their numbers, for ever."""
        ...

    def store(self, batches: Sequence[ToStore], clock: Callable[[], int]) -> None:
        """Store batches and their lines of the ledger in one transaction, safe on disk when this returns.

        Raises AlreadyThere, or NotStored when disk or server fail; then nothing is stored.
        """
        ...

    def entries(self, batches: Sequence[str]) -> dict[str, Entry]:
        """Return the lines of the ledger of those batch ids that are in it."""
        ...

    def ledger(self) -> pa.Table:
        """Return the whole ledger as a table of `LEDGER`, in the order of storing."""
        ...

    def rows(self, asked: Asked) -> Rows:
        """Return the rows that are asked for, all versions, in any order; a row may come twice with the same number."""
        ...

    def spans(self) -> list[tuple[int, int]]:
        """Return ranges of time [µs], start <= time < end, that together hold every row, not more than needed."""
        ...

    def retained_since(self) -> int:
        """Return the time [µs] before which rows were dropped on purpose; -EVER = never."""
        ...

    def load(self, rows: Rows, ledger: pa.Table) -> None:
        """Put back rows with the numbers that they had, and lines of the ledger: a part of a restore."""
        ...

    def publish(self) -> int:
        """Show what is stored to the processes that read files; returns how many rows are new to them."""
        ...

    def seal(self, before: int) -> int:
        """Seal all hours that end at or before `before` [µs]; returns how many rows were sealed."""
        ...

    def compact(self) -> int:
        """Merge what late data has scattered over several segments; returns how many were merged."""
        ...

    def retain(self, since: int) -> int:
        """Drop rows older than `since` [µs], by whole hours that ended before it; returns how many."""
        ...

    def verify(self) -> list[str]:
        """Check what is sealed against its hashes and return what is wrong, one line each."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def hour_of(time: int) -> int:
    """Return the start of the hour [µs] of a time [µs]."""
    return time // HOUR * HOUR


def entry_of(line: dict[str, object]) -> Entry:
    """Return the entry of one line of a table of `LEDGER`."""
    return Entry(**line)  # type: ignore[arg-type] # the schema of the table says the types


def to_arrow(batches: Sequence[ToStore], first: int) -> tuple[pa.Table, pa.Table]:
    """Return the rows and the lines of the ledger of batches, numbered from `first` on, for an ADBC ingest.

    Times are int64 [µs]; an engine casts them where its columns are timestamps.
    """
    columns: dict[str, NDArray[np.generic]] = {}
    for name in ("tag", "time", "value", "quality", "received"):
        parts = [getattr(b.readings, name) for b in batches]
        columns[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    counts = [b.entry.rows for b in batches]
    columns["row"] = np.arange(first, first + sum(counts), dtype=np.int64)
    starts = (first + np.cumsum([0, *counts[:-1]])).astype(np.int64)
    lines = [
        {"batch": e.batch, "source": e.source, "rows": e.rows, "hash": e.hash, "earliest": e.earliest, "first": int(k)}
        for e, k in zip((b.entry for b in batches), starts, strict=True)
    ]
    return pa.table(columns), pa.Table.from_pylist(lines, schema=LEDGER)
