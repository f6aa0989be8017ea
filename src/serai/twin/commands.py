# SPDX-License-Identifier: Apache-2.0
"""Commands to the field: proposed, tried on the twin, confirmed within two minutes, sent; nothing skips a step.

    proposed -> predicted -> confirmed -> sent -> done | failed
             -> refused      -> withdrawn | expired

Field writes are off unless the site switches them on; a command is then refused, with its effect still shown. One that
would break a limit that holds without it is refused too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from serai.alarms.view import iso
from serai.errors import SeraiError
from serai.known import Known
from serai.telemetry.points import commands
from serai.twin.desk import Refused
from serai.units import UNITS, from_si, to_si

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from serai.network import Network
    from serai.telemetry.points import Answer, Command

WITHIN = 120.0  # s after the effect is known in which it can be confirmed
KEPT = 200  # commands
TRYING = 60.0  # s after which a trial is given up by who waits


class Sends(Protocol):
    """The way to the field."""

    async def command(self, command: Command, value: float) -> Answer:
        """Send a command, `value` in SI."""
        ...


@dataclass(frozen=True, slots=True)
class Proposed:
    """One command and how far it has come; `value` SI."""

    id: str
    command: Command
    value: float
    reason: str
    by: str
    state: str
    made: float
    effect: Mapping[str, Any] | None = None
    refused_because: str | None = None
    confirm_before: float = float("nan")
    confirmed_by: str | None = None
    history: tuple[tuple[float, str, str], ...] = field(default=())


class Commands:
    """All commands of a site; the last `KEPT`.

    send      the way to the field; None = there is none
    writes    whether the site has switched field writes on
    """

    def __init__(self, network: Network, *, send: Sends | None = None, writes: bool = False) -> None:
        self.network, self._send, self.writes = network, send, writes
        self._can = {(c.quantity, c.where): c for c in commands(network)}
        self._all: OrderedDict[str, Proposed] = OrderedDict()
        self._count = 0

    async def propose(
        self, asked: Mapping[str, Any], who: str, now: float, trial: Callable[[Known], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Take a proposal {quantity, where, value, unit, reason}, try it on the twin, return it with its effect."""
        command, value, reason = self._asked(asked)
        self._count += 1
        p = Proposed(f"c{int(now)}-{self._count}", command, value, reason, who, "proposed", now)
        self._keep(p, now, who)
        try:
            effect = await trial(Known(command.quantity, command.where, value, source=f"proposed by {who}"))
        except (SeraiError, TimeoutError) as error:
            p = replace(p, state="refused", refused_because=f"the twin has no answer to it: {error}")
        else:
            why = self._against(effect)
            state = "refused" if why else "predicted"
            p = replace(p, state=state, effect=effect, refused_because=why, confirm_before=now + WITHIN)
        return self.shown(self._keep(p, now, who))

    def _asked(self, asked: Mapping[str, Any]) -> tuple[Command, float, str]:
        quantity, where, reason = (str(asked.get(k, "")).strip() for k in ("quantity", "where", "reason"))
        where = where.partition("/")[2] if "/" in where and where not in self.network else where
        command = self._can.get((quantity, where))
        if command is None:
            raise Refused("unknown", f"no station can be told the {quantity!r} of {where!r}", "See what it can be told")
        if not reason:
            raise Refused("invalid", "a command needs a reason", "Say why")
        unit = str(asked.get("unit") or command.unit)
        if unit not in UNITS or UNITS[unit].dimension != UNITS[command.unit].dimension:
            raise Refused("invalid", f"{unit!r} is no unit of {quantity}", f"Give it in {command.unit or 'no unit'}")
        try:
            value = to_si(float(asked["value"]), unit, self.network.gas.standard_density)
        except (KeyError, TypeError, ValueError):
            raise Refused("invalid", f"{asked.get('value')!r} is no value", "Give a number") from None
        low, high = command.low, command.high
        if not isfinite(value) or value < low or value > high or (command.flag and value not in (0.0, 1.0)):
            raise Refused("invalid", f"{where} takes a {quantity} of {self._span(command)}", "Give one that it takes")
        return command, value, reason

    def _span(self, c: Command) -> str:
        if c.flag:
            return "1 or 0"
        shown = [f"{from_si(v, c.unit, self.network.gas.standard_density):g}" if isfinite(v) else "any"
                 for v in (c.low, c.high)]  # fmt: skip
        return f"{shown[0]} to {shown[1]} {c.unit}"

    def _against(self, effect: Mapping[str, Any]) -> str | None:
        """Return why a command may not be confirmed, None = it may."""
        if effect.get("broken"):
            worst = effect["broken"][0]
            return f"it would take the {worst['quantity']} of {worst['name']} beyond {worst['limit']} {worst['unit']}"
        if not self.writes:
            return "field writes are switched off at this site"
        return None if self._send is not None else "there is no way to the field"

    async def confirm(self, id_: str, who: str, now: float) -> dict[str, Any]:
        """Send a command whose effect was shown, once; return it with what the station said."""
        p = self._one(id_, now)
        if p.state != "predicted":
            raise Refused("conflict", f"command {id_} is {p.state}", p.refused_because or "Propose it again")
        if not self.writes or self._send is None:
            raise Refused("denied", "field writes are switched off at this site", "")
        p = self._keep(replace(p, state="sent", confirmed_by=who), now, who)  # before the wait: once, not twice
        answer = await self._send.command(p.command, p.value)
        state = "done" if answer.accepted else "failed"
        return self.shown(self._keep(replace(p, state=state, refused_because=answer.reason or None), now, who))

    def done(self) -> list[Known]:
        """Return what was commanded and done, oldest first."""
        told = [p for p in self._all.values() if p.state == "done"]
        return [Known(p.command.quantity, p.command.where, p.value, source=f"command {p.id}") for p in told]

    def withdraw(self, id_: str, who: str, now: float) -> dict[str, Any]:
        """Take back a command that was not sent."""
        p = self._one(id_, now)
        if p.state not in ("proposed", "predicted", "refused"):
            raise Refused("conflict", f"command {id_} is {p.state}: it cannot be taken back", "")
        return self.shown(self._keep(replace(p, state="withdrawn"), now, who))

    def listed(self, now: float, limit: int) -> list[dict[str, Any]]:
        """Return commands, newest first."""
        return [self.shown(self._one(id_, now)) for id_ in list(reversed(self._all))[:limit]]

    def _one(self, id_: str, now: float) -> Proposed:
        p = self._all.get(id_)
        if p is None:
            raise Refused("unknown", f"no command {id_!r}", "")
        if p.state == "predicted" and now > p.confirm_before:
            p = self._keep(replace(p, state="expired"), now, "")
        return p

    def _keep(self, p: Proposed, now: float, who: str) -> Proposed:
        p = replace(p, history=(*p.history, (now, p.state, who)))
        self._all[p.id] = p
        while len(self._all) > KEPT:
            self._all.popitem(last=False)
        return p

    def shown(self, p: Proposed) -> dict[str, Any]:
        """Return a command as plain objects."""
        c = p.command
        return {
            "id": p.id, "quantity": c.quantity, "where": c.where, "unit": c.unit,
            "value": round(from_si(p.value, c.unit, self.network.gas.standard_density), 6), "reason": p.reason,
            "proposed_by": p.by, "proposed": iso(p.made), "confirmed_by": p.confirmed_by, "state": p.state,
            "effect": dict(p.effect) if p.effect is not None else None, "refused_because": p.refused_because,
            "confirm_before": iso(p.confirm_before),
            "history": [{"time": iso(t), "state": s, "who": w or None} for t, s, w in p.history],
        }  # fmt: skip
