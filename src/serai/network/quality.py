# SPDX-License-Identifier: Apache-2.0
"""How sure a case is of its own rows, and what it says about itself in words."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serai.network.tables import KINDS

if TYPE_CHECKING:
    from serai.network.network import Network

ABOUT = "ABOUT.md"  # for a newcomer
SOURCES = "SOURCES.md"  # where the rows come from, and which was taken where sources clash


@dataclass(frozen=True, slots=True)
class Quality:
    """How many rows of one kind stand at which confidence (`all` = every kind).

    high, medium, low, computed, unsaid   rows; low = synthetic or inferred, unsaid = no confidence given
    sourced                               rows that say where they come from
    """

    kind: str
    rows: int
    in_service: int
    high: int
    medium: int
    low: int
    computed: int
    unsaid: int
    sourced: int

    @property
    def synthetic(self) -> float:
        """Share of rows that are synthetic or inferred, 0 to 1."""
        return self.low / self.rows if self.rows else 0.0


def quality(network: Network) -> list[Quality]:
    """Return the confidence of the rows of every kind that the case has, in the order of the schema, then of all.

    `pandas.DataFrame(quality(network))` is a table of it.
    """
    found = [_of(network, kind) for kind in KINDS if len(network[kind]) and "confidence" in network[kind].columns]
    sums = {f: sum(getattr(q, f) for q in found) for f in Quality.__slots__ if f != "kind"}
    return [*found, Quality("all", **sums)]


def _of(network: Network, kind: str) -> Quality:
    t = network[kind]
    n = Counter(str(c) for c in t["confidence"])
    active = int((t["status"] == "in service").sum()) if "status" in t.columns else len(t)
    sourced = sum(bool(s) for s in t["source"])
    return Quality(kind, len(t), active, n["high"], n["medium"], n["low"], n["computed"], n[""], sourced)


def words(case: Network | str | os.PathLike[str], file: str = ABOUT) -> str:
    """Return a text that a case has about itself (ABOUT or SOURCES, Markdown); "" where it has none.

    case  a network read from a bundled case, its name, or a case folder
    """
    from serai.network import Network, bundled  # noqa: PLC0415 - the package lists the bundled cases and imports this floor

    name = case.name if isinstance(case, Network) else os.fspath(case)
    path = bundled().get(name, Path(name)) / file
    return path.read_text(encoding="utf-8") if path.is_file() else ""
