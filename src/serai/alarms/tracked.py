# SPDX-License-Identifier: Apache-2.0
"""What is kept of an alarm that is not normal, in memory and, the same, in the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from serai.alarms.states import Hold, Point
from serai.alarms.view import Note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serai.alarms.rationale import Condition

NOTES = 50  # of one alarm; the newest stay
_NUMBERS = ("began", "changed", "value", "past", "limit", "acknowledged_at")


@dataclass(slots=True)
class Tracked:
    """One alarm that is not normal; fields as in `Alarm`, `explains`: elements whose deviations it explains."""

    point: Point = field(default_factory=Point)
    began: float = nan
    changed: float = nan
    value: float = nan
    past: float = nan
    limit: float = nan
    acknowledged_by: str = ""
    acknowledged_at: float = nan
    first_out: bool = False
    notes: list[Note] = field(default_factory=list)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()

    def take(self, said: Condition) -> None:
        """Take in what the source tells of it now."""
        self.value, self.limit, self.parameters = said.value, said.limit, said.parameters
        self.members, self.explains = tuple(sorted(said.members)), tuple(sorted(said.explains))

    def note(self, note: Note) -> None:
        """Add a note; of more than NOTES the oldest goes."""
        self.notes = [*self.notes[-(NOTES - 1) :], note]

    def kept(self) -> dict[str, Any]:
        """Return it as JSON can keep it."""
        p = self.point
        return {
            "point": {"active": p.active, "unseen": p.unseen, "holds": {n: _hold(h) for n, h in p.holds.items()}},
            **{name: _or_none(getattr(self, name)) for name in _NUMBERS},
            "acknowledged_by": self.acknowledged_by, "first_out": self.first_out, "parameters": dict(self.parameters),
            "members": self.members, "explains": self.explains,
            "notes": [asdict(n) for n in self.notes],
        }  # fmt: skip

    @classmethod
    def of(cls, doc: Mapping[str, Any]) -> Tracked:
        """Return what `kept` has kept."""
        values: dict[str, Any] = {k: nan if v is None else v for k, v in doc.items()}
        point = values.pop("point")
        holds = {
            n: Hold(**{k: v for k, v in h.items() if v is not None})  # until: inf by itself
            for n, h in point["holds"].items()
        }
        values["notes"] = [Note(**n) for n in values["notes"]]
        values["members"], values["explains"] = tuple(values["members"]), tuple(values["explains"])
        return cls(Point(point["active"], point["unseen"], holds), **values)


def _hold(h: Hold) -> dict[str, Any]:
    return {"until": _or_none(h.until), "who": h.who, "why": h.why}


def _or_none(value: float) -> float | None:
    return value if isfinite(value) else None
