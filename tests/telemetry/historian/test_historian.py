# SPDX-License-Identifier: Apache-2.0
"""What a history promises, on both engines: each batch once, what was known when, nothing late lost."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from serai.errors import BadTimes, BatchConflict, NotStored, SeraiError, UnknownName
from serai.telemetry import historian
from serai.telemetry.bus import Batch
from serai.telemetry.historian import Outcome
from serai.telemetry.readings import Quality, Readings, Register

HOUR, MINUTE, SECOND = 3_600_000_000, 60_000_000, 1_000_000
NOON = 1_795_348_800_000_000  # 2026-11-22T12:00Z


def readings(rows, register=None):
    """Rows (tag, time [µs], value, quality) received half a second later."""
    register = register or Register()
    tag, time, value, quality = zip(*rows, strict=True)
    return Readings(
        register,
        register.numbers(tag),
        np.array(time, np.int64),
        np.array(value, np.float64),
        np.array(quality, np.uint16),
        np.array(time, np.int64) + 500_000,
    )


def rows_of(found):
    return list(
        zip(
            found.register.names(found.tag),
            found.time.tolist(),
            found.value.tolist(),
            found.quality.tolist(),
            strict=True,
        )
    )


def test_what_is_stored_is_read_by_tag_and_time(history):
    sent = [("b", NOON, 1.5, 0), ("a", NOON + SECOND, float("inf"), 0xFFFF), ("a", NOON, -2.0, int(Quality.INVALID))]
    assert history.append("1", readings(sent), "station") is Outcome.STORED
    found = history.read(["a", "b"])
    assert rows_of(found) == [sent[0], sent[2], sent[1]]
    assert found.received.tolist() == [NOON + 500_000, NOON + 500_000, NOON + SECOND + 500_000]
    assert rows_of(history.read("a", NOON, NOON + SECOND)) == [sent[2]]  # the end is not in the range
    assert rows_of(history.read(None, "2026-11-22T12:00:01Z", datetime(2026, 11, 22, 13, tzinfo=UTC))) == [sent[1]]
    history.append("nan", readings([("c", NOON, float("nan"), 0)]))
    assert np.isnan(history.read(["c"]).value).all()


def test_history_outlives_its_process(where, clock):
    register = Register(["other tag first"])
    with historian.open(**where, clock=clock) as first:
        first.append("1", readings([("a", NOON, 1.0, 0), ("b", NOON, 2.0, 0)]))
    with historian.open(**where, clock=clock) as second:
        assert second.append("1", readings([("a", NOON, 1.0, 0), ("b", NOON, 2.0, 0)], register)) is Outcome.REPEATED
        second.append("2", readings([("c", NOON, 3.0, 0), ("a", NOON + 1, 4.0, 0)], register))
        assert sorted(rows_of(second.read())) == [
            ("a", NOON, 1.0, 0), ("a", NOON + 1, 4.0, 0), ("b", NOON, 2.0, 0), ("c", NOON, 3.0, 0),
        ]  # fmt: skip
        assert second.verify() == []


@pytest.mark.parametrize("size", [3, 5000])  # as rows of a table, and as a block
def test_a_batch_is_stored_once(history, size):
    batch = readings([("a", NOON + k, float(k), 0) for k in range(size)])
    assert history.append("1", batch, "station") is Outcome.STORED
    assert history.append("1", batch, "station") is Outcome.REPEATED
    assert history.append_all([Batch("1", "s", batch), Batch("2", "s", batch), Batch("2", "s", batch)]) == [
        Outcome.REPEATED, Outcome.STORED, Outcome.REPEATED,
    ]  # fmt: skip
    assert len(history.versions()) == 2 * size
    assert history.counts["readings: repeated"] == 3 * size
    ledger = history.ledger().to_pylist()
    assert [(line["batch"], line["rows"]) for line in ledger] == [("1", size), ("2", size)]
    assert ledger[0]["hash"] == ledger[1]["hash"]
    assert history.verify() == []


@pytest.mark.parametrize(
    "other",
    [
        [("a", NOON, 1.0000001, 0), ("b", NOON, 2.0, 0)],
        [("a", NOON, 1.0, 1), ("b", NOON, 2.0, 0)],
        [("a", NOON + 1, 1.0, 0), ("b", NOON, 2.0, 0)],
        [("b", NOON, 1.0, 0), ("a", NOON, 2.0, 0)],
        [("a", NOON, 1.0, 0)],
    ],
)
def test_a_batch_id_with_other_content_is_refused_by_name(history, other):
    history.append("day 7", readings([("a", NOON, 1.0, 0), ("b", NOON, 2.0, 0)]), "station 4")
    with pytest.raises(BatchConflict, match="batch day 7 of station 4: other content") as caught:
        history.append("day 7", readings(other), "station 4")
    assert caught.value.batch == "day 7"
    fresh = Batch("day 8", "station 4", readings([("a", NOON + 9, 9.0, 0)]))
    assert history.append_all([Batch("day 7", "station 4", readings(other)), fresh]) == [
        Outcome.CONFLICT, Outcome.STORED,
    ]  # fmt: skip
    assert history.counts["batches: conflict"] == 2
    assert rows_of(history.read()) == [("a", NOON, 1.0, 0), ("a", NOON + 9, 9.0, 0), ("b", NOON, 2.0, 0)]


def test_what_was_known_at_an_instant(history, clock):
    """14:05: a value, later corrected, and a reading that came late."""
    five_past_two = NOON + 125 * MINUTE
    clock.now = five_past_two - MINUTE
    history.append("in time", readings([("p", five_past_two - 2 * MINUTE, 50e5, 0)]))
    clock.now = five_past_two + MINUTE
    history.append("corrected", readings([("p", five_past_two - 2 * MINUTE, 51e5, 0)]))
    clock.now = five_past_two + 2 * MINUTE
    history.append("late", readings([("p", five_past_two - MINUTE, 52e5, 0), ("q", five_past_two, 1.0, 0)]))
    then = "2026-11-22T14:05:00Z"
    for _ in range(2):
        assert history.read(["p"], as_of=then).value.tolist() == [50e5]
        assert history.read(["p"], as_of=five_past_two - 2 * MINUTE).value.tolist() == []
        assert history.read(["p"], as_of=five_past_two + MINUTE).value.tolist() == [51e5]
        assert history.read(["p"]).value.tolist() == [51e5, 52e5]
        assert history.snapshot(then, as_of=then).value.tolist() == [50e5]
        assert history.snapshot(then).value.tolist() == [52e5, 1.0]
        assert history.versions(["p"]).column("value").to_pylist() == [50e5, 51e5, 52e5]
        history.seal(NOON + 10 * HOUR)  # and the same from segments
    stored = history.versions(["p"]).column("stored").cast(pa.int64()).to_pylist()
    assert stored == [five_past_two - MINUTE, five_past_two + MINUTE, five_past_two + 2 * MINUTE]


def test_what_had_been_received_at_an_instant_in_a_history_filled_afterwards(history, clock):
    clock.now = NOON + 1000 * HOUR
    history.append("filled later", readings([("p", NOON, 1.0, 0), ("p", NOON + MINUTE, 2.0, 0)]))
    assert history.read(["p"], as_of=NOON + MINUTE, by="received").value.tolist() == [1.0]
    assert history.read(["p"], as_of=NOON + MINUTE).value.tolist() == []
    with pytest.raises(SeraiError, match="by 'stored' or by 'received'"):
        history.read(["p"], as_of=NOON, by="guess")


def test_time_of_storing_never_goes_back(history, clock):
    clock.now = NOON
    history.append("1", readings([("a", NOON, 1.0, 0)]))
    clock.now = NOON - HOUR  # the machine's clock was set back
    history.append("2", readings([("a", NOON, 2.0, 0)]))
    assert history.read(["a"]).value.tolist() == [2.0]
    stored = history.versions().column("stored").cast(pa.int64()).to_pylist()
    assert stored == sorted(stored)


def test_late_readings_go_to_their_hour_after_it_was_sealed(history, clock):
    history.append("1", readings([("a", NOON + k * SECOND, float(k), 0) for k in range(3000)]))
    clock.now = NOON + 3 * HOUR
    assert history.seal() == 3000
    assert history.seal() == 0
    history.append("late", readings([("a", NOON + 1500 * SECOND + 1, -1.0, 0), ("a", NOON + 7 * SECOND, -7.0, 0)]))
    for _ in range(2):
        found = history.read(["a"], NOON + 1500 * SECOND, NOON + 1501 * SECOND)
        assert found.value.tolist() == [1500.0, -1.0]
        assert history.read(["a"], NOON + 7 * SECOND, NOON + 8 * SECOND).value.tolist() == [-7.0]
        assert len(history.read(["a"])) == 3001
        assert history.verify() == []
        history.seal()
        history.compact()
    assert len(history.versions()) == 3002


def test_retention_drops_whole_hours_that_ended_before(history, clock):
    for hour in range(5):
        start = NOON + hour * HOUR
        history.append(f"{hour}", readings([("a", start + k * SECOND, float(hour), 0) for k in range(2100)]))
    history.append("across", readings([("b", NOON + HOUR - 1, 1.0, 0), ("b", NOON + 3 * HOUR, 3.0, 0)]))
    clock.now = NOON + 3 * HOUR
    history.seal(NOON + 2 * HOUR)  # two hours sealed, three open
    assert history.retain(NOON + 2 * HOUR + 30 * MINUTE) == 2 * 2100 + 1
    assert sorted(set(history.read().value.tolist())) == [2.0, 3.0, 4.0]
    assert len(history.read()) == 3 * 2100 + 1
    assert history.read(["b"]).value.tolist() == [3.0]
    assert history.verify() == []  # what was dropped on purpose is not missing
    assert history.counts["readings dropped by retention"] == 2 * 2100 + 1
    with pytest.raises(BatchConflict):
        history.append("0", readings([("a", NOON, 0.0, 0)]))  # the ledger still knows what was dropped


def test_the_last_reading_of_every_tag_at_one_instant(history):
    register = Register()
    rows = [(f"t{k}", NOON - k * 600 * SECOND, float(k), 0) for k in range(100)]  # the oldest 16.5 hours ago
    rows += [("t3", NOON + SECOND, 99.0, 0), ("t5", NOON, 55.0, int(Quality.INVALID))]
    history.append("1", readings(rows, register))
    found = {tag: (time, value) for tag, time, value, _ in rows_of(history.snapshot(NOON))}
    expected = {tag: (time, value) for tag, time, value, _ in rows[:100]} | {"t5": (NOON, 55.0)}
    assert found == expected
    assert rows_of(history.snapshot(NOON, ["t3", "t9"])) == [rows[3], rows[9]]
    assert rows_of(history.snapshot(NOON + SECOND, ["t3"])) == [rows[100]]
    assert len(history.snapshot(NOON, within=3599)) == 6
    assert len(history.snapshot(NOON, within=3600)) == 7  # t6 lies an hour back
    assert len(history.snapshot(NOON + 48 * HOUR)) == 0
    assert len(history.snapshot(NOON + 48 * HOUR, within=None)) == 100


def test_what_cannot_be_asked_or_stored_says_so(history):
    history.append("1", readings([("a", NOON, 1.0, 0)]))
    with pytest.raises(UnknownName, match="'b' and 1 more: no such tag"):
        history.read(["a", "b", "c"])
    with pytest.raises(BadTimes, match="no time zone"):
        history.read(["a"], "2026-11-22T12:00:00")
    with pytest.raises(BadTimes, match="is no time"):
        history.read(["a"], "noon")
    far = readings([("a", 1 << 60, 1.0, 0)])
    with pytest.raises(NotStored, match="outside the years 1 to 9999") as caught:
        history.append("far", far)
    assert caught.value.reason == "times outside the years 1 to 9999"
    assert history.append_all([Batch("far", "", far), Batch("2", "", readings([("a", NOON + 1, 1.0, 0)]))]) == [
        Outcome.REFUSED, Outcome.STORED,
    ]  # fmt: skip
    empty = Readings.of(Register(), [])
    assert [history.append("none", empty), history.append("none", empty)] == [Outcome.STORED, Outcome.REPEATED]
    assert history.append_all([]) == []


def test_names_that_databases_could_misread(history):
    tags = ["it's; DROP TABLE readings", "Gedaim «газ» 压力", 'a"b', "x" * 300, " "]
    history.append("o'clock; --", readings([(t, NOON, float(k), 0) for k, t in enumerate(tags)]), "s'")
    assert (
        history.append("o'clock; --", readings([(t, NOON, float(k), 0) for k, t in enumerate(tags)]))
        is Outcome.REPEATED
    )
    history.seal(NOON + HOUR)
    for k, tag in enumerate(tags):
        assert history.read([tag]).value.tolist() == [float(k)]


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_batches_corrections_and_sealings_reads_as_the_plain_list_does(history, clock, seed):
    """Against a list of all rows ever stored, searched row by row."""
    rng = np.random.default_rng(seed)
    register = Register(f"t{k}" for k in range(6))
    told: list[tuple[str, int, float, int]] = []  # tag, time, value, when it was stored
    for step in range(12):
        clock.now += int(rng.integers(1, 40 * MINUTE))
        size = int(rng.choice([1, 30, 2500]))
        tag = rng.integers(0, 6, size).astype(np.int32)
        time = clock.now - rng.integers(0, 5 * HOUR, size) // MINUTE * MINUTE  # few instants, so many corrections
        value = rng.standard_normal(size)
        batch = Readings(register, tag, time, value, np.zeros(size, np.uint16), np.full(size, clock.now))
        assert history.append(f"{step}", batch) is Outcome.STORED
        told += [
            (f"t{k}", t, v, clock.now) for k, t, v in zip(tag.tolist(), time.tolist(), value.tolist(), strict=True)
        ]
        if rng.random() < 0.3:
            history.seal(clock.now - int(rng.integers(0, 3 * HOUR)))
        if rng.random() < 0.3:
            history.compact()
        for as_of in (None, NOON + int(rng.integers(0, clock.now - NOON))):
            start, end = sorted((clock.now - rng.integers(0, 6 * HOUR, 2)).tolist())
            wanted = [f"t{k}" for k in sorted(rng.choice(6, 3, replace=False).tolist())]
            found = [row[:3] for row in rows_of(history.read(wanted, start, end, as_of=as_of))]
            newest: dict[tuple[str, int], float] = {}
            for name, when, number, stored in told:
                if name in wanted and start <= when < end and (as_of is None or stored <= as_of):
                    newest[name, when] = number
            assert found == [(*key, v) for key, v in sorted(newest.items())]
            last = {t: v for t, _, v in rows_of_last(history.snapshot(end, as_of=as_of))}
            kept = [r for r in told if end - 24 * HOUR < r[1] <= end and (as_of is None or r[3] <= as_of)]
            latest = {t: max((r[1], k) for k, r in enumerate(kept) if r[0] == t)[1] for t in {r[0] for r in kept}}
            assert last == {t: kept[k][2] for t, k in latest.items()}
    assert len(history.versions()) == len(told)
    assert history.verify() == []


def rows_of_last(found):
    return [row[:3] for row in rows_of(found)]


def test_windows_hold_every_row_once(history):
    rng = np.random.default_rng(5)
    time = NOON - np.sort(rng.integers(0, int(timedelta(days=400) / timedelta(microseconds=1)), 3000))
    register = Register(["a"])
    history.append(
        "sparse", Readings(register, np.zeros(3000, np.int32), time, np.ones(3000), np.zeros(3000, np.uint16), time)
    )
    history.append("dense", readings([("a", NOON + k, 1.0, 0) for k in range(12_000)], register))
    for _ in range(2):
        windows = list(history.windows())
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(windows))
        assert sum(len(history.read(None, a, b)) for a, b in windows) == len(history.read())
        assert len(windows) < 50  # hours with few rows are taken together
        history.seal(NOON + 24 * HOUR)


def test_a_batch_id_is_remembered_as_long_as_the_ledger_says(tmp_path, clock):
    with historian.open(tmp_path / "h", ledger_days=2.0, clock=clock) as history:
        first = readings([("a", NOON, 1.0, 0)])
        history.append("1", first)
        clock.now += 47 * HOUR
        history.append("2", readings([("a", NOON + HOUR, 2.0, 0)]))
        history.seal()
        assert history.append("1", first) is Outcome.REPEATED
        clock.now += 2 * HOUR
        history.append("3", readings([("a", NOON + 2 * HOUR, 3.0, 0)]))
        history.seal()
        assert history.ledger().column("batch").to_pylist() == ["2", "3"]
        assert len(history.read()) == 3  # what is forgotten is the id, not the readings
        assert history.verify() == []
