# SPDX-License-Identifier: Apache-2.0
"""Local accounts: who may sign in, with which roles; every change is recorded before it holds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serai.accounts import passwords, roles
from serai.accounts.passwords import Hashing, Passwords
from serai.accounts.sessions import Lifetimes, Session, Sessions, key_of, new_token
from serai.accounts.store import Store
from serai.accounts.throttle import Limits, Throttle
from serai.errors import AccessRefused

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

# (who, what, about): `append` of the audit. When it raises, what was to be recorded does not happen.
Record = Callable[[str, str, Mapping[str, Any]], object]

NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
CONSOLE = "console"  # who acts on the machine itself: the command line, the first start; no account can have this name
NOBODY = "-"  # who acts without being signed in


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `ready` = it has a password; times in s since 1970 UTC, `seen` None = never signed in."""

    name: str
    roles: tuple[str, ...]
    disabled: bool
    ready: bool
    created: float
    changed: float
    seen: float | None


class Accounts:
    """Accounts, sessions and attempts in one file. Methods block (hashing, disk): call them from a thread.

    `session` alone is quick and may be called from an event loop. `by` is the account that acts. All refusals are
    AccessRefused, a file that cannot be written is NotStored; either way nothing was changed.
    """

    def __init__(
        self,
        path: Path,
        record: Record,
        *,
        clock: Callable[[], float] = time.time,
        hashing: Hashing | None = None,
        lifetimes: Lifetimes | None = None,
        limits: Limits | None = None,
        table: roles.Roles | None = None,
    ) -> None:
        self.clock = clock
        self.roles = table or roles.bundled()
        self.lifetimes = lifetimes or Lifetimes()
        self._append = record
        self._store = Store(path)
        self._sessions = Sessions(self._store, self.roles, self.lifetimes)
        self._throttle = Throttle(self._store, limits or Limits())
        self._passwords = Passwords(hashing or Hashing())

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _record(self, who: str, what: str, where: str, about: Mapping[str, Any]) -> None:
        self._append(who, what, {"where": where, **about})

    # ------------------------------------------------------------------------------------------------------ sessions

    def session(self, token: str) -> Session | None:
        """Return who a token belongs to; None where it belongs to nobody or its session has ended."""
        return self._sessions.find(token, self.clock())

    def note(self, session: Session) -> None:
        """Note that a session is in use (when `session.idle`)."""
        self._sessions.note(session, self.clock())

    def sessions(self) -> int:
        """Return how many sessions are alive."""
        return self._sessions.count(self.clock())

    def sign_in(self, name: str, password: str, address: str, replaces: str = "") -> str:
        """Return the token of a new session; what stood in the browser before (`replaces`) ends.

        An unknown name, a disabled account and a wrong password get the same answer after the same work.
        """
        name = name.strip().lower()
        self._throttle.charge(name, address, self.clock())
        row = self._store.row("SELECT hash, disabled FROM accounts WHERE name = ?", name)
        right = self._passwords.verify(row["hash"] if row else None, password)
        if row is None or not right or row["disabled"]:
            self._record(name if row else NOBODY, "sign-in refused", f"account {name}" if row else "unknown account",
                         {"address": address})  # fmt: skip
            raise AccessRefused("wrong-password", "name or password is wrong", "Check both and try again")
        renewed = self._passwords.hash(password) if self._passwords.outdated(row["hash"]) else row["hash"]
        now = self.clock()
        with self._store.writing() as at:
            self._unchanged(at, name, row["hash"])
            at.execute("UPDATE accounts SET hash = ?, seen = ? WHERE name = ?", (renewed, now, name))
            self._throttle.forgive(at, name, address)
            self._sessions.end(at, replaces)
            token = self._sessions.begin(at, name, address, now)
            self._record(name, "signed in", f"account {name}", {"address": address})
        return token

    def sign_out(self, token: str) -> None:
        """End the session of a token, if it is one."""
        with self._store.writing() as at:
            name = self._sessions.end(at, token)
            if name:
                self._record(name, "signed out", f"account {name}", {})

    def change_password(self, session: Session, old: str, new: str, address: str) -> str:
        """Change one's own password: all sessions of the account end; return the token of a new one."""
        name = session.name
        passwords.check(new, name)
        self._throttle.charge(name, address, self.clock())
        row = self._store.row("SELECT hash FROM accounts WHERE name = ?", name)
        if row is None or not self._passwords.verify(row["hash"], old):
            self._record(name, "password change refused", f"account {name}", {"address": address})
            raise AccessRefused("wrong-password", "the old password is wrong", "Check it and try again")
        if passwords.normal(new) == passwords.normal(old):
            raise AccessRefused("weak-password", "the new password is the old one", "Choose another")
        made, now = self._passwords.hash(new), self.clock()
        with self._store.writing() as at:
            self._unchanged(at, name, row["hash"])
            at.execute("UPDATE accounts SET hash = ?, changed = ? WHERE name = ?", (made, now, name))
            at.execute("DELETE FROM links WHERE name = ?", (name,))
            self._throttle.forgive(at, name, address)
            ended = self._sessions.end_all(at, name)
            token = self._sessions.begin(at, name, address, now)
            self._record(name, "password changed", f"account {name}", {"sessions_ended": ended})
        return token

    @staticmethod
    def _unchanged(at: sqlite3.Connection, name: str, kept: str) -> None:
        """Refuse when the account changed while its password was looked at."""
        row = at.execute("SELECT hash, disabled FROM accounts WHERE name = ?", (name,)).fetchone()
        if row is None or row["hash"] != kept or row["disabled"]:
            raise AccessRefused("wrong-password", "the account was changed at this moment", "Try again")

    # ------------------------------------------------------------------------------------------------ one-time links

    def empty(self) -> bool:
        """Return whether there is no account yet."""
        return self._store.row("SELECT 1 FROM accounts") is None

    def first_link(self) -> str | None:
        """Return a one-time token for the first security administrator, None once there are accounts."""
        with self._store.writing() as at:
            if at.execute("SELECT 1 FROM accounts").fetchone():
                return None
            at.execute("DELETE FROM links WHERE purpose = 'first'")
            self._record(CONSOLE, "first link made", "accounts", {})
            return self._link(at, "first", None)

    def first(self, token: str, name: str, password: str) -> None:
        """Make the first account, a security administrator, with the one-time token of `first_link`."""
        name = _checked(name)
        self._look(token, "first")
        passwords.check(password, name)
        made, now = self._passwords.hash(password), self.clock()
        with self._store.writing() as at:
            self._use(at, token, "first")
            if at.execute("SELECT 1 FROM accounts").fetchone():
                raise _spent()
            held = self.roles.check([roles.ADMINISTRATOR])
            at.execute("INSERT INTO accounts VALUES (?, ?, ?, 0, ?, ?, NULL)", (name, made, json.dumps(held), now, now))
            self._record(name, "first administrator made", f"account {name}", {"roles": held})

    def password_link(self, name: str, by: str) -> str:
        """Return a one-time token with which the owner of an account sets a password; sessions go on until then."""
        with self._store.writing() as at:
            self._existing(at, name)
            at.execute("DELETE FROM links WHERE name = ?", (name,))
            self._record(by, "password link made", f"account {name}", {})
            return self._link(at, "password", name)

    def set_password(self, token: str, password: str) -> str:
        """Set the password of the account that a one-time token is for; its sessions end. Return its name."""
        name = self._look(token, "password")
        passwords.check(password, name)
        made, now = self._passwords.hash(password), self.clock()
        with self._store.writing() as at:
            self._use(at, token, "password")
            at.execute("UPDATE accounts SET hash = ?, changed = ? WHERE name = ?", (made, now, name))
            ended = self._sessions.end_all(at, name)
            self._record(name, "password set by link", f"account {name}", {"sessions_ended": ended})
        return name

    def _link(self, at: sqlite3.Connection, purpose: str, name: str | None) -> str:
        token, now = new_token(), self.clock()
        at.execute("DELETE FROM links WHERE expires < ?", (now,))
        at.execute("INSERT INTO links VALUES (?, ?, ?, ?)", (key_of(token), purpose, name, now + self.lifetimes.link_s))
        return token

    def _look(self, token: str, purpose: str) -> str:
        """Return whose link a token is, before a password is hashed for it."""
        row = self._store.row("SELECT name, expires FROM links WHERE key = ? AND purpose = ?", key_of(token), purpose)
        if row is None or row["expires"] < self.clock():
            raise _spent()
        return row["name"] or ""

    def _use(self, at: sqlite3.Connection, token: str, purpose: str) -> None:
        """Spend a link within a transaction: of two at the same moment one succeeds."""
        if not at.execute("DELETE FROM links WHERE key = ? AND purpose = ?", (key_of(token), purpose)).rowcount:
            raise _spent()

    # ------------------------------------------------------------------------------------------------ administration

    def list(self) -> list[Account]:
        """Return all accounts by name."""
        return [_account(row) for row in self._store.rows("SELECT * FROM accounts ORDER BY name")]

    def get(self, name: str) -> Account:
        """Return one account."""
        row = self._store.row("SELECT * FROM accounts WHERE name = ?", name)
        if row is None:
            raise _unknown(name)
        return _account(row)

    def add(self, name: str, held: Iterable[str], by: str, password: str | None = None) -> Account:
        """Add an account. Without a password it can be signed in to once its owner has used a `password_link`."""
        name, held, now = _checked(name), self.roles.check(held), self.clock()
        if password is not None:
            passwords.check(password, name)
        made = None if password is None else self._passwords.hash(password)
        with self._store.writing() as at:
            if at.execute("SELECT 1 FROM accounts WHERE name = ?", (name,)).fetchone():
                raise AccessRefused("name-taken", f"there is an account {name} already", "Choose another name")
            at.execute("INSERT INTO accounts VALUES (?, ?, ?, 0, ?, ?, NULL)", (name, made, json.dumps(held), now, now))
            self._record(by, "account added", f"account {name}", {"roles": held})
        return self.get(name)

    def change(self, name: str, by: str, *, held: Iterable[str] | None = None, disabled: bool | None = None) -> Account:
        """Change roles or disable; its sessions end. Nobody changes himself, and one administrator always remains."""
        with self._store.writing() as at:
            old = self._existing(at, name)
            new = old.roles if held is None else self.roles.check(held)
            off = old.disabled if disabled is None else disabled
            self._other(name, by)
            at.execute("UPDATE accounts SET roles = ?, disabled = ?, changed = ? WHERE name = ?",
                       (json.dumps(new), off, self.clock(), name))  # fmt: skip
            self._governed(at)
            ended = self._sessions.end_all(at, name)
            self._record(by, "account changed", f"account {name}", {
                "roles_before": old.roles, "roles": new, "disabled_before": old.disabled, "disabled": off,
                "sessions_ended": ended,
            })  # fmt: skip
        return self.get(name)

    def remove(self, name: str, by: str) -> None:
        """Remove an account and its sessions. What it did stays in the audit."""
        with self._store.writing() as at:
            old = self._existing(at, name)
            self._other(name, by)
            at.execute("DELETE FROM accounts WHERE name = ?", (name,))
            self._governed(at)
            self._record(by, "account removed", f"account {name}", {"roles": old.roles})

    def revoke(self, name: str, by: str) -> int:
        """End all sessions of an account; return how many there were."""
        with self._store.writing() as at:
            self._existing(at, name)
            ended = self._sessions.end_all(at, name)
            self._record(by, "sessions revoked", f"account {name}", {"sessions_ended": ended})
        return ended

    def _other(self, name: str, by: str) -> None:
        """Refuse to change oneself: roles are given by another person, never taken."""
        if name == by:
            self._record(by, "change of own account refused", f"account {name}", {})
            raise AccessRefused(
                "own-account", "nobody changes roles or state of his own account", "Ask another security administrator"
            )

    @staticmethod
    def _existing(at: sqlite3.Connection, name: str) -> Account:
        row = at.execute("SELECT * FROM accounts WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise _unknown(name)
        return _account(row)

    @staticmethod
    def _governed(at: sqlite3.Connection) -> None:
        """Refuse, within a transaction, what leaves nobody who could give rights again."""
        left = at.execute("SELECT roles FROM accounts WHERE NOT disabled").fetchall()
        if not any(roles.ADMINISTRATOR in json.loads(row["roles"]) for row in left):
            raise AccessRefused(
                "last-administrator",
                f"this is the last {roles.ADMINISTRATOR}",
                f"Make another account {roles.ADMINISTRATOR} first",
            )


def _account(row: sqlite3.Row) -> Account:
    return Account(
        row["name"], tuple(json.loads(row["roles"])), bool(row["disabled"]), row["hash"] is not None,
        row["created"], row["changed"], row["seen"],
    )  # fmt: skip


def _checked(name: str) -> str:
    """Return a name as it is kept; AccessRefused when it cannot be one."""
    found = name.strip().lower()
    if not NAME.fullmatch(found) or found == CONSOLE:
        raise AccessRefused(
            "bad-name", "this cannot be the name of an account", "2 to 32 of a-z, 0-9, point, dash; a letter first"
        )
    return found


def _unknown(name: str) -> AccessRefused:
    return AccessRefused("unknown-account", f"there is no account {name[:40]!r}", "GET accounts lists them")


def _spent() -> AccessRefused:
    return AccessRefused("bad-link", "this one-time link was used, has expired or never was one", "Ask for a new one")
