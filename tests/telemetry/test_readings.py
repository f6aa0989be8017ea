# SPDX-License-Identifier: Apache-2.0
"""Batches of readings survive the way between processes, and a register keeps its numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serai.telemetry.readings import SCHEMA, Counts, Quality, Readings, Register, joined, microseconds, now

ROWS = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=12),
        st.floats(0, 4e9),
        st.floats(allow_nan=True),
        st.integers(0, 0xFFFF),
        st.floats(0, 4e9),
    ),
    max_size=30,
)


@given(ROWS)
def test_arrow_round_trip_into_another_register(rows):
    sent = Readings.of(Register(), rows)
    batch = sent.to_arrow()
    assert batch.schema == SCHEMA
    register = Register(["another tag, first"])
    came = Readings.from_arrow(batch, register)
    assert register.names(came.tag) == [row[0] for row in rows]
    for column in ("time", "value", "quality", "received"):
        np.testing.assert_array_equal(getattr(came, column), getattr(sent, column))


def test_a_register_numbers_a_tag_once():
    register = Register(["a", "b", "a"])
    assert list(register) == ["a", "b"]
    assert register.numbers(["b", "c", "a"]).tolist() == [1, 2, 0]
    assert "c" in register
    assert register[2] == "c"
    assert len(register) == 3


def test_rows_are_taken_joined_and_marked():
    register = Register()
    rows = [("p", 1.0, 5e6, 0, 1.5), ("q", 2.0, 7.0, int(Quality.SUBSTITUTED), 2.5)]
    both = Readings.of(register, rows)
    again = joined([both.take(both.tag == 0), both.take(np.array([1]))])
    assert again.value.tolist() == both.value.tolist()
    marked = both.with_quality(both.quality | np.uint16(Quality.STALE))
    assert [Quality(q) for q in marked.quality.tolist()] == [Quality.STALE, Quality.STALE | Quality.SUBSTITUTED]


def test_times_are_whole_microseconds_and_counts_are_by_name():
    assert microseconds([1.7e9 + 0.25]).tolist() == [1_700_000_000_250_000]
    assert abs(now() - microseconds([0])[0]) > 1_700_000_000_000_000
    counts = Counts("a link")
    counts.add("lost")
    counts.add("lost", 2)
    assert counts["lost"] == 3
    assert counts["never"] == 0
