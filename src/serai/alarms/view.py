# SPDX-License-Identifier: Apache-2.0
"""What is shown of an alarm and of what happened to it: keys and parameters, so that any language can say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from serai import units
from serai.alarms.states import SHELF, Hold, State
from serai.units import from_si

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serai.alarms.rationale import Record

DIGITS, MOST_DIGITS = 5, 10  # significant, of a value in a text
SAID: dict[str, Callable[[str], str]] = {  # parameters of a text that tables write otherwise than people
    "unit": units.written,
    "unit_of_size": units.written,
    "quantity": lambda quantity: quantity.replace("_", " "),
    "kind": str.capitalize,  # of a finding: it opens the text
}


@dataclass(frozen=True, slots=True)
class Note:
    """One note under an alarm: a person's words, or `key` and parameters of what the alarm explains."""

    time: float
    who: str
    text: str
    key: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {
            "time": iso(self.time), "who": self.who, "text": self.text,
            "words": {"key": self.key, "parameters": dict(self.parameters)} if self.key else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as it is now; times [s since 1970 UTC], value and limit SI, nan = none.

    id           of the alarm point, the same for ever: letters and digits
    record       why it exists
    where        element, tag, station or process; `element` with its kind before it where it is an element
    began        when its condition last became true; changed: when its state last changed
    holds        why it is not told, by name
    first_out    the first of its group to come
    chattering   comes and goes too often
    past         the last value that was past the limit: what the text tells, for in the dead band, or while the alarm
                 waits to be told or to clear, the value itself may be inside the limit again
    parameters   of the text; `members`: elements that it may be about; `density` of standard volumes [kg/m3]
    """

    id: str
    record: Record
    state: State
    where: str
    element: str
    began: float = nan
    changed: float = nan
    value: float = nan
    limit: float = nan
    acknowledged_by: str = ""
    acknowledged_at: float = nan
    holds: Mapping[str, Hold] = field(default_factory=dict)
    first_out: bool = False
    chattering: bool = False
    notes: tuple[Note, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    density: float = nan
    past: float = nan

    @property
    def key(self) -> str:
        """The key of its text and record."""
        return self.record.key

    @property
    def words(self) -> dict[str, Any]:
        """Return the key of the text and its parameters, numbers in the unit of the record."""
        given = {"element": self.where, "unit": self.record.unit, **self.parameters}
        value = self.past if isfinite(self.past) else self.value
        for digits in range(DIGITS, MOST_DIGITS):  # as many as tell a value from its limit
            told = {"value": self._shown(value, digits), "limit": self._shown(self.limit, digits)}
            if told["value"] != told["limit"] or value == self.limit:
                break
        given |= {name: number for name, number in told.items() if number is not None}
        return {"key": f"alarm.{self.key}", "parameters": given}

    @property
    def text(self) -> str:
        """Return the text in English, units as people write them."""
        given = _Known(self.words["parameters"])
        for name, say in SAID.items():
            if isinstance(given.get(name), str):
                given[name] = say(given[name])
        return self.record.text.format_map(given)

    def _shown(self, value: float, digits: int = DIGITS) -> float | None:
        return float(f"{from_si(value, self.record.unit, self.density):.{digits}g}") if isfinite(value) else None

    def shown(self) -> dict[str, Any]:
        """Return it as JSON can say it: times ISO 8601 UTC, values in the unit of the record, null = none."""
        r, shelf = self.record, self.holds.get(SHELF)
        hold = next(iter(self.holds.values()), None)
        return {
            "id": self.id, "key": self.key, "state": self.state.value, "priority": r.priority.value, "kind": r.source,
            "words": self.words, "text": self.text, "element": self.element, "quantity": r.quantity or None,
            "value": self._shown(self.value), "limit": self._shown(self.limit), "unit": r.unit,
            "began": iso(self.began), "changed": iso(self.changed),
            "acknowledged_by": self.acknowledged_by or None, "acknowledged_at": iso(self.acknowledged_at),
            "shelved_until": iso(shelf.until) if shelf else None,
            "held": {"by": hold.who, "reason": hold.why, "until": iso(hold.until)} if hold else None,
            "first_out": self.first_out, "chattering": self.chattering,
            "cause": r.cause, "consequence": r.consequence, "response": r.response,
            "time_to_respond_s": r.time_to_respond, "owner": r.owner, "date": r.date.isoformat(),
            "notes": [n.shown() for n in self.notes],
            "set": list(self.members),
            **{k: self.parameters[k] for k in ("probability", "size") if k in self.parameters},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing that happened to an alarm: what (`event`), from which state to which, by whom and why.

    number counts up without a gap in one journal; `alarm` is how it stood after.
    """

    number: int
    time: float
    event: str
    before: State
    after: State
    alarm: Alarm
    who: str = ""
    why: str = ""

    def shown(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return {
            "number": self.number, "time": iso(self.time), "event": self.event, "before": self.before.value,
            "after": self.after.value, "who": self.who or None, "why": self.why or None, "alarm": self.alarm.shown(),
        }  # fmt: skip


class _Known(dict[str, Any]):
    """Parameters of a text; what is missing is shown as such."""

    def __missing__(self, key: str) -> str:
        return "?"


def iso(time: float) -> str | None:
    """Return a time [s since 1970 UTC] as ISO 8601 with Z; None where there is none."""
    return units.iso(time) if isfinite(time) else None
