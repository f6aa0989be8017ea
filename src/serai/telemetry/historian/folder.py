# SPDX-License-Identifier: Apache-2.0
"""Reading a history beside its writer, or a backup: the lists of segments and the files, nothing else.

What is visible when: a sealed hour from the moment its sealing ends; what is stored since, from the writer's next
`publish` on (the ingest stage publishes every few seconds). A row leaves the list of open files only after it stands in
the list of sealed ones, and here the open list is read first, so a row may be seen in both but never in neither.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from serai.errors import SegmentChanged, SeraiError
from serai.telemetry.historian.engine import LEDGER, Engine, Entry, ToStore
from serai.telemetry.historian.rows import EVER, Asked, Rows, together
from serai.telemetry.historian.segments import LEDGER_FILE, MANIFEST, OPEN, TAGS, Segment, Segments, read_list
from serai.telemetry.readings import Counts, Register

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Folder:
    """An engine that only reads a folder of segments; every question reads the lists again."""

    name = "segments"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.register = Register()
        self.counts = Counts(f"reader of {folder}")
        self.segments = Segments(folder)
        self.has_ledger = (folder / LEDGER_FILE).exists()
        if not (folder / MANIFEST).exists():
            msg = f"{folder}: holds no {MANIFEST}; name the folder or the .duckdb file of a history, or a backup"
            raise SeraiError(msg)
        self.refresh()

    def refresh(self) -> None:
        """Take up the tags that the writer has added."""
        tags = read_list(self.folder / TAGS)[1].get("tags", [])
        if isinstance(tags, list) and len(tags) > len(self.register):
            self.register.numbers(tags)

    def _lists(self) -> tuple[list[Segment], list[Segment], dict[str, object]]:
        """Return open files, sealed segments and what is told beside them: the open list first, see above."""
        shown, _ = read_list(self.folder / OPEN)
        sealed, told = read_list(self.folder / MANIFEST)
        return shown, sealed, told

    def rows(self, asked: Asked) -> Rows:
        """Return the rows that are asked for; when the writer has just replaced a file, the lists are read again."""
        for attempt in range(8):
            time.sleep(0.02 * attempt)
            shown, sealed, told = self._lists()
            # an open file may still hold rows that retention has dropped
            asked = replace(asked, start=max(asked.start, _retained(told)))
            try:
                return together(self.segments.read_all([*shown, *sealed], asked, self.register))
            except SegmentChanged as error:
                if attempt == 7 or (self.folder / error.file).exists():
                    raise
        raise AssertionError  # the last attempt returns or raises

    def hours(self) -> dict[int, int]:
        """Return the hours that hold rows, with about how many."""
        shown, sealed, _ = self._lists()
        found: Counter[int] = Counter()
        for segment in (*shown, *sealed):
            found.update(self.segments.hours(segment, self.register))
        return dict(found)

    def retained_since(self) -> int:
        """Return the time before which rows were dropped on purpose."""
        return _retained(self._lists()[2])

    def ledger(self) -> pa.Table:
        """Return the ledger of a backup; beside a writer it is with the writer."""
        if not self.has_ledger:
            msg = f"{self.folder}: the ledger is in the database of the writer; ask there, or make a backup"
            raise SeraiError(msg)
        return pq.read_table(self.folder / LEDGER_FILE, schema=LEDGER)

    def verify(self) -> list[str]:
        """Check every listed file against its hash and its line."""
        shown, sealed, _ = self._lists()
        return self.segments.verify([*shown, *sealed], self.register)

    def publish(self) -> int:
        """Return 0: what is stored is shown by the writer."""
        return 0

    def close(self) -> None:
        """Let go of what reads."""
        self.segments.close()

    def _refuse(self) -> NoReturn:
        msg = f"{self.folder}: is open for reading only; the process that writes it may do this"
        raise SeraiError(msg)

    def add_tags(self, names: Sequence[str]) -> None:
        """Refuse: read only."""
        self._refuse()

    def store(self, batches: Sequence[ToStore], clock: Callable[[], int]) -> None:
        """Refuse: read only."""
        self._refuse()

    def entries(self, batches: Sequence[str]) -> dict[str, Entry]:
        """Refuse: read only."""
        self._refuse()

    def load(self, rows: Rows, ledger: pa.Table) -> None:
        """Refuse: read only."""
        self._refuse()

    def seal(self, before: int) -> int:
        """Refuse: read only."""
        self._refuse()

    def relieve(self, most: int) -> int:
        """Refuse: read only."""
        self._refuse()

    def compact(self) -> int:
        """Refuse: read only."""
        self._refuse()

    def retain(self, since: int) -> int:
        """Refuse: read only."""
        self._refuse()


def _retained(told: dict[str, object]) -> int:
    since = told.get("retained_since", -EVER)
    return since if isinstance(since, int) else -EVER


_: type[Engine] = Folder  # the type checker compares it with what an engine is
