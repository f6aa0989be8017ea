# SPDX-License-Identifier: Apache-2.0
"""What the diagnosis remembers, kept on disk so that a loop that starts again goes on where it was.

The file appears whole or not at all. What is of another network, or cannot be read, is said and left: the diagnosis
then begins anew. The filter takes a gap as scans without readings.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from serai.errors import SeraiError

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()
EVERY = 60.0  # s between two savings


class Keeps(Protocol):
    """What can be saved and taken up, as `serai.diagnose.course.Course`."""

    def save(self) -> dict[str, Any]:
        """Return all that changes, plain."""
        ...

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what `save` returned; SeraiError when it is of other meters."""
        ...


def keep(what: Keeps, path: Path) -> bool:
    """Save; False where the disk takes nothing (the loop goes on, it is logged)."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        text = json.dumps(what.save(), allow_nan=True, separators=(",", ":"))
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        log.warning("what the diagnosis remembers could not be saved", path=str(path), reason=str(error))
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def take_up(what: Keeps, path: Path) -> str:
    """Restore what was saved; return "" where it was, else why not."""
    if not path.exists():
        return "nothing was saved"
    try:
        what.restore(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, SeraiError) as error:
        log.warning("what the diagnosis remembered cannot be taken up", path=str(path), reason=str(error))
        return f"{type(error).__name__}: {error}"
    return ""
