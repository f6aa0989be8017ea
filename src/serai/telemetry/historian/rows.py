# SPDX-License-Identifier: Apache-2.0
"""Stored readings in columns, each with the number under which it was stored.

The row number says three things at once: which row it is, in which order rows were stored, and when. It is
`stored << 11 | place`, stored in µs since 1970 UTC: a transaction takes the numbers from its own microsecond on, 2,048
to a microsecond, and never one that is not above all before. So "what was stored at T" is `row < first_row_after(T)`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from serai.errors import BadTimes
from serai.telemetry.readings import SCHEMA, Readings, Register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PLACES = 11  # bits of a row number below its microsecond
EVER = 1 << 62  # beyond every time and row number
HOUR = 3_600_000_000  # [µs]

# what a sealed segment holds: a reading, its tag in words, and its row number
SEALED = pa.schema(
    [
        SCHEMA.field("tag").with_type(pa.dictionary(pa.int32(), pa.string())),
        *list(SCHEMA)[1:],
        pa.field("row", pa.int64(), nullable=False),
    ]
)

When = int | str | datetime


def instant(when: When) -> int:
    """Return a time in µs since 1970 UTC: such a number, a datetime with its zone, or ISO 8601 text with its zone."""
    if isinstance(when, int):
        return when
    try:
        moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    except ValueError as error:
        msg = f"{when!r} is no time: write it as 2026-11-22T14:05:00Z"
        raise BadTimes(msg) from error
    if moment.tzinfo is None:
        msg = f"{when} has no time zone: add Z or an offset, history is kept in UTC"
        raise BadTimes(msg)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def first_row_after(stored: int) -> int:
    """Return the row number below which all was stored at `stored` [µs since 1970 UTC] or before."""
    return min((stored + 1) << PLACES, EVER) if stored < EVER >> PLACES else EVER


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows are wanted: start <= time < end [µs], from_row <= row number < before_row, received <= received_by.

    tags   numbers of the historian's register, (n,); None = all
    """

    tags: NDArray[np.int32] | None = None
    start: int = -EVER
    end: int = EVER
    before_row: int = EVER
    received_by: int = EVER
    from_row: int = 0

    def mask(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows are wanted, (n,)."""
        keep: NDArray[np.bool_] = (rows.time >= self.start) & (rows.time < self.end)
        if self.before_row < EVER:
            keep &= rows.row < self.before_row
        if self.from_row > 0:
            keep &= rows.row >= self.from_row
        if self.received_by < EVER:
            keep &= rows.received <= self.received_by
        if self.tags is not None and keep.any():
            keep &= np.isin(rows.tag, self.tags)
        return keep


@dataclass(frozen=True, slots=True)
class Rows:
    """Stored readings, each column (n,); `tag` counts in the historian's register, the rest as in `Readings`."""

    tag: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]
    received: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tag)

    @classmethod
    def none(cls) -> Self:
        """Return no rows."""
        return cls(
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty(0),
            np.empty(0, np.uint16),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def stored(self) -> NDArray[np.int64]:
        """When each was stored, (n,) [µs since 1970 UTC]."""
        return self.row >> PLACES

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the rows that a mask (n,) or an index array names."""
        return type(self)(*(getattr(self, f.name)[which] for f in fields(self)))

    def readings(self, register: Register) -> Readings:
        """Return them without their row numbers."""
        return Readings(register, self.tag, self.time, self.value, self.quality, self.received)

    def to_arrow(self, register: Register) -> pa.Table:
        """Return them as an Arrow table of `SEALED`."""
        used, index = np.unique(self.tag, return_inverse=True)
        stamp = pa.timestamp("us", "UTC")
        names = pa.array(register.names(used.astype(np.int32)), pa.string())
        columns = [
            pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), names),
            pa.array(self.time).cast(stamp),
            pa.array(self.value),
            pa.array(self.quality),
            pa.array(self.received).cast(stamp),
            pa.array(self.row),
        ]
        return pa.Table.from_arrays(columns, schema=SEALED)

    @classmethod
    def from_arrow(cls, table: pa.Table, register: Register) -> Self:
        """Return the rows of an Arrow table of `SEALED`; tags new to `register` are added."""
        r = Readings.from_arrow(table, register)
        return cls(r.tag, r.time, r.value, r.quality, r.received, table.column("row").to_numpy())


def together(parts: Sequence[Rows]) -> Rows:
    """Return parts one after the other."""
    if not parts:
        return Rows.none()
    return (
        parts[0]
        if len(parts) == 1
        else Rows(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Rows)))
    )


def ordered(rows: Rows) -> Rows:
    """Return rows by tag, then time, then row number, each row number once."""
    order = _order(rows)
    rows = rows if order is None else rows.take(order)
    same = (rows.row[1:] == rows.row[:-1]) & (rows.tag[1:] == rows.tag[:-1]) & (rows.time[1:] == rows.time[:-1])
    return rows.take(np.r_[True, ~same]) if same.any() else rows


def newest_versions(rows: Rows) -> Rows:
    """Return one row for each tag and time, the one stored last, by tag and then time."""
    order = _order(rows)
    rows = rows if order is None else rows.take(order)
    older = (rows.tag[1:] == rows.tag[:-1]) & (rows.time[1:] == rows.time[:-1])
    return rows.take(np.r_[~older, True]) if older.any() else rows


def last_of_each_tag(rows: Rows) -> Rows:
    """Return the row with the latest time of each tag (of one time the one stored last), by tag."""
    rows = newest_versions(rows)
    return rows.take(np.r_[rows.tag[1:] != rows.tag[:-1], True]) if len(rows) else rows


def _order(rows: Rows) -> NDArray[np.intp] | None:
    """Return the order by tag, time, row number; None where the rows have it."""
    if len(rows) < 2:
        return None
    tag, time, row = np.diff(rows.tag), np.diff(rows.time), np.diff(rows.row)
    if ((tag > 0) | ((tag == 0) & ((time > 0) | ((time == 0) & (row >= 0))))).all():
        return None
    low, high = int(rows.time.min()), int(rows.time.max())
    bits = (high - low).bit_length()
    if bits + int(rows.tag.max()).bit_length() > 62:
        return np.lexsort((rows.row, rows.time, rows.tag))
    # one key for tag and time; the sort is stable, so rows of one key stay as they came: by row number where they did
    key = (rows.tag.astype(np.int64) << bits) | (rows.time - low)
    order = np.argsort(key, kind="stable")
    keys = key[order]
    wrong = (keys[1:] == keys[:-1]) & (np.diff(rows.row[order]) < 0)
    return np.lexsort((rows.row, key)) if wrong.any() else order
