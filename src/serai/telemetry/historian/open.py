# SPDX-License-Identifier: Apache-2.0
"""Opening a history: a folder or a DuckDB file, or a PostgreSQL database by its URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from serai.errors import SeraiError
from serai.telemetry.historian.duck import LEDGER_DAYS, Duck
from serai.telemetry.historian.folder import Folder
from serai.telemetry.historian.historian import Historian
from serai.telemetry.historian.segments import MANIFEST
from serai.telemetry.readings import now

if TYPE_CHECKING:
    from collections.abc import Callable


def open(  # noqa: A001 - reads as `historian.open`, like `shelve.open`
    where: str | Path,
    *,
    read_only: bool = False,
    schema: str = "serai",
    ledger_days: float = LEDGER_DAYS,
    clock: Callable[[], int] = now,
) -> Historian:
    """Open a history, making it where there is none.

    where        a folder, a file `name.duckdb` (its segments lie beside it in `name.segments`), or `postgresql://...`
    read_only    read beside the process that writes, or read a backup: only the files of segments are opened
    schema       of the PostgreSQL database in which the tables are
    ledger_days  how long DuckDB remembers a batch id; PostgreSQL remembers all
    clock        gives the present time [µs since 1970 UTC]
    Raises SeraiError when it cannot be opened, among others because another process writes to it.
    """
    if str(where).startswith(("postgresql://", "postgres://")):
        try:
            from serai.telemetry.historian.postgres import Postgres  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            msg = "a history in PostgreSQL needs adbc-driver-postgresql: pip install 'serai[telemetry]'"
            raise SeraiError(msg) from error
        return Historian(Postgres(str(where), schema=schema), clock)
    path = Path(where)
    if path.suffix == ".duckdb":
        database, folder = path, path.with_suffix(".segments")
    else:
        database, folder = path / "history.duckdb", path / "history.segments"
    if read_only:
        return Historian(Folder(path if (path / MANIFEST).exists() else folder), clock)
    return Historian(Duck(database, folder, ledger_days=ledger_days), clock)
