# SPDX-License-Identifier: Apache-2.0
"""Accounts for tests: a clock that is set, hashing that costs nothing, a record that can be read."""

from __future__ import annotations

from serai.accounts import ADMINISTRATOR, Accounts, Hashing

CHEAP = Hashing(passes=1, memory_kib=8, lanes=1)
HOME = "127.0.0.1"
WORDS = "seven quiet camels drink"  # a password that may be one


class Clock:
    """Seconds since 1970, moved by the test."""

    def __init__(self, now: float = 1_795_356_180.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Records(list):
    """What was recorded: (who, what, where, details)."""

    def append(self, who, what, about):
        details = dict(about)
        super().append((who, what, details.pop("where"), details))

    def what(self):
        return [row[1] for row in self]


def opened(folder, **options):
    """Return (accounts, clock, records) of an empty file."""
    clock, records = Clock(), Records()
    made = Accounts(folder / "accounts.sqlite", records.append, clock=clock, hashing=CHEAP, **options)
    return made, clock, records


def peopled(folder, **options):
    """Return the same with an account for every role, named after its first word; password `WORDS`."""
    made, clock, records = opened(folder, **options)
    made.first(made.first_link(), "admin-one", WORDS)
    for name, role in PEOPLE.items():
        made.add(name, [role], by="admin-one", password=WORDS)
    return made, clock, records


PEOPLE = {
    "viewer": "viewer",
    "oper": "operator",
    "engin": "engineer",
    "secadm": ADMINISTRATOR,
    "secaud": "security auditor",
}
