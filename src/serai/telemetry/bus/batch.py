# SPDX-License-Identifier: Apache-2.0
"""A batch: readings under an id. The id makes storing them twice impossible, however often they are sent.

On the wire a batch is one Arrow IPC stream of one record batch, with its id and source in the metadata of the schema;
tags are a dictionary, so a name travels once a message. Any Arrow library reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import pyarrow as pa

from serai.errors import SeraiError
from serai.telemetry.readings import SCHEMA, Readings, Register

WIRE = pa.schema([SCHEMA.field(0).with_type(pa.dictionary(pa.int32(), pa.string())), *list(SCHEMA)[1:]])


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings that are stored together or not at all.

    id        names this content for ever: sent again it is the same readings, and storing it again changes nothing
    source    who sent it: a station, a file, a field
    """

    id: str
    source: str
    readings: Readings

    def __post_init__(self) -> None:
        """Refuse what no ledger can keep."""
        if not self.id:
            msg = f"a batch of {self.source or 'an unnamed source'}: its id is empty; give each batch a name of its own"
            raise SeraiError(msg)

    def halves(self) -> tuple[Batch, Batch]:
        """Return it as two batches whose ids follow from its own, for ways with a largest message."""
        half = len(self.readings) // 2
        first, second = np.arange(half), np.arange(half, len(self.readings))
        return (
            Batch(f"{self.id}.0", self.source, self.readings.take(first)),
            Batch(f"{self.id}.1", self.source, self.readings.take(second)),
        )


def to_bytes(batch: Batch) -> bytes:
    """Return a batch as an Arrow IPC stream."""
    r = batch.readings
    used, index = np.unique(r.tag, return_inverse=True)
    stamp = pa.timestamp("us", "UTC")
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(r.register.names(used), pa.string())),
        pa.array(r.time, pa.int64()).cast(stamp),
        pa.array(r.value, pa.float64()),
        pa.array(r.quality, pa.uint16()),
        pa.array(r.received, pa.int64()).cast(stamp),
    ]
    schema = WIRE.with_metadata({"batch": batch.id, "source": batch.source})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return bytes(sink.getvalue())


def from_bytes(content: bytes, register: Register) -> Batch:
    """Return the batch of an Arrow IPC stream; tags new to `register` are added.

    Raises SeraiError when the bytes are no batch: truncated, of another schema, with missing values.
    """
    try:
        with pa.ipc.open_stream(content) as stream:
            schema, table = stream.schema, stream.read_all()
            if not schema.equals(WIRE):
                raise pa.ArrowInvalid(f"its columns are {', '.join(map(str, schema))}")
            table.validate(full=True)
            told = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
            if any(column.null_count for column in table.columns):
                raise pa.ArrowInvalid("it has missing values")
            if not told.get("batch"):
                raise pa.ArrowInvalid("it has no batch id")
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        msg = f"{len(content)} bytes are no batch of readings: {error}"
        raise SeraiError(msg) from error
    return Batch(told["batch"], told.get("source", ""), Readings.from_arrow(table, register))


class Numbered:
    """Gives the batches of one source their ids: the source, this start of it, and a counter."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._start = uuid4().hex[:12]
        self._count = 0

    def batch(self, readings: Readings) -> Batch:
        """Return readings as the next batch."""
        self._count += 1
        return Batch(f"{self.source}/{self._start}/{self._count}", self.source, readings)
