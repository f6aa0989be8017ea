# SPDX-License-Identifier: Apache-2.0
"""Roles and what they may do: one table, read from roles.toml; what the table does not grant is refused."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from serai.errors import AccessRefused, CaseError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ADMINISTRATOR = "security administrator"  # the role of the first account; one account of it always remains
BUNDLED = Path(__file__).with_name("roles.toml")


@dataclass(frozen=True, slots=True)
class Roles:
    """The table.

    grants        role -> its permissions
    permissions   permission -> what it means, in words
    apart         sets of roles that no account may hold together
    """

    grants: Mapping[str, frozenset[str]]
    permissions: Mapping[str, str]
    apart: tuple[frozenset[str], ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.grants)

    def allowed(self, roles: Iterable[str]) -> frozenset[str]:
        """Return all that these roles together permit; a role that the table does not know permits nothing."""
        return frozenset().union(*(self.grants.get(role, frozenset()) for role in roles))

    def check(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Return the roles in the table's order, each once; AccessRefused for unknown ones and for those kept apart."""
        asked = set(roles)
        unknown = sorted(asked - set(self.grants))
        if unknown:
            raise AccessRefused(
                "unknown-role", f"there is no role {unknown[0]!r}", f"The roles are: {', '.join(self.grants)}"
            )
        if not asked:
            raise AccessRefused("no-role", "an account needs a role", f"The roles are: {', '.join(self.grants)}")
        for pair in self.apart:
            if pair <= asked:
                raise AccessRefused(
                    "roles-apart",
                    f"one account may not hold {' and '.join(sorted(pair))} together",
                    "Give the second role to another account",
                )
        return tuple(role for role in self.grants if role in asked)


def read_roles(path: Path) -> Roles:
    """Return the table of a TOML file; CaseError lists what is wrong in it."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    permissions = dict(found.get("permissions", {}))
    grants = {name: frozenset(role.get("permissions", ())) for name, role in found.get("roles", {}).items()}
    apart = tuple(frozenset(pair["roles"]) for pair in found.get("apart", ()))
    mistakes = [
        Mistake(path.name, 0, f"roles.{name}", f"there is no permission {unknown!r}")
        for name, held in grants.items()
        for unknown in sorted(held - set(permissions))
    ]
    mistakes += [
        Mistake(path.name, 0, "apart", f"there is no role {unknown!r}")
        for pair in apart
        for unknown in sorted(pair - set(grants))
    ]
    if ADMINISTRATOR not in grants:
        mistakes.append(Mistake(path.name, 0, "roles", f"{ADMINISTRATOR!r} is missing"))
    if mistakes:
        raise CaseError(str(path), mistakes)
    return Roles(grants, permissions, apart)


@cache
def bundled() -> Roles:
    """Return the table that comes with the package."""
    return read_roles(BUNDLED)
