# SPDX-License-Identifier: Apache-2.0
"""The historian: readings kept for years, each batch once, the same calls on DuckDB and PostgreSQL.

import serai.telemetry.historian as historian
with historian.open("history") as history:            # a folder, a .duckdb file or postgresql://...
    history.append("batch 1", readings, source="station A")
    history.read(["Gedaim.p"], "2026-11-22T13:00Z", "2026-11-22T15:00Z", as_of="2026-11-22T14:05Z")
    history.snapshot()                                 # the last reading of every tag
"""

from __future__ import annotations

from serai.telemetry.historian.historian import Historian, Outcome
from serai.telemetry.historian.open import open  # noqa: A004 - reads as `historian.open`, like `shelve.open`
from serai.telemetry.historian.resample import Resampled, Rule

__all__ = ["Historian", "Outcome", "Resampled", "Rule", "open"]
