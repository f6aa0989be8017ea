# SPDX-License-Identifier: Apache-2.0
"""Export, backup and restore, the same for every engine.

A backup is a folder of the same sealed segments, with the ledger: `historian.open(backup, read_only=True)` reads it,
and `restore` fills an empty history of any engine from it. Rows keep their numbers, and so the times of storing.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from serai.errors import SeraiError
from serai.telemetry.historian.engine import LEDGER, shares
from serai.telemetry.historian.folder import Folder
from serai.telemetry.historian.rows import EVER, Asked, When, ordered
from serai.telemetry.historian.segments import LEDGER_FILE, MANIFEST, TAGS, Segments, write_list
from serai.telemetry.readings import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serai.telemetry.historian.historian import Historian


def export(
    history: Historian,
    path: str | Path,
    tags: Iterable[str] | None = None,
    start: When = -EVER,
    end: When = EVER,
    *,
    as_of: When | None = None,
) -> int:
    """Write the readings of tags with start <= time < end to a .parquet or .csv file; returns how many.

    Columns: tag, time and received (UTC), value (SI), quality; hour by hour, within an hour by tag and time. The file
    appears under its name when it is whole.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.part")
    if path.suffix not in {".parquet", ".csv"}:
        msg = f"{path}: give it the suffix .parquet or .csv"
        raise SeraiError(msg)
    names = None if tags is None else list(tags)
    counted = 0
    try:
        with pq.ParquetWriter(beside, SCHEMA) if path.suffix == ".parquet" else pa_csv.CSVWriter(beside, SCHEMA) as out:
            for first, last in history.windows(start, end):
                batch = history.read(names, first, last, as_of=as_of).to_arrow()
                out.write_table(pa.Table.from_batches([batch]))
                counted += batch.num_rows
        beside.rename(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        msg = f"{path}: not written, {error}; make room or choose another place"
        raise SeraiError(msg) from error
    return counted


def backup(history: Historian, folder: str | Path) -> int:
    """Write all that is stored now, every version, and the ledger to a new folder; returns how many rows.

    What is stored while it runs is left out, so the backup is what was known at one instant. Its list is written last:
    a folder with a manifest is a whole backup.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder}: holds files already; give a backup a folder of its own"
        raise SeraiError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ledger = history.ledger()
        upto = max(
            (f + n for f, n in zip(*(ledger.column(c).to_pylist() for c in ("first", "rows")), strict=True)), default=0
        )
        segments, written = Segments(folder), []
        for k, (start, end) in enumerate(history.windows()):
            rows = ordered(history.engine.rows(Asked(start=start, end=end, before_row=upto)))
            if len(rows):
                written.append(segments.write(f"backup-{k:06d}", rows, history.register))
        pq.write_table(ledger, folder / LEDGER_FILE, write_page_checksum=True)
        write_list(folder / TAGS, [], {"tags": list(history.register)})
        write_list(folder / MANIFEST, written, {"retained_since": history.engine.retained_since()})
    except OSError as error:
        msg = f"{folder}: the backup is not whole, {error}; make room or choose another place"
        raise SeraiError(msg) from error
    return sum(s.rows for s in written)


def restore(folder: str | Path, history: Historian) -> int:
    """Fill an empty history from a backup, with the row numbers that rows had; returns how many rows.

    Raises SegmentChanged when a file of the backup is not as it was written; then the history is not to be used.
    """
    if len(history.register) or history.ledger().num_rows:
        msg = f"{history.engine.name}: the history is not empty; restore into a new one"
        raise SeraiError(msg)
    with contextlib.closing(Folder(Path(folder))) as source:
        return _restore(source, history)


def _restore(source: Folder, history: Historian) -> int:
    """Fill an empty history from a backup that is open."""
    wrong = source.verify()
    if wrong:
        msg = f"{source.folder}: the backup is damaged, nothing was restored: {'; '.join(wrong)}"
        raise SeraiError(msg)
    history.engine.register.numbers(list(source.register))
    counted = 0
    for start, end in shares(source.hours()):
        rows = ordered(source.rows(Asked(start=start, end=end)))
        history.engine.load(rows, LEDGER.empty_table())
        counted += len(rows)
    history.engine.load(source.rows(Asked(start=0, end=0)), source.ledger())
    if source.retained_since() > -EVER:
        history.engine.retain(source.retained_since())
    return counted
