# SPDX-License-Identifier: Apache-2.0
"""Open files: what is stored and not sealed yet, shown to the processes that read files.

Each `show` writes what is new as one file; small files are merged, sixteen at a time, so that their number stays small
and no more is read or held than a merge needs. A file goes when all that it holds is sealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serai.telemetry.historian.rows import Asked, Rows, ordered, together
from serai.telemetry.historian.segments import OPEN, TAGS, Segment, Segments, write_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serai.telemetry.readings import Register

MERGED, SMALL = 16, 100_000  # so many files of fewer rows are merged into one


class OpenFiles:
    """The open files of a folder of segments.

    upto   row number below which every row is in an open file or sealed
    """

    def __init__(self, segments: Segments, register: Register) -> None:
        self.segments, self.register = segments, register
        self.files: tuple[Segment, ...] = ()
        self.upto = 0
        self._tags_shown = -1
        self._gone: list[str] = []  # taken off a list: removed the next time, when readers have had time to notice

    def show(self, parts: Iterable[Rows], upto: int) -> int:
        """Write rows, in parts, and list them; from then on every row below `upto` is shown. Returns how many rows."""
        new = [self.segments.write("open", rows, self.register, sync=False) for rows in parts if len(rows)]
        self.files, self.upto = (*self.files, *new), upto
        small = [s for s in self.files if s.rows < SMALL]
        if len(small) >= MERGED:
            rows = ordered(together(self.segments.read_all(small, Asked(), self.register)))
            whole = self.segments.write("open", rows, self.register, sync=False)
            self.files = (*(s for s in self.files if s not in small), whole)
            self.remove_later([s.file for s in small])
        self.write()
        return sum(s.rows for s in new)

    def drop(self, before: int, upto: int) -> None:
        """Let go of the files whose rows, before `before` [µs] and numbered below `upto`, are sealed or dropped."""
        old = [s for s in self.files if s.last < before and s.last_row < upto]
        if old:
            self.files = tuple(s for s in self.files if s not in old)
            self.write()
            self.remove_later([s.file for s in old])

    def write(self) -> None:
        """Replace the list of open files."""
        self.write_tags()
        write_list(self.segments.folder / OPEN, self.files, {"stored_before_row": self.upto}, sync=False)

    def write_tags(self) -> None:
        """Replace the list of tags, before any list of files that may hold new ones."""
        if len(self.register) > self._tags_shown:
            write_list(self.segments.folder / TAGS, [], {"tags": list(self.register)})
            self._tags_shown = len(self.register)

    def remove_later(self, files: Sequence[str]) -> None:
        """Remove what was taken off a list the last time, and remember these files for the next."""
        shown = {s.file for s in self.files}
        for file in self._gone:
            if file not in shown:
                (self.segments.folder / file).unlink(missing_ok=True)
                self.segments.forget(file)
        self._gone = list(files)
