# SPDX-License-Identifier: Apache-2.0
"""The audit as auditors read it: the log of this room, and the logs that others wrote into the same folder.

A log has one writer, so the command line (`serai accounts`) keeps its own beside the room's.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from serai.audit import Audit, signing_key, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDING = ".audit"


def opened(folder: Path, name: str) -> Audit:
    """Return the log `name` of a site's folder, begun where there is none; one key signs all of them."""
    place = folder / "audit"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Audit(place / f"{name}{ENDING}", signing_key(place / "key.pem"))


def records(own: Audit, start: float, end: float, limit: int) -> list[dict[str, Any]]:
    """Return the newest `limit` records from `start` to before `end` [s since 1970 UTC], the oldest first."""
    found = [{"log": own.path.stem, **asdict(record)} for record in own.records(start, end, limit)]
    for path in _beside(own):
        found += [r for r in _read(path) if start <= datetime.fromisoformat(r["time"]).timestamp() < end][-limit:]
    return sorted(found, key=lambda r: str(r["time"]))[-limit:]


def verified(own: Audit) -> dict[str, Any]:
    """Return the verdict on every log of the folder; the room's key must have signed each of them."""
    key = own.key.public_key()
    logs = []
    for path in (own.path, *_beside(own)):
        verdict = verify(path, key)
        logs.append({
            "log": path.stem, "whole": verdict.holds, "says": str(verdict), "records": verdict.records,
            "heads": verdict.heads, "unsigned": verdict.unsigned, "key": verdict.key,
            "head": asdict(verdict.head) if verdict.head else None,
        })  # fmt: skip
    return {"whole": all(log["whole"] for log in logs), "logs": logs}


def _beside(own: Audit) -> list[Path]:
    """Return the other logs of the folder."""
    return [p for p in sorted(own.path.parent.glob(f"*{ENDING}")) if p != own.path]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole records of a log that another process writes; `verified` tells whether they hold."""
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:  # a line that is being written, or a broken one
                continue
            if isinstance(record, dict) and {"n", "time", "who", "what", "about"} <= record.keys():
                yield {"log": path.stem, **record}
