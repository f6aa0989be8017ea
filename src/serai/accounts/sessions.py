# SPDX-License-Identifier: Apache-2.0
"""Sessions: a random token in the browser, its hash here; they end by idling, by age, by revocation.

Nothing that a thief of this file finds opens a session: it holds SHA-256 of 256 random bits.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from serai.accounts.roles import Roles
    from serai.accounts.store import Store

MOST = 10  # sessions of one account; the oldest ends for the next
NOTED_S = 60.0  # use is noted once in so long: a read must not become a write
LONGEST_TOKEN = 100  # characters; a longer one is not ours


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts: unused, and in any case (one shift) [s]; how long a one-time link does [s]."""

    idle_s: float = 30 * 60.0
    longest_s: float = 12 * 3600.0
    link_s: float = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in.

    key            SHA-256 of the token: names the session without opening it
    csrf           what unsafe calls must carry in a header; derived from the token, so it ends with it
    expires        when it ends if not used [s since 1970 UTC];  idle  whether use should be noted again
    """

    name: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    csrf: str
    expires: float
    key: bytes
    idle: bool


def new_token() -> str:
    """Return 256 random bits, in characters safe in a cookie and in an address."""
    return secrets.token_urlsafe(32)


def key_of(token: str) -> bytes:
    """Return under which key a token is kept."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def csrf_of(token: str) -> str:
    """Return the token that unsafe calls of a session must carry (HMAC of the session's own, nothing to store)."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"serai csrf", sha256).hexdigest()


class Sessions:
    """The table of sessions. Methods that take `at` are part of a transaction of the caller."""

    def __init__(self, store: Store, roles: Roles, lifetimes: Lifetimes) -> None:
        self._store = store
        self._roles = roles
        self._lifetimes = lifetimes

    def find(self, token: str, now: float) -> Session | None:
        """Return the session of a token, None where there is none or it has ended. Waits for no writer."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        row = self._store.row(
            "SELECT s.key, s.name, s.began, s.seen, a.roles FROM sessions s JOIN accounts a USING (name) "
            "WHERE s.key = ? AND NOT a.disabled",
            key_of(token),
        )
        if row is None:
            return None
        ends = min(row["seen"] + self._lifetimes.idle_s, row["began"] + self._lifetimes.longest_s)
        if not row["began"] - self._lifetimes.idle_s <= now < ends:  # also where the clock was set far back
            return None
        roles = tuple(json.loads(row["roles"]))
        return Session(
            row["name"], roles, self._roles.allowed(roles), csrf_of(token), ends, row["key"],
            idle=now - row["seen"] >= min(NOTED_S, self._lifetimes.idle_s / 2),
        )  # fmt: skip

    def note(self, session: Session, now: float) -> None:
        """Note that a session is in use."""
        with self._store.writing() as at:
            at.execute("UPDATE sessions SET seen = max(seen, ?) WHERE key = ?", (now, session.key))

    def begin(self, at: sqlite3.Connection, name: str, address: str, now: float) -> str:
        """Begin a session under a token that nobody has seen before; return the token."""
        at.execute(
            "DELETE FROM sessions WHERE seen < ? OR began < ?",
            (now - self._lifetimes.idle_s, now - self._lifetimes.longest_s),
        )
        at.execute(
            "DELETE FROM sessions WHERE key IN "
            "(SELECT key FROM sessions WHERE name = ? ORDER BY began DESC LIMIT -1 OFFSET ?)",
            (name, MOST - 1),
        )
        token = new_token()
        at.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (key_of(token), name, address, now, now))
        return token

    def end(self, at: sqlite3.Connection, token: str) -> str | None:
        """End the session of a token; return whose it was."""
        row = at.execute("DELETE FROM sessions WHERE key = ? RETURNING name", (key_of(token),)).fetchone()
        return row and str(row["name"])

    def end_all(self, at: sqlite3.Connection, name: str) -> int:
        """End every session of an account; return how many there were."""
        return at.execute("DELETE FROM sessions WHERE name = ?", (name,)).rowcount

    def count(self, now: float) -> int:
        """Return how many sessions are alive."""
        row = self._store.row(
            "SELECT count(*) AS n FROM sessions WHERE seen >= ? AND began >= ?",
            now - self._lifetimes.idle_s,
            now - self._lifetimes.longest_s,
        )
        return int(row["n"]) if row else 0
