# SPDX-License-Identifier: Apache-2.0
"""The shift log: what people write, with who and when; kept on disk, never changed."""

from __future__ import annotations

import sqlite3
from threading import Lock
from typing import TYPE_CHECKING, Any

from serai.alarms.view import iso
from serai.twin.desk import Refused

if TYPE_CHECKING:
    import os

LONGEST = 4000  # characters of an entry


class ShiftLog:
    """Entries in SQLite, one file; None = in memory."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._lock = Lock()
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        if path:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, time REAL NOT NULL, who TEXT NOT NULL, "
            "subject TEXT NOT NULL, text TEXT NOT NULL)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS log_time ON log (time)")

    def write(self, time: float, who: str, text: str, subject: str = "") -> dict[str, Any]:
        """Keep an entry, safe on disk when this returns; return it."""
        text = text.strip()
        if not text or len(text) > LONGEST:
            raise Refused("invalid", f"an entry has 1 to {LONGEST} characters, got {len(text)}", "")
        if not who:
            raise Refused("invalid", "an entry says who wrote it", "")
        with self._lock:
            try:
                done = self._db.execute(
                    "INSERT INTO log (time, who, subject, text) VALUES (?, ?, ?, ?)", (time, who, subject, text)
                )
            except sqlite3.Error as error:
                msg = f"the shift log takes nothing: {error}"
                raise Refused("unavailable", msg, "Make room on the disk and write it again") from None
        return _entry(int(done.lastrowid or 0), time, who, subject, text)

    def entries(self, start: float, end: float, limit: int) -> list[dict[str, Any]]:
        """Return entries from `start` to before `end` [s since 1970 UTC], newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT number, time, who, subject, text FROM log WHERE time >= ? AND time < ? "
                "ORDER BY number DESC LIMIT ?", (start, end, limit),
            ).fetchall()  # fmt: skip
        return [_entry(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _entry(number: int, time: float, who: str, subject: str, text: str) -> dict[str, Any]:
    return {"id": number, "time": iso(time), "who": who, "subject": subject or None, "text": text}
