# SPDX-License-Identifier: Apache-2.0
"""Where accounts, sessions and failed attempts are kept: one SQLite file, readable by its owner alone.

Write-ahead logging lets one connection read while the other, or another process (`serai accounts`), writes.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

from serai.errors import NotStored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY, hash TEXT, roles TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL, changed REAL NOT NULL, seen REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    key BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, address TEXT NOT NULL,
    began REAL NOT NULL, seen REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_of ON sessions (name, began);
CREATE TABLE IF NOT EXISTS links (
    key BLOB PRIMARY KEY, purpose TEXT NOT NULL, name TEXT REFERENCES accounts ON DELETE CASCADE, expires REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (
    key BLOB PRIMARY KEY, count INTEGER NOT NULL, last REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""
VERSION = 1
WAIT_S = 5.0  # for another process that writes


class Store:
    """The file. `reading` never waits for a writer; `writing` is one transaction, all or nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._said():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            path.chmod(0o600)
            self._writer, self._reader = self._connection(), self._connection()
            found = self._writer.execute("PRAGMA user_version").fetchone()[0]
            if found not in {0, VERSION}:
                raise NotStored(f"{path}: made by another version of Serai ({found}, not {VERSION})", "other version")
            self._writer.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT")
        self._write_lock, self._read_lock = RLock(), RLock()

    def _connection(self) -> sqlite3.Connection:
        made = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        made.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            made.execute(f"PRAGMA {pragma}")
        return made

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what SQLite and the disk say into an error that says where."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise NotStored(f"{self.path}: accounts cannot be read or written: {error}", "accounts") from error

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._said(), self._read_lock:
            found: sqlite3.Row | None = self._reader.execute(sql, values).fetchone()
            return found

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._said(), self._read_lock:
            return self._reader.execute(sql, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, undone when it raises."""
        with self._said(), self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()
