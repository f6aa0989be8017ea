# SPDX-License-Identifier: Apache-2.0
"""A batch survives the wire; what is no batch is refused by name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serai.errors import SeraiError
from serai.telemetry.bus import Batch, Numbered, from_bytes, to_bytes
from serai.telemetry.readings import Readings, Register

INT64 = st.integers(-(1 << 62), 1 << 62)
ROWS = st.lists(st.tuples(st.text(max_size=8), INT64, st.floats(), st.integers(0, 0xFFFF), INT64), max_size=20)


def readings(rows, register=None):
    register = register or Register(["never sent"])
    tag, time, value, quality, received = zip(*rows, strict=True) if rows else ((),) * 5
    return Readings(
        register,
        register.numbers(tag),
        np.array(time, np.int64),
        np.array(value, np.float64),
        np.array(quality, np.uint16),
        np.array(received, np.int64),
    )


@given(st.text(min_size=1, max_size=20), st.text(max_size=20), ROWS)
def test_a_batch_comes_back_bit_for_bit(name, source, rows):
    sent = readings(rows)
    came = from_bytes(to_bytes(Batch(name, source, sent)), Register(["another", "b"]))
    assert (came.id, came.source) == (name, source)
    r = came.readings
    assert r.register.names(r.tag) == [row[0] for row in rows]
    for column in ("time", "quality", "received"):
        np.testing.assert_array_equal(getattr(r, column), getattr(sent, column))
    assert r.value.tobytes() == sent.value.tobytes()


WHOLE = to_bytes(Batch("b", "s", readings([("a", 1, 2.0, 3, 4)] * 40)))


@given(st.integers(0, len(WHOLE) - 1))
def test_a_truncated_batch_is_refused(length):
    try:
        came = from_bytes(WHOLE[:length], Register())
    except SeraiError as error:
        assert "are no batch of readings" in str(error)  # noqa: PT017 - some lengths lose only padding at the end
    else:
        assert len(came.readings) == 40


@given(st.binary(max_size=300))
def test_noise_is_refused(content):
    with pytest.raises(SeraiError, match="are no batch of readings"):
        from_bytes(content, Register())


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_a_batch_or_refused_but_no_crash(place, change):
    content = bytearray(WHOLE)
    content[place] ^= change
    try:
        from_bytes(bytes(content), Register())
    except SeraiError as error:
        assert "are no batch of readings" in str(error)  # noqa: PT017 - a changed value is still a batch


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (pa.table({"tag": ["a"]}), "its columns are"),
        (from_bytes(WHOLE, Register()).readings.to_arrow().slice(0, 1), "its columns are"),
    ],
)
def test_other_tables_are_refused(table, why):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write(table)
    with pytest.raises(SeraiError, match=why):
        from_bytes(sink.getvalue().to_pybytes(), Register())


def test_halves_and_numbers():
    whole = Batch("b", "s", readings([("a", k, float(k), 0, k) for k in range(5)]))
    first, second = whole.halves()
    assert (first.id, second.id) == ("b.0", "b.1")
    assert [*first.readings.value.tolist(), *second.readings.value.tolist()] == [0.0, 1.0, 2.0, 3.0, 4.0]
    one, other = Numbered("s"), Numbered("s")
    ids = [n.batch(whole.readings).id for n in (one, other) for _ in range(3)]
    assert len(set(ids)) == 6
    assert ids[0].startswith("s/")
    with pytest.raises(SeraiError, match="its id is empty"):
        Batch("", "s", whole.readings)
