# SPDX-License-Identifier: Apache-2.0
"""Export, backup and restore: the same readings, numbers and ledger, from any engine to any."""

from __future__ import annotations

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from serai.errors import SegmentChanged, SeraiError
from serai.telemetry import historian
from serai.telemetry.historian import Outcome
from serai.telemetry.historian.keep import backup, export, restore
from serai.telemetry.readings import Readings, Register

HOUR, MINUTE = 3_600_000_000, 60_000_000
NOON = 1_795_348_800_000_000


def fill(history, clock):
    """Three batches: two hours, a late correction, and something dropped by retention."""
    register = Register(["a", "b"])
    rng = np.random.default_rng(3)

    def batch(start, n):
        time = start + np.arange(n) * (2 * HOUR // n)
        value = rng.standard_normal(n)
        return Readings(register, (np.arange(n) % 2).astype(np.int32), time, value, np.zeros(n, np.uint16), time + 5)

    history.append("old", batch(NOON - 5 * HOUR, 40), "s")
    history.append("1", batch(NOON, 3000), "s")
    clock.now += MINUTE
    history.append("2", batch(NOON, 100), "s")
    history.retain(NOON - HOUR)
    clock.now += 4 * HOUR
    history.seal(NOON + HOUR)
    return batch


def same(one, other):
    assert one.versions().equals(other.versions())
    assert one.ledger().equals(other.ledger())
    for as_of in (NOON, NOON + MINUTE - 1, NOON + MINUTE):
        np.testing.assert_array_equal(one.read(as_of=as_of).value, other.read(as_of=as_of).value)


@pytest.mark.parametrize("engine", ["duckdb", "postgresql"])
def test_backup_and_restore(history, clock, tmp_path, engine, request):
    fill(history, clock)
    assert backup(history, tmp_path / "backup") == 3100
    with historian.open(tmp_path / "backup", read_only=True) as reader:
        same(history, reader)
        assert reader.verify() == []
    if engine == "duckdb":
        target = {"where": tmp_path / "restored.duckdb"}
    else:
        target = {"where": request.getfixturevalue("postgres").url, "schema": f"restored_{id(history)}"}
    with historian.open(**target, clock=clock) as other:
        assert restore(tmp_path / "backup", other) == 3100
        same(history, other)
        assert other.verify() == []
    with historian.open(**target, clock=clock) as other:  # and after its process
        same(history, other)
        last = history.read(["a"])
        assert other.append("3", last.take(np.arange(3))) is Outcome.STORED
        assert other.verify() == []
        with pytest.raises(SeraiError, match="not empty"):
            restore(tmp_path / "backup", other)


def test_a_damaged_backup_is_refused(history, clock, tmp_path):
    fill(history, clock)
    backup(history, tmp_path / "backup")
    victim = min((tmp_path / "backup").glob("backup-*.parquet"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with historian.open(tmp_path / "new") as other:
        with pytest.raises(SeraiError, match=f"damaged, nothing was restored.*{victim.name}"):
            restore(tmp_path / "backup", other)
        assert len(other.register) == 0
    with pytest.raises(SegmentChanged), historian.open(tmp_path / "backup", read_only=True) as reader:
        reader.read()
    with pytest.raises(SeraiError, match="holds files already"):
        backup(history, tmp_path / "backup")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_export_is_what_is_read(history, clock, tmp_path, suffix):
    fill(history, clock)
    path = tmp_path / f"out{suffix}"
    assert export(history, path, ["b"], NOON + MINUTE, NOON + HOUR) == len(
        history.read(["b"], NOON + MINUTE, NOON + HOUR)
    )
    table = pa_csv.read_csv(path) if suffix == ".csv" else pq.read_table(path)
    expected = history.read(["b"], NOON + MINUTE, NOON + HOUR)
    assert table.column("value").to_pylist() == expected.value.tolist()  # CSV too: digits enough for every bit
    assert [t.timestamp() for t in table.column("time").to_pylist()] == pytest.approx((expected.time / 1e6).tolist())
    assert set(table.column("tag").to_pylist()) == {"b"}
    known = export(history, path, as_of=NOON + MINUTE - 1)
    assert known == 3000
    with pytest.raises(SeraiError, match=r"\.parquet or \.csv"):
        export(history, tmp_path / "out.xls")
    with pytest.raises(SeraiError, match="not written"):
        export(history, tmp_path / "no folder" / "out.csv")
