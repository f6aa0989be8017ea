# SPDX-License-Identifier: Apache-2.0
"""What happened to the alarms, kept on disk: SQLite with a write-ahead log.

What one call changed is one transaction: after kill -9 it is there whole or not at all, and `standing` is how every
alarm that is not normal stood then. `synchronous = FULL` holds it over a loss of power too.
"""

from __future__ import annotations

import json
import sqlite3
from math import nan
from typing import TYPE_CHECKING, Any

from serai.errors import NotStored

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

COLUMNS = ("number", "time", "alarm", "key", "priority", "element", "event", "before", "after", "who", "why", "value",
           "bound")  # fmt: skip
Row = tuple[int, float, str, str, str, str, str, str, str, str, str, float | None, float | None]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS transition (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, alarm TEXT NOT NULL, key TEXT NOT NULL, priority TEXT NOT NULL,
    element TEXT NOT NULL, event TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, who TEXT NOT NULL,
    why TEXT NOT NULL, value REAL, bound REAL);
CREATE INDEX IF NOT EXISTS transition_time ON transition (time);
CREATE TABLE IF NOT EXISTS standing (alarm TEXT PRIMARY KEY, kept TEXT NOT NULL) WITHOUT ROWID;
"""


class Journal:
    """The journal of one list of alarms; one writer."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Open it, or make it; None = in memory, gone with the process. NotStored when the file cannot be used."""
        self.name = ":memory:" if path is None else str(path)
        try:
            # one thread at a time: Alarms holds a lock around every call
            self._database = sqlite3.connect(self.name, isolation_level=None, check_same_thread=False, timeout=1.0)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")  # a second writer is refused
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._not_stored(error) from None

    def write(self, rows: Sequence[Row], standing: Mapping[str, Any]) -> None:
        """Store rows, and how alarms stand (id -> what is kept, None = normal again), whole or not at all."""
        if not rows and not standing:
            return
        gone = [(alarm,) for alarm, kept in standing.items() if kept is None]
        kept = [(alarm, json.dumps(doc, default=_plain)) for alarm, doc in standing.items() if doc is not None]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(f"INSERT INTO transition VALUES ({','.join('?' * len(COLUMNS))})", rows)  # noqa: S608 - only question marks
                self._database.executemany("DELETE FROM standing WHERE alarm = ?", gone)
                self._database.executemany("INSERT OR REPLACE INTO standing VALUES (?, ?)", kept)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._not_stored(error) from None

    def _not_stored(self, error: sqlite3.Error) -> NotStored:
        text = str(error)
        reason = "disk full" if "full" in text else "another writer" if "locked" in text else "not writable"
        what = "close the other process" if "locked" in text else "make room, or check the folder's rights"
        return NotStored(f"the alarm journal {self.name} takes nothing ({text}): {what}", reason)

    def standing(self) -> dict[str, dict[str, Any]]:
        """Return how every alarm that was not normal stood, by id."""
        return {a: json.loads(kept) for a, kept in self._database.execute("SELECT alarm, kept FROM standing")}

    def last(self) -> int:
        """Return the number of the last transition, 0 = none."""
        return int(self._database.execute("SELECT coalesce(max(number), 0) FROM transition").fetchone()[0])

    def rows(self, start: float, end: float, limit: int = 1_000_000, alarm: str = "") -> Iterator[Row]:
        """Yield the transitions from `start` to before `end` [s since 1970 UTC], the oldest first, at most `limit`.

        Of the newest `limit` where there are more; of one alarm where `alarm` names it.
        """
        which = "AND alarm = ? " if alarm else ""
        found = self._database.execute(
            f"SELECT * FROM (SELECT * FROM transition WHERE time >= ? AND time < ? {which}"  # noqa: S608 - a constant
            "ORDER BY number DESC LIMIT ?) ORDER BY number",
            (start, end, *((alarm,) if alarm else ()), limit),
        )
        yield from found.fetchall()

    def told(self, within: float) -> list[tuple[float, str]]:
        """Return (time, alarm) of those told within so many seconds before the last transition, the oldest first."""
        return self._database.execute(
            "SELECT time, alarm FROM transition WHERE after = 'unacknowledged' "
            "AND time > (SELECT max(time) FROM transition) - ? ORDER BY number",
            (within,),
        ).fetchall()

    def flood_since(self) -> float:
        """Return when the flood began that has not ended [s since 1970 UTC]; nan = there is none."""
        last = self._database.execute(
            "SELECT event, time FROM transition WHERE alarm = '' AND event LIKE 'flood%' ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return float(last[1]) if last and last[0] == "flood begins" else nan

    def forget(self, before: float) -> int:
        """Delete the transitions before a time [s since 1970 UTC]; return how many. What stands stays."""
        return self._database.execute("DELETE FROM transition WHERE time < ?", (before,)).rowcount

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _plain(value: Any) -> Any:
    """Return what JSON knows of a number or a name of another library."""
    return value.item() if hasattr(value, "item") else str(value)
