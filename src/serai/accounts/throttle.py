# SPDX-License-Identifier: Apache-2.0
"""How often a password may be tried: free attempts first, then waits that double, by account and by address.

An attempt is charged before the password is looked at and given back when it was right, so that attempts made at the
same moment count too. An attempt during a wait is refused without work and without making the wait longer: whoever
knows the name of an operator can slow him down, never keep him out.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from serai.errors import AccessRefused

if TYPE_CHECKING:
    import sqlite3

    from serai.accounts.store import Store


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` failures without a wait, then `first_s`, doubled by each further one up to `longest_s`."""

    free: int
    first_s: float
    longest_s: float
    forgotten_s: float = 3600.0  # after so long without an attempt, counting begins again

    def wait(self, failures: int) -> float:
        """Return how long after the last of so many failures the next attempt is refused [s]."""
        beyond = failures - self.free
        return 0.0 if beyond < 0 else min(self.longest_s, self.first_s * 2.0 ** min(beyond, 60))


@dataclass(frozen=True, slots=True)
class Limits:
    """What is counted: one account from one address; an address over all accounts; an account over all addresses."""

    pair: Limit = Limit(free=5, first_s=5.0, longest_s=900.0)
    address: Limit = Limit(free=30, first_s=5.0, longest_s=900.0)
    account: Limit = Limit(free=50, first_s=2.0, longest_s=60.0)


class Throttle:
    """Counts failed attempts in the store, under hashed keys: a password typed as a name is not kept in words."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    def _keys(self, name: str, address: str) -> dict[bytes, Limit]:
        return {
            _key("pair", name, address): self._limits.pair,
            _key("address", address): self._limits.address,
            _key("account", name): self._limits.account,
        }

    def charge(self, name: str, address: str, now: float) -> None:
        """Count an attempt, or raise AccessRefused while a wait runs."""
        keys = self._keys(name, address)
        with self._store.writing() as at:
            at.execute("DELETE FROM failures WHERE last < ?", (now - max(k.forgotten_s for k in keys.values()),))
            counts = {key: self._count(at, key, limit, now) for key, limit in keys.items()}
            wait = max(left for _, left in counts.values())
            if wait > 0:
                raise AccessRefused("locked-out", "too many attempts", f"Try again in {_words(wait)}", wait_s=wait)
            for key, (count, _) in counts.items():
                at.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (key, count + 1, now))

    @staticmethod
    def _count(at: sqlite3.Connection, key: bytes, limit: Limit, now: float) -> tuple[int, float]:
        """Return failures so far and how long the wait still is [s]."""
        row = at.execute("SELECT count, last FROM failures WHERE key = ?", (key,)).fetchone()
        if row is None or now - row["last"] > limit.forgotten_s:
            return 0, 0.0
        # a clock that was set back must not lengthen a wait
        return row["count"], min(limit.wait(row["count"]), row["last"] + limit.wait(row["count"]) - now)

    def forgive(self, at: sqlite3.Connection, name: str, address: str) -> None:
        """Forget the failures of an account, and give back its one attempt to the address, within a transaction.

        The address keeps its other failures: else an account of one's own would clear the way to the others.
        """
        for key in (_key("pair", name, address), _key("account", name)):
            at.execute("DELETE FROM failures WHERE key = ?", (key,))
        at.execute("UPDATE failures SET count = max(0, count - 1) WHERE key = ?", (_key("address", address),))


def _key(*parts: str) -> bytes:
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def _words(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
