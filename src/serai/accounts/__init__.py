# SPDX-License-Identifier: Apache-2.0
"""Accounts of a site: local users, roles after IEC 62351-8, sessions, one-time links; deny by default.

accounts = Accounts(folder / "accounts.sqlite", record=audit.append)
accounts.first_link()                                     # a one-time token while there is no account
token = accounts.sign_in("merdan", password, "127.0.0.1")
accounts.session(token).permissions                       # what its roles permit, nothing else
"""

from __future__ import annotations

from serai.accounts.accounts import CONSOLE, NOBODY, Account, Accounts
from serai.accounts.passwords import Hashing
from serai.accounts.roles import ADMINISTRATOR, Roles, bundled, read_roles
from serai.accounts.sessions import Lifetimes, Session
from serai.accounts.throttle import Limit, Limits

__all__ = [
    "ADMINISTRATOR",
    "CONSOLE",
    "NOBODY",
    "Account",
    "Accounts",
    "Hashing",
    "Lifetimes",
    "Limit",
    "Limits",
    "Roles",
    "Session",
    "bundled",
    "read_roles",
]
