# SPDX-License-Identifier: Apache-2.0
"""Sealed segments: Parquet files that never change, each under its hash, and the list of them.

A segment holds an hour (or several, where readings are few) sorted by tag, time and row number. It is written beside,
synced, hashed and renamed; then it enters the list `manifest.json`, which is replaced as a whole. A file that is not in
the list does not exist for readers. The SHA-256 of the whole file is checked when a process first touches it and
whenever the file looks touched since; beyond that every read checks the CRC-32 of the pages that it decodes.

`open.json` lists, in the same form, files of what was stored and is not sealed yet; they are superseded, not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serai.errors import SegmentChanged, SeraiError
from serai.telemetry.historian.engine import hours_of
from serai.telemetry.historian.rows import HOUR, Asked, Rows, ordered
from serai.telemetry.readings import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from serai.telemetry.readings import Register

ROW_GROUP = 8192  # rows: a tag's hour lies in one or two groups, so reading one tag decodes little
FEW_TAGS = 8  # up to so many are cut out of a row group; more are picked from all its rows
FORM = "serai history 1"
MANIFEST, OPEN, TAGS, LEDGER_FILE = "manifest.json", "open.json", "tags.json", "ledger.parquet"


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of the list: a file, its hash, and what is in it.

    first, last           times [µs since 1970 UTC] of its earliest and latest row
    first_row, last_row   row numbers
    """

    file: str
    sha256: str
    size: int
    rows: int
    first: int
    last: int
    first_row: int
    last_row: int

    def holds(self, asked: Asked) -> bool:
        """Return whether rows that are asked for may be in it."""
        return (
            self.first < asked.end
            and self.last >= asked.start
            and (self.first_row < asked.before_row and self.last_row >= asked.from_row)
        )


class Segments:
    """A folder of segments: writes, checks and reads them. It remembers which files it has checked, in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._checked: dict[str, _Checked] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(2, "decoding")

    def write(self, stem: str, rows: Rows, register: Register, *, sync: bool = True) -> Segment:
        """Write rows as a segment `<stem>-<hash>.parquet`, safe on disk under its name when this returns."""
        rows = _by_name(rows, register)
        beside = self.folder / f".{stem}.part"
        try:
            with beside.open("wb") as out:
                table = rows.to_arrow(register)
                # in words, so that each row group gets a dictionary of its own tags and not one of all
                words = table.set_column(0, SCHEMA.field("tag"), table.column(0).cast(pa.string()))
                pq.write_table(
                    words,
                    out,
                    row_group_size=ROW_GROUP,
                    compression="lz4",
                    use_dictionary=["tag", "quality"],
                    column_encoding=dict.fromkeys(("time", "received", "row"), "DELTA_BINARY_PACKED"),
                    write_page_checksum=True,
                    store_schema=True,
                )
                out.flush()
                if sync:
                    os.fsync(out.fileno())
            digest = _sha256(beside)
            name = f"{stem}-{digest[:16]}.parquet"
            beside.rename(self.folder / name)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        if sync:
            sync_folder(self.folder)
        return Segment(
            file=name,
            sha256=digest,
            size=(self.folder / name).stat().st_size,
            rows=len(rows),
            first=int(rows.time.min()),
            last=int(rows.time.max()),
            first_row=int(rows.row.min()),
            last_row=int(rows.row.max()),
        )

    def read(self, segment: Segment, asked: Asked, register: Register) -> Rows:
        """Return the rows of a segment that are asked for.

        Raises SegmentChanged when the file is missing or its bytes are not those that were sealed.
        """
        return self._wanted(self._decoded(segment, asked, register), asked, register)

    def read_all(self, segments: Iterable[Segment], asked: Asked, register: Register) -> list[Rows]:
        """Return the rows of segments that are asked for, in parts."""
        segments = [s for s in segments if s.holds(asked)]
        if asked.tags is None or len(asked.tags) > FEW_TAGS or not segments:
            return [self.read(s, asked, register) for s in segments]
        wanted = frozenset(register.names(asked.tags))
        # decoding runs without Python's lock; numbering tags does not
        tables = [t for t in self._pool.map(lambda s: self._decoded(s, asked, register), segments) if t is not None]
        batches = [cut for table in tables for batch in table.to_batches() for cut in _cuts(batch, wanted)]
        return [self._wanted(pa.Table.from_batches(batches), asked, register)] if batches else []

    def close(self) -> None:
        """End the threads that decode."""
        self._pool.shutdown()

    @staticmethod
    def _wanted(table: pa.Table | None, asked: Asked, register: Register) -> Rows:
        if table is None:
            return Rows.none()
        time = table.column("time").cast(pa.int64()).to_numpy()
        inside = (time >= asked.start) & (time < asked.end)
        if not inside.all():  # before the other columns are put together
            table = table.filter(pa.array(inside))
        rows = Rows.from_arrow(table, register)
        keep = asked.mask(rows)
        return rows if keep.all() else rows.take(keep)

    def _decoded(self, segment: Segment, asked: Asked, register: Register) -> pa.Table | None:
        """Return the row groups in which rows that are asked for may be; None = there are none."""
        checked = self._check(segment)
        groups = list(range(len(checked.names)))
        if asked.tags is not None:
            wanted = sorted(register.names(asked.tags))
            groups = [g for g in groups if _may_hold(checked.names[g], wanted)]
        if not groups:
            return None
        try:
            with pq.ParquetFile(
                self.folder / segment.file,
                metadata=checked.metadata,
                memory_map=True,
                read_dictionary=["tag"],
                page_checksum_verification=True,
            ) as file:
                return file.read_row_groups(groups, use_threads=len(groups) > 8)
        except (OSError, pa.ArrowException) as error:
            self.forget(segment.file)
            raise _changed(self.folder / segment.file, str(error)) from error

    def hours(self, segment: Segment, register: Register) -> dict[int, int]:
        """Return the hours that hold rows of a segment, with how many."""
        first, last = segment.first // HOUR, segment.last // HOUR
        return {first: segment.rows} if first == last else hours_of(self.read(segment, Asked(), register).time)

    def verify(self, segments: Sequence[Segment], register: Register) -> list[str]:
        """Hash and decode every segment again; return what is wrong, one line each."""
        wrong = []
        for segment in segments:
            self.forget(segment.file)
            try:
                rows = self.read(segment, Asked(), register)
            except SegmentChanged as error:
                wrong.append(str(error))
                continue
            found = (len(rows), int(rows.time.min()), int(rows.time.max()), int(rows.row.min()), int(rows.row.max()))
            listed = (segment.rows, segment.first, segment.last, segment.first_row, segment.last_row)
            if found != listed:
                wrong.append(f"{segment.file}: the list says {listed} (rows, times, row numbers), the file {found}")
        return wrong

    def forget(self, file: str) -> None:
        """Check a file again the next time it is read."""
        with self._lock:
            self._checked.pop(file, None)

    def _check(self, segment: Segment) -> _Checked:
        """Return what is known of a file whose bytes are those that were sealed."""
        path = self.folder / segment.file
        try:
            status = path.stat()
            seen = (status.st_size, status.st_mtime_ns, status.st_ino)
            with self._lock:
                known = self._checked.get(segment.file)
            if known and known.seen == seen:
                return known
            if status.st_size != segment.size or _sha256(path) != segment.sha256:
                raise _changed(path, "its SHA-256 is not the one in the list")
            metadata = pq.read_metadata(path)
        except OSError as error:
            raise _changed(path, str(error)) from error
        columns = (metadata.row_group(g).column(0).statistics for g in range(metadata.num_row_groups))
        names = [(s.min, s.max) if s is not None and s.has_min_max else None for s in columns]
        known = _Checked(seen, metadata, names)
        with self._lock:
            self._checked[segment.file] = known
        return known


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file whose hash was right when it looked like `seen` (size, time of change, inode).

    names   first and last tag of each row group; None = not said
    """

    seen: tuple[int, int, int]
    metadata: pq.FileMetaData
    names: list[tuple[str, str] | None]


