# SPDX-License-Identifier: Apache-2.0
"""Sealed segments: refused by name when a byte changed, readable by others while the writer runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from serai.errors import SegmentChanged, SeraiError
from serai.telemetry import historian
from serai.telemetry.readings import Readings, Register

if TYPE_CHECKING:
    from pathlib import Path

HOUR, SECOND = 3_600_000_000, 1_000_000
NOON = 1_795_348_800_000_000


def hour_of_readings(start, n=10_500, tags=7):
    k = np.arange(n)
    rng = np.random.default_rng(start % 1000)
    return Readings(
        Register(f"t{j}" for j in range(tags)),
        (k % tags).astype(np.int32),
        start + k * (HOUR // n),
        rng.standard_normal(n),
        np.zeros(n, np.uint16),
        start + k * (HOUR // n) + 1000,
    )


@pytest.fixture
def folder(tmp_path, clock):
    with historian.open(tmp_path / "h", clock=clock) as history:
        for k in range(3):
            history.append(f"{k}", hour_of_readings(NOON + k * HOUR))
        clock.now = NOON + 4 * HOUR
        assert history.seal() == 31_500
    return tmp_path / "h" / "history.segments"


def change(path: Path, place: int, *, hidden: bool) -> None:
    """Change one byte; `hidden`: without a trace in size, times or inode, as a failing disk does."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0x10]))
    if hidden:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.9, 0.999])
def test_a_changed_byte_is_refused_and_named(folder, share):
    path = min(folder.glob("2026-11-22T13Z-*.parquet"))
    with historian.open(folder.parent, read_only=True) as reader:
        assert len(reader.read(["t1"])) == 4500
        change(path, int(share * path.stat().st_size), hidden=False)
        with pytest.raises(SegmentChanged, match=f"{path.name}: refused") as caught:
            reader.read(["t1"])
        assert caught.value.file == path.name
        assert len(reader.read(["t1"], NOON, NOON + HOUR)) == 1500  # the other hours are there
    with historian.open(folder.parent) as writer:
        assert [path.name in line for line in writer.verify()] == [True]
        with pytest.raises(SegmentChanged):
            writer.read(None, NOON + HOUR, NOON + 2 * HOUR)


