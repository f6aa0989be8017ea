# SPDX-License-Identifier: Apache-2.0
"""Passwords: what may be one, and how one is kept (argon2id, RFC 9106)."""

from __future__ import annotations

import secrets
import unicodedata
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serai.errors import AccessRefused

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 15  # characters: NIST SP 800-63B-4, 3.1.1.2, where the password is the only factor
LONGEST = 256  # characters: more is no password, and hashing it costs us
FEWEST_KINDS = 6  # different characters

# What people choose when they must choose: words that passwords are made of, and runs along the keyboard.
WORDS = (
    "password", "passw0rd", "parol", "пароль", "gizlin", "welcome", "letmein", "administrator", "admin", "operator",
    "engineer", "dispatcher", "turkmenistan", "turkmengaz", "ashgabat", "asgabat", "aşgabat", "galkynysh", "serai",
    "changeme", "default", "secret", "qwerty", "iloveyou", "monkey", "dragon", "football", "master", "login", "test",
    "user", "guest", "root", "abc",
)  # fmt: skip
RUNS = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "йцукенгшщзхъ",
    "фывапролджэ",
)
LEFT_OVER = 6  # characters that must remain when words and runs are taken out


@dataclass(frozen=True, slots=True)
class Hashing:
    """Cost of one argon2id hash. Plain values are the second recommended set of RFC 9106, 4: 64 MiB, 3 passes."""

    passes: int = 3
    memory_kib: int = 65536
    lanes: int = 4

    def hasher(self) -> PasswordHasher:
        """Return what hashes and verifies at this cost."""
        from argon2 import PasswordHasher  # noqa: PLC0415 - an extra; tables of roles are read without it

        return PasswordHasher(time_cost=self.passes, memory_cost=self.memory_kib, parallelism=self.lanes)


class Passwords:
    """Hashes and verifies; an account that does not exist costs as much as one that does."""

    def __init__(self, cost: Hashing) -> None:
        self._hasher = cost.hasher()
        # the form of a hash of this cost, of no password: looking at it takes the work of a real one
        salt, digest = (b64encode(secrets.token_bytes(n)).rstrip(b"=").decode() for n in (16, 32))
        self._decoy = f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${digest}"

    def hash(self, password: str) -> str:
        """Return the hash to keep, with its salt and cost in it."""
        return self._hasher.hash(_bytes(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Return whether the password is the one of the hash; None (no such account) takes the same work, then no."""
        from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - as above

        try:
            self._hasher.verify(kept or self._decoy, _bytes(password[: LONGEST + 1]))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    def outdated(self, kept: str) -> bool:
        """Return whether a hash was made at another cost and should be made again."""
        return self._hasher.check_needs_rehash(kept)


def normal(password: str) -> str:
    """Return the password in one form of Unicode (NFKC): two keyboards may write one letter as different codes."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    return normal(password).encode("utf-8", "surrogatepass")


def check(password: str, name: str) -> None:
    """Raise AccessRefused with the reason when a password may not be chosen by this account."""
    text = normal(password)
    why = None
    if len(text) < SHORTEST:
        why = f"it has {len(text)} characters and needs {SHORTEST}"
    elif len(text) > LONGEST:
        why = f"it is longer than {LONGEST} characters"
    elif any(unicodedata.category(c) in {"Cc", "Cs"} for c in text):
        why = "it holds a control character"
    elif name.lower() in text.lower():
        why = "it holds the name of the account"
    elif len(set(text.lower())) < FEWEST_KINDS:
        why = f"it has fewer than {FEWEST_KINDS} different characters"
    elif len(_uncommon(text)) < LEFT_OVER:
        why = "it is made of words or runs of keys that are tried first"
    if why:
        raise AccessRefused("weak-password", f"this password is refused: {why}", "Take four or five unrelated words")


def _uncommon(text: str) -> str:
    """Return what remains of a password without common words, runs of keys and repetitions."""
    rest = text.casefold()
    for word in WORDS:
        rest = rest.replace(word, "")
    for run in (*RUNS, *(r[::-1] for r in RUNS)):
        for length in range(len(run), 3, -1):
            for start in range(len(run) - length + 1):
                rest = rest.replace(run[start : start + length], "")
    period = next((n for n in range(1, len(rest) // 2 + 1) if rest[n:] == rest[:-n]), len(rest))
    return rest[:period]
