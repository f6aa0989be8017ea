# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as one tree. Every message says what, where and what to do.

SeraiError
├── CaseError            the case folder or file holds mistakes; `mistakes` lists all of them
├── Untranslated         a converter met things that it cannot carry; `items` lists them
├── UnknownName          a name, quantity or unit that the network does not have
├── NotClosed            the Knowns do not close the laws: something is missing or given twice
│   └── NoReference      a part without a pressure (gas) or without an angle (power)
│       └── NoSwing      a gas island in which every flow is given
├── SingularSystem       the matrix is singular although its structure is not
├── NotConverged         Newton ended without an answer
│   └── ModeCycle        limits and modes kept switching each other
├── BadNomination        flows that no network could carry: they do not balance, or exceed an entry or exit
├── PhysicsRefused       an answer exists on paper only: a pressure below zero, a demand that cannot flow
├── BadTimes             a time step, horizon or event that does not fit
├── NotStored            readings could not be stored: disk full, server lost; nothing of the batch was
│   └── BatchConflict    a batch id came again with other content
├── ChainBroken          an audit log does not hold together: it was changed, or part of it is missing
├── Refused              an action that may not be done as things stand; `reason` is its short name
├── SegmentChanged       a sealed part of the history differs from its hash
└── AccessRefused        an account, a password, a session or a role does not allow it; `kind` says why in one word
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class SeraiError(Exception):
    """Any error that Serai raises on purpose: show its text, not its traceback."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in one file: `pipes.csv row 12, length_km: must be above 0, got -3`.

    `row` is the row as a spreadsheet numbers it (the header is row 1); 0 where no row applies.
    """

    file: str
    row: int
    column: str
    text: str

    def __str__(self) -> str:
        """Say where and what."""
        place = self.file + (f" row {self.row}" if self.row else "")
        return f"{place}{', ' + self.column if self.column else ''}: {self.text}"


class CaseError(SeraiError):
    """A case cannot be read; `mistakes` holds every mistake found, not only the first."""

    def __init__(self, case: str, mistakes: Iterable[Mistake]) -> None:
        """Collect the mistakes of `case`."""
        self.case = case
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        lines = "\n".join(f"  {m}" for m in self.mistakes)
        super().__init__(f"{case}: {count} mistake{'s' if count != 1 else ''}\n{lines}")


class Untranslated(SeraiError):  # noqa: N818 - reads as what happened
    """A converter refuses because it would lose `items`; the caller may tell it to go on."""

    def __init__(self, source: str, items: Sequence[str]) -> None:
        """List what would be lost from `source`."""
        self.source = source
        self.items = tuple(items)
        lines = "\n".join(f"  {item}" for item in self.items)
        super().__init__(
            f"{source}: {len(self.items)} things cannot be carried over:\n{lines}\n"
            "Pass allow_loss=True (command line: --allow-loss) to go on without them."
        )


class UnknownName(SeraiError):  # noqa: N818 - reads as what happened
    """A name, quantity, unit or case that does not exist."""


class NotClosed(SeraiError):  # noqa: N818 - reads as what happened
    """The Knowns do not close the laws; `missing` and `twice` name the places."""

    def __init__(self, text: str, missing: Sequence[str] = (), twice: Sequence[str] = ()) -> None:
        """Keep the named places beside the text."""
        self.missing = tuple(missing)
        self.twice = tuple(twice)
        super().__init__(text)


class NoReference(NotClosed):
    """A part without a pressure (gas) or angle (power); `missing` names it, `island` all that hangs with it."""

    def __init__(self, text: str, missing: Sequence[str] = (), island: Sequence[str] = ()) -> None:
        """Keep the named places beside the text."""
        self.island = tuple(island)
        super().__init__(text, missing=missing)


class NoSwing(NoReference):
    """A gas island in which every supply and withdrawal is given: nothing can balance it."""


