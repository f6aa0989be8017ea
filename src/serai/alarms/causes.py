# SPDX-License-Identifier: Apache-2.0
"""One cause, one alarm: which alarm that is told explains which others, and which came first in its group."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Causes:
    """Alarms by number: those that explain, by the elements that they do it for, and what each has explained."""

    def __init__(self) -> None:
        """Begin with nothing explained."""
        self._at: dict[str, dict[int, str]] = {}  # element -> alarm -> its key
        self._elements: dict[int, tuple[str, ...]] = {}
        self._children: dict[int, set[int]] = {}

    def explain(self, alarm: int, key: str, elements: Iterable[str]) -> None:
        """Let an alarm explain what its record may, at these elements and no others."""
        self._leave(alarm)
        self._elements[alarm] = tuple(elements)
        for element in self._elements[alarm]:
            self._at.setdefault(element, {})[alarm] = key

    def of(self, where: str, keys: tuple[str, ...]) -> int | None:
        """Return the alarm that explains a condition at an element, one of `keys`; None = none does."""
        for alarm, key in self._at.get(where, {}).items():
            if key in keys:
                return alarm
        return None

    def under(self, alarm: int, child: int) -> None:
        """Note that an alarm explains another."""
        self._children.setdefault(alarm, set()).add(child)

    def end(self, alarm: int) -> list[int]:
        """Let an alarm explain no more; return what it explained."""
        self._leave(alarm)
        return sorted(self._children.pop(alarm, ()))

    def _leave(self, alarm: int) -> None:
        for element in self._elements.pop(alarm, ()):
            del self._at[element][alarm]
            if not self._at[element]:
                del self._at[element]


class Groups:
    """Alarms that stand, by their first-out group."""

    def __init__(self) -> None:
        """Begin with nothing standing."""
        self._of: dict[str, set[int]] = {}

    def enter(self, group: str, alarm: int) -> bool:
        """Take in that an alarm stands; return whether none of its group did."""
        mine = self._of.setdefault(group, set())
        first = not mine - {alarm}
        mine.add(alarm)
        return first

    def leave(self, group: str, alarm: int) -> None:
        """Take in that an alarm stands no more."""
        mine = self._of.get(group)
        if mine is not None:
            mine.discard(alarm)
            if not mine:
                del self._of[group]
