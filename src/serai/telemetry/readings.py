# SPDX-License-Identifier: Apache-2.0
"""Readings: what every source yields and everything after it (quality, bus, historian) takes, in columns.

A reading is (tag, time, value, quality, received). They travel in batches, never one by one: `Readings` holds columns
of numbers, `Register` says which tag a number is. Between processes a batch is an Arrow record batch that names its
tags in words, so that two processes need not agree on numbers.
"""

from __future__ import annotations

import time as clock
from collections import Counter
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

MICROSECONDS = 1_000_000  # in a second; times are whole microseconds since 1970-01-01 UTC


class Quality(IntFlag):
    """What is said against a reading; 0 = nothing. Low byte: the bits of IEC 60870-5-101 7.2.6.3; high: found here."""

    GOOD = 0
    OVERFLOW = 0x01
    ELAPSED_TIME_INVALID = 0x08
    BLOCKED = 0x10
    SUBSTITUTED = 0x20
    NOT_TOPICAL = 0x40
    INVALID = 0x80
    STALE = 0x0100
    OUT_OF_RANGE = 0x0200
    FROZEN = 0x0400
    DUPLICATED = 0x0800
    OUT_OF_ORDER = 0x1000
    CLOCK_SKEW = 0x2000
    FLATLINE = 0x4000
    SPIKE = 0x8000


class Register:
    """Which tag a number is, and back: numbers count from 0 in the order in which tags were first named."""

    def __init__(self, tags: Iterable[str] = ()) -> None:
        self._tags: list[str] = []
        self._numbers: dict[str, int] = {}
        for tag in tags:
            self.number(tag)

    def __len__(self) -> int:
        return len(self._tags)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __contains__(self, tag: object) -> bool:
        return tag in self._numbers

    def __getitem__(self, number: int) -> str:
        """Return the tag of a number; IndexError when there is none."""
        return self._tags[number]

    def number(self, tag: str) -> int:
        """Return the number of a tag, a new one where it is new."""
        found = self._numbers.get(tag)
        if found is None:
            found = self._numbers[tag] = len(self._tags)
            self._tags.append(tag)
        return found

    def numbers(self, tags: Iterable[str]) -> NDArray[np.int32]:
        """Return the numbers of tags, (n,)."""
        return np.fromiter((self.number(t) for t in tags), dtype=np.int32)

    def names(self, numbers: NDArray[np.int32]) -> list[str]:
        """Return the tags of numbers (n,)."""
        return [self._tags[i] for i in numbers.tolist()]


SCHEMA = pa.schema(
    [
        pa.field("tag", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.uint16(), nullable=False),
        pa.field("received", pa.timestamp("us", "UTC"), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Readings:
    """A batch of readings in columns, each (n,).

    register   which tag the numbers in `tag` are
    tag        int32
    time       int64, when the source took it [µs since 1970 UTC]
    value      float64, SI; nan = the source sent no usable number (its quality says why)
    quality    uint16, `Quality`
    received   int64, when it arrived here [µs since 1970 UTC]
    """

    register: Register
    tag: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]
    received: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.tag)

    @classmethod
    def of(cls, register: Register, rows: Sequence[tuple[str, float, float, int, float]]) -> Self:
        """Return a batch from rows (tag, time [s since 1970 UTC], value [SI], quality, received [s])."""
        tags, times, values, quality, received = zip(*rows, strict=True) if rows else ((),) * 5
        return cls(
            register,
            register.numbers(tags),
            microseconds(times),
            np.asarray(values, dtype=np.float64),
            np.asarray(quality, dtype=np.uint16),
            microseconds(received),
        )

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the rows that a mask (n,) or an index array names."""
        return type(self)(
            self.register,
            self.tag[which],
            self.time[which],
            self.value[which],
            self.quality[which],
            self.received[which],
        )

    def with_quality(self, quality: NDArray[np.uint16]) -> Self:
        """Return the same readings with other quality, (n,)."""
        return type(self)(self.register, self.tag, self.time, self.value, quality, self.received)

    def to_arrow(self) -> pa.RecordBatch:
        """Return them as an Arrow record batch of `SCHEMA`, tags in words."""
        stamp = pa.timestamp("us", "UTC")
        columns = [
            pa.array(self.register.names(self.tag), pa.string()),
            pa.array(self.time, pa.int64()).cast(stamp),
            pa.array(self.value, pa.float64()),
            pa.array(self.quality, pa.uint16()),
            pa.array(self.received, pa.int64()).cast(stamp),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch | pa.Table, register: Register) -> Self:
        """Return the readings of an Arrow record batch or table of `SCHEMA`; tags new to `register` are added."""
        column = batch.column("tag")
        tags = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).dictionary_encode()
        known = register.numbers(tags.dictionary.to_pylist())
        return cls(
            register,
            known[tags.indices.to_numpy()] if len(tags) else np.empty(0, np.int32),
            batch.column("time").cast(pa.int64()).to_numpy(),
            batch.column("value").to_numpy(),
            batch.column("quality").to_numpy(),
            batch.column("received").cast(pa.int64()).to_numpy(),
        )


def joined(batches: Sequence[Readings]) -> Readings:
    """Return batches of one register as one, in their order; at least one."""
    columns = ("tag", "time", "value", "quality", "received")
    return Readings(batches[0].register, *(np.concatenate([getattr(b, c) for b in batches]) for c in columns))


def microseconds(seconds: Iterable[float]) -> NDArray[np.int64]:
    """Return times [s since 1970 UTC] as whole microseconds, (n,)."""
    return np.rint(np.fromiter(seconds, dtype=np.float64) * MICROSECONDS).astype(np.int64)


def now() -> int:
    """Return the present time [µs since 1970 UTC]."""
    return clock.time_ns() // 1000


@dataclass(slots=True)
class Counts:
    """What happened on a link or in a stage, by name: nothing is dropped without being counted here."""

    of: str
    counted: Counter[str] = field(default_factory=Counter)

    def __getitem__(self, name: str) -> int:
        return self.counted[name]

    def add(self, name: str, n: int = 1) -> None:
        """Count `n` more of what `name` says."""
        self.counted[name] += n


class Source(Protocol):
    """Anything that yields readings: a station over IEC 104, OPC UA, Modbus or MQTT, a file, the simulated field."""

    name: str
    register: Register
    counts: Counts

    def readings(self) -> AsyncIterator[Readings]:
        """Yield batches as they come, connecting again by itself after a loss, until `close`.

        A consumer that is slow slows the source down (back-pressure); nothing is overwritten.
        """
        ...

    async def close(self) -> None:
        """End `readings` and the connection."""
        ...