def write_list(path: Path, segments: Sequence[Segment], told: dict[str, object], *, sync: bool = True) -> None:
    """Replace a list of segments as a whole; `told` is kept beside it."""
    body = {"form": FORM, **told, "segments": [asdict(s) for s in segments]}
    text = json.dumps({"sha256": _of_list(body), **body}, indent=1)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        if sync:
            os.fsync(out.fileno())
    beside.rename(path)
    if sync:
        sync_folder(path.parent)


def read_list(path: Path) -> tuple[list[Segment], dict[str, object]]:
    """Return a list of segments and what is told beside it; empty where there is no file.

    Raises SegmentChanged when its hash does not fit.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [], {}
    except (OSError, ValueError) as error:
        raise _changed(path, str(error)) from error
    if not isinstance(body, dict) or body.pop("sha256", None) != _of_list(body):
        raise _changed(path, "its SHA-256 is not the one that it carries")
    if body.pop("form") != FORM:
        msg = f"{path}: is not of the form {FORM!r}; read it with the version that wrote it"
        raise SeraiError(msg)
    return [Segment(**s) for s in body.pop("segments")], body


def sync_folder(folder: Path) -> None:
    """Make names in a folder safe on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _of_list(body: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _changed(path: Path, why: str) -> SegmentChanged:
    msg = f"{path}: refused, {why}; restore this file from a backup"
    return SegmentChanged(msg, path.name)


def _may_hold(names: tuple[str, str] | None, wanted: list[str]) -> bool:
    """Return whether one of the sorted names may be in a row group."""
    if names is None:
        return True
    k = bisect_left(wanted, names[0])
    return k < len(wanted) and wanted[k] <= names[1]


def _cuts(batch: pa.RecordBatch, wanted: frozenset[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the wanted tags: sorted by tag they follow each other, so nothing is copied."""
    tags = batch.column(0)
    index = tags.indices.to_numpy()
    if (index[1:] < index[:-1]).any():  # a dictionary in another order than the rows: all of it, to be picked from
        yield batch
        return
    for k, name in enumerate(tags.dictionary.to_pylist()):
        if name in wanted:
            low, high = np.searchsorted(index, [k, k + 1])
            yield batch.slice(low, high - low)


def _by_name(rows: Rows, register: Register) -> Rows:
    """Return rows by the name of their tag, then time and row number."""
    names = np.array(list(register), dtype=object)
    used = np.unique(rows.tag)
    rank = np.zeros(len(names), np.int32)
    rank[used[np.argsort(names[used], kind="stable")]] = np.arange(len(used), dtype=np.int32)
    alphabetical = ordered(Rows(rank[rows.tag], rows.time, rows.value, rows.quality, rows.received, rows.row))
    back = used[np.argsort(names[used], kind="stable")].astype(np.int32)
    return Rows(
        back[alphabetical.tag],
        alphabetical.time,
        alphabetical.value,
        alphabetical.quality,
        alphabetical.received,
        alphabetical.row,
    )