def test_a_byte_that_rots_in_a_checked_file_is_found_by_its_page(folder):
    path = min(folder.glob("2026-11-22T13Z-*.parquet"))
    column = pq.read_metadata(path).row_group(0).column(2)
    with historian.open(folder.parent, read_only=True) as reader:
        reader.read(["t1"])
        change(path, column.data_page_offset + column.total_compressed_size // 2, hidden=True)
        with pytest.raises(SegmentChanged, match="CRC"):
            reader.read(None, NOON + HOUR, NOON + 2 * HOUR)


def test_a_changed_or_missing_list_is_refused(folder):
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"rows": 10500', '"rows": 10501', 1))
    with (
        pytest.raises(SegmentChanged, match=r"manifest\.json"),
        historian.open(folder.parent, read_only=True) as reader,
    ):
        reader.read()
    manifest.write_text(text)
    victim = folder / json.loads(text)["segments"][0]["file"]
    victim.unlink()
    with pytest.raises(SegmentChanged, match=victim.name), historian.open(folder.parent, read_only=True) as reader:
        reader.read()
    manifest.unlink()
    with pytest.raises(SeraiError, match=r"holds no manifest\.json"):
        historian.open(folder.parent, read_only=True)


def test_segments_are_plain_parquet_sorted_by_tag_and_time(folder):
    path = min(folder.glob("2026-11-22T12Z-*.parquet"))
    table = pq.read_table(path)
    assert table.schema.names == ["tag", "time", "value", "quality", "received", "row"]
    frame = table.to_pandas()
    sent = hour_of_readings(NOON)
    expected = sorted(zip(sent.register.names(sent.tag), sent.time.tolist(), sent.value.tolist(), strict=True))
    found = list(zip(frame["tag"], frame["time"].astype("int64").tolist(), frame["value"].tolist(), strict=True))
    assert found == expected


def test_what_a_sealing_left_unfinished_is_removed_at_the_next_start(folder):
    whole = sorted(folder.glob("2026*.parquet"))
    (folder / "2026-11-22T15Z-0123456789abcdef.parquet").write_bytes(b"written, not listed")
    (folder / ".2026-11-22T16Z.part").write_bytes(b"half")
    with historian.open(folder.parent) as history:
        assert history.counts["files that no list names removed"] == 2
        assert len(history.read()) == 31_500
        assert history.verify() == []
    assert sorted(folder.glob("2026*.parquet")) == whole
    assert not list(folder.glob(".*part"))


def test_one_process_writes(folder):
    with historian.open(folder.parent):
        code = f"from serai.telemetry import historian; historian.open({str(folder.parent)!r})"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process writes to it; open it with read_only=True" in second.stderr
    with historian.open(folder.parent, read_only=True) as reader, pytest.raises(SeraiError, match="reading only"):
        reader.append("9", hour_of_readings(NOON))


READER = """
import sys
from serai.telemetry import historian
reader = historian.open(sys.argv[1], read_only=True)
print("ready", flush=True)
for line in sys.stdin:
    found = reader.read()
    whole = {}
    for tag, time in zip(found.tag.tolist(), found.time.tolist()):
        whole[time // 3_600_000_000] = whole.get(time // 3_600_000_000, 0) + 1
    print(len(found), len(reader.snapshot(int(line)) ), sorted(set(whole.values())), flush=True)
"""


def test_another_process_reads_while_the_writer_runs(tmp_path, clock):
    """It sees what was published or sealed: never a batch in part, never a row twice, none that was there gone."""
    with historian.open(tmp_path / "h", clock=clock) as history:
        history.append("0", hour_of_readings(NOON))
        history.publish()
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, str(tmp_path / "h")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert reader.stdout.readline() == "ready\n"

            def ask():
                reader.stdin.write(f"{clock.now}\n")
                reader.stdin.flush()
                return reader.stdout.readline().strip()

            clock.now = NOON + HOUR
            assert ask() == "10500 7 [10500]"
            history.append("1", hour_of_readings(NOON + HOUR))
            assert ask() == "10500 7 [10500]"  # stored, not shown yet
            assert history.publish() == 10_500
            assert ask() == "21000 7 [10500]"
            for k in range(2, 12):
                history.append(f"{k}", hour_of_readings(NOON + k * HOUR))
                history.publish()
                clock.now = NOON + (k + 1) * HOUR
                if k % 3 == 0:
                    history.seal()
                if k % 5 == 0:
                    history.compact()
                assert ask() == f"{(k + 1) * 10_500} 7 [10500]"
            history.retain(NOON + 5 * HOUR)
            assert ask() == "73500 7 [10500]"
        finally:
            reader.stdin.close()
            reader.wait(30)
            reader.stdout.close()


def test_open_files_are_merged_and_removed(tmp_path, clock):
    with historian.open(tmp_path / "h", clock=clock) as history:
        for k in range(60):
            history.append(f"{k}", hour_of_readings(NOON + k * SECOND, n=50))
            history.publish()
        assert len(list((tmp_path / "h" / "history.segments").glob("open-*"))) < 40
        with historian.open(tmp_path / "h", read_only=True) as reader:
            np.testing.assert_array_equal(reader.read().value, history.read().value)
            assert reader.verify() == []


def scan(start, n=3_000):
    """All meters within a second."""
    k = np.arange(n)
    values = np.random.default_rng(start % 1_000_003).standard_normal(n)
    time = start + k * (SECOND // n)
    return Readings(Register(f"t{j}" for j in range(n)), k.astype(np.int32), time, values, np.zeros(n, np.uint16), time)


def test_much_that_waits_is_sealed_early_and_burdens_neither_memory_nor_disk(tmp_path, clock):
    sent, waited, sizes = 0, [], []
    with (
        historian.open(tmp_path / "h", clock=clock) as history,
        historian.open(tmp_path / "h", read_only=True) as other,
    ):
        for k in range(60):
            clock.now = NOON + k * SECOND
            history.append(f"{k}", scan(clock.now - (25 * SECOND + 7 if k % 7 == 3 else 0)))  # some come late
            sent += 3_000
            history.publish()
            if history.relieve(20_000):
                sizes.append(sum(file.stat().st_size for file in (tmp_path / "h").glob("history.duckdb*")))
            waited.append(history.engine._waiting)
            if k % 20 == 19:
                history.compact()
                assert len(other.read()) == sent
        assert max(waited) <= 20_000
        assert len(sizes) > 5
        assert max(sizes[3:]) <= 2 * max(sizes[:3])
        np.testing.assert_array_equal(history.read().value, other.read().value)
        assert history.verify() == []
    with historian.open(tmp_path / "h", clock=clock) as history:
        assert history.engine._waiting == pytest.approx(waited[-1], rel=0.1, abs=200)  # told from what is on disk
        clock.now = NOON + 3 * HOUR
        history.seal()
        assert (len(history.read()), history.engine._waiting < 200, history.verify()) == (sent, True, [])
