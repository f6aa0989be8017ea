# SPDX-License-Identifier: Apache-2.0
"""What an engine of the historian does; everything else is the same for all of them (`serai.telemetry.historian`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from serai.telemetry.historian.rows import HOUR, PLACES, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from serai.telemetry.historian.rows import Asked
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


FEW, MANY = 10_000, 2_000_000  # rows: neighbouring hours with fewer share a segment, an hour with more gets several


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
    has_ledger: bool  # a reader beside the writer has none

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
        """Return the lines of the ledger of those batch ids that are in it. Raises NotStored, as `store` does."""
        ...

    def ledger(self) -> pa.Table:
        """Return the whole ledger as a table of `LEDGER`, in the order of storing."""
        ...

    def rows(self, asked: Asked) -> Rows:
        """Return the rows that are asked for, all versions, in any order; a row may come twice with the same number."""
        ...

    def hours(self) -> dict[int, int]:
        """Return the hours (time // HOUR) that hold rows, with about how many rows they hold."""
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

    def relieve(self, most: int) -> int:
        """Seal early where more than `most` rows wait to be sealed and burden memory; returns how many were sealed."""
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


def shares(hours: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Yield ranges of time [µs] that hold all rows of hours: an hour, neighbours with few, slices of one with many."""
    order = sorted(hours)
    first, rows = None, 0
    for k, hour in enumerate(order):
        first, rows = (hour if first is None else first), rows + hours[hour]
        if rows >= FEW or k == len(order) - 1 or hours[order[k + 1]] >= FEW:
            slices = max(1, -(-rows // MANY)) if hour == first else 1
            edges = [first * HOUR + HOUR * i // slices for i in range(slices)] + [(hour + 1) * HOUR]
            yield from pairwise(edges)
            first, rows = None, 0


def hours_of(time: NDArray[np.int64]) -> dict[int, int]:
    """Return the hours of times [µs] (n,) and how many times are in each."""
    hours, counts = np.unique(time // HOUR, return_counts=True)
    return dict(zip(hours.tolist(), counts.tolist(), strict=True))


def entry_of(line: dict[str, object]) -> Entry:
    """Return the entry of one line of a table of `LEDGER`."""
    return Entry(**line)  # type: ignore[arg-type] # the schema of the table says the types


def lines_of(batches: Sequence[ToStore], first: int) -> pa.Table:
    """Return the lines of the ledger of batches whose rows are numbered from `first` on, as a table of `LEDGER`."""
    lines, taken = [], first
    for e in (b.entry for b in batches):
        line = {"batch": e.batch, "source": e.source, "rows": e.rows, "hash": e.hash, "earliest": e.earliest}
        lines.append({**line, "first": taken})
        taken += e.rows
    return pa.Table.from_pylist(lines, schema=LEDGER)


def rows_of(batches: Sequence[ToStore], first: int) -> Rows:
    """Return the readings of batches as rows numbered from `first` on."""
    parts = [b.readings for b in batches]

    def column(name: str) -> NDArray[Any]:
        return getattr(parts[0], name) if len(parts) == 1 else np.concatenate([getattr(r, name) for r in parts])

    tag = column("tag")
    return Rows(
        tag,
        column("time"),
        column("value"),
        column("quality"),
        column("received"),
        np.arange(first, first + len(tag), dtype=np.int64),
    )