class SingularSystem(SeraiError):  # noqa: N818 - reads as what happened
    """The matrix is numerically singular; `rows` and `columns` point at the suspicious places."""

    def __init__(self, text: str, rows: Sequence[int] = (), columns: Sequence[int] = ()) -> None:
        """Keep the suspicious rows and columns beside the text."""
        self.rows = tuple(int(r) for r in rows)
        self.columns = tuple(int(c) for c in columns)
        super().__init__(text)


class NotConverged(SeraiError):  # noqa: N818 - reads as what happened
    """Newton ended without an answer: the text names the worst element and what to try."""


class ModeCycle(NotConverged):
    """Limits and modes kept switching each other; `elements` names those that cycle."""

    def __init__(self, text: str, elements: Sequence[str] = ()) -> None:
        """Keep the cycling elements beside the text."""
        self.elements = tuple(elements)
        super().__init__(text)


class PhysicsRefused(SeraiError):  # noqa: N818 - reads as what happened
    """The laws have no acceptable answer for these Knowns; `elements` names the places."""

    def __init__(self, text: str, elements: Sequence[str] = ()) -> None:
        """Keep the places beside the text."""
        self.elements = tuple(elements)
        super().__init__(text)


class BadNomination(SeraiError):  # noqa: N818 - reads as what happened
    """A nomination that needs no physics to be refused; `mistakes` holds every reason, not only the first."""

    def __init__(self, network: str, mistakes: Sequence[str]) -> None:
        """Collect the mistakes of a nomination of `network`."""
        self.mistakes = tuple(mistakes)
        super().__init__(f"nomination of {network}: " + "; ".join(self.mistakes))


class BadTimes(SeraiError):  # noqa: N818 - reads as what happened
    """A step, horizon or event time that does not fit."""


class NotStored(SeraiError):  # noqa: N818 - reads as what happened
    """Readings could not be stored and nothing of their batch was; `reason` is the name under which it is counted."""

    def __init__(self, text: str, reason: str) -> None:
        """Keep the name of the reason beside the text."""
        self.reason = reason
        super().__init__(text)


class BatchConflict(NotStored):
    """A batch id came again with other content; `batch` names it."""

    def __init__(self, text: str, batch: str) -> None:
        """Keep the batch id beside the text."""
        self.batch = batch
        super().__init__(text, "other content under the same batch id")


class Refused(SeraiError):  # noqa: N818 - reads as what happened
    """An action that may not be done as things stand, and was not; `reason` is a short name of why."""

    def __init__(self, text: str, reason: str = "") -> None:
        """Keep the short name beside the text."""
        self.reason = reason
        super().__init__(text)


class ChainBroken(SeraiError):  # noqa: N818 - reads as what happened
    """An audit log does not hold together; `file` names it, `line` where."""

    def __init__(self, text: str, file: str, line: int) -> None:
        """Keep the place beside the text."""
        self.file, self.line = file, line
        super().__init__(text)


class SegmentChanged(SeraiError):  # noqa: N818 - reads as what happened
    """A sealed part of the history differs from the hash under which it was sealed; `file` names it."""

    def __init__(self, text: str, file: str) -> None:
        """Keep the file beside the text."""
        self.file = file
        super().__init__(text)


class AccessRefused(SeraiError):  # noqa: N818 - reads as what happened
    """Somebody may not do what was asked; nothing was changed.

    kind        why, in one word for programs: wrong-password, locked-out, forbidden, ...
    message     what happened, without a secret and without telling which accounts exist;  what_to_do   what helps
    wait_s      seconds after which it makes sense to try again; 0 where waiting does not help
    """

    def __init__(self, kind: str, message: str, what_to_do: str = "", wait_s: float = 0.0) -> None:
        """Keep the parts beside the text."""
        self.kind = kind
        self.message = message
        self.what_to_do = what_to_do
        self.wait_s = wait_s
        super().__init__(f"{message}. {what_to_do}" if what_to_do else message)
