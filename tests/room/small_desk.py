# SPDX-License-Identifier: Apache-2.0
"""A small desk over the steady state of two_pipes: every value is solved, every refusal is one that a twin makes.

Two lower limits stand between the pressures of the towns, so one alarm is active from the start. A proposed
withdrawal is tried by solving the network again.
"""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import serai as sr
from serai.errors import SeraiError
from serai.twin.desk import Event, Refused

BAR = 1e5
LOW = 52.0  # bara, a limit that Town B is below (49.7) and Town A above (53.8)
STEP = timedelta(seconds=60)


def iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def solved(**withdrawals):
    """Return (quantity, where, unit, low, value) of two_pipes, solved with other withdrawals [kg/s] where given."""
    network = sr.read("two_pipes")
    known = [sr.Known("withdrawal", f"{town} gas", value) for town, value in withdrawals.items()]
    data = sr.steady(network, knowns=known).dataset if known else sr.steady(network).dataset
    rows = [
        ("pressure", str(node), "bara", LOW if "Town" in str(node) else None, float(p) / BAR)
        for node, p in zip(data.gas_node.values, data.pressure.values, strict=True)
    ]
    return rows + [
        ("flow", str(pipe), "kg/s", None, float(q))
        for pipe, q in zip(data.gas_branch.values, data.flow.values, strict=True)
    ]


class SmallDesk:
    """A desk in this process. `tick` makes a scan; `down` makes it refuse everything, as a lost loop does."""

    def __init__(self, *, places: int = 0) -> None:
        self.rows = solved()
        # a larger room for measurements: the same solved values again and again
        self.rows += [(q, f"{w} {k}", u, low, v) for k in range(places // 5) for q, w, u, low, v in self.rows[:5]]
        self.began = datetime.now(UTC)
        self.sequence = 0
        self.down = False
        self.slow_s = 0.0
        self.asked: list[str] = []
        self._queues: set[tuple] = set()
        self._ids = itertools.count(1)
        self._commands: list[dict] = []
        self._entries: list[dict] = []
        self._happened: list[dict] = []
        self._alarm = {
            "id": "low1", "key": "pressure-low", "state": "unacknowledged", "priority": "high", "kind": "limit",
            "words": {"key": "alarm.pressure-low", "parameters": {"element": "Town B"}},
            "text": "Town B: pressure below its limit", "element": "nodes/Town B", "quantity": "pressure",
            "value": self.rows[2][4], "limit": LOW, "unit": "bara", "began": iso(self.began),
            "changed": iso(self.began), "acknowledged_by": None, "shelved_until": None, "first_out": True,
            "cause": "more is taken than the pipe brings", "consequence": "the town's regulators close",
            "response": "lower the withdrawal of Town A", "time_to_respond_s": 1800.0, "notes": [],
        }  # fmt: skip

    async def _asked(self, name: str) -> None:
        self.asked.append(name)
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.down:
            raise Refused("unavailable", "the loop is not there", "It comes back by itself")

    # ---------------------------------------------------------------------------------------------- what there is, is

    async def case(self):
        await self._asked("case")
        return {
            "name": "two_pipes", "title": "Teaching case", "place": "none", "time_zone": "Asia/Ashgabat",
            "base_time": iso(self.began), "day": None, "has_map": False, "languages": ["en", "tk", "ru"],
            "synthetic": True, "version": sr.__version__, "field_writes": False, "units": {"pressure": "bara"},
        }  # fmt: skip

    async def network(self):
        await self._asked("network")
        elements = [
            {"id": f"{'nodes' if q == 'pressure' else 'pipes'}/{w}", "kind": "node" if q == "pressure" else "pipe",
             "name": w, "carrier": "gas", "at": None, "path": None, "confidence": "low", "synthetic": True,
             "facts": []}
            for q, w, *_ in self.rows
        ]  # fmt: skip
        return {"elements": elements, "outlines": None}

    async def layout(self):
        await self._asked("layout")
        return {"version": "1", "values": [
            {"quantity": q, "where": w, "unit": u, "decimals": 2, "tag": f"{w}.{q}", "low": low, "high": None,
             "sigma": 0.05} for q, w, u, low, _ in self.rows
        ]}  # fmt: skip

    def _scan(self, time: datetime) -> dict:
        values = [round(v, 2) for *_, v in self.rows]
        return {
            "sequence": self.sequence, "time": iso(time), "clock": iso(time), "made": iso(time),
            "estimate": values, "sigma": [0.05] * len(values), "measured": [None, *values[1:]],
            "quality": [0x80, *[0] * (len(values) - 1)], "source": "p" + "e" * (len(values) - 1),
            "key": {"linepack": None}, "exports": [],
            "tally": {"urgent": 0, "high": 1, "low": 0, "data": 0, "unacknowledged": 1},
            "health": {"gas": {"age_s": 1.0, "status": "good"}},
        }  # fmt: skip

    async def snapshot(self):
        await self._asked("snapshot")
        return self._scan(datetime.now(UTC))

    async def health(self):
        await self._asked("health")
        return {
            "loop": {"status": "up", "sequence": self.sequence, "period_s": 60.0, "behind_s": 0.0,
                     "stages": [{"name": "estimate", "p50_ms": 2.0, "p99_ms": 5.0, "last_ms": 2.0}]},
            "sources": [{"name": "Town A", "protocol": "iec104", "status": "up", "since": iso(self.began),
                         "readings_per_s": 0.1, "last": iso(self.began), "age_s": 1.0, "reason": ""}],
            "history": {"status": "up", "rows": 0, "last_sealed": None, "free_bytes": 1_000_000},
            "processes": [{"name": "loop", "pid": 1, "status": "up", "restarts": 0, "memory_mb": 100.0}],
            "quality": {"good": len(self.rows) - 1, "suspect": 0, "stale": 0, "bad": 1, "total": len(self.rows)},
        }  # fmt: skip

    async def diagnosis(self):
        await self._asked("diagnosis")
        return {"time": iso(datetime.now(UTC)), "findings": [], "residuals": [], "curve": None, "unobservable": [],
                "scan_ms": 1.0}  # fmt: skip

    async def readings(self, where=None, tag=None, limit=1000):
        await self._asked("readings")
        found = [
            {"tag": f"{w}.{q}", "quantity": q, "where": w, "place": None, "value": None if k == 0 else round(v, 2),
             "unit": u, "quality": ["invalid"] if k == 0 else ["good"], "age_s": 1.0, "residual": 0.0,
             "estimate": round(v, 2), "sigma": 0.05, "limit": 3.0}
            for k, (q, w, u, _, v) in enumerate(self.rows)
            if where in (None, w) and tag in (None, f"{w}.{q}")
        ]  # fmt: skip
        if not found:
            raise Refused("unknown", f"there is no instrument {tag or where!r}", "GET layout lists all tags")
        return found[:limit]

    async def ahead(self):
        await self._asked("ahead")
        raise Refused("not-ready", "no look-ahead was computed yet", "It comes with the next minutes")

    async def outages(self):
        await self._asked("outages")
        raise Refused("not-ready", "no outages were computed yet", "They come with the next minutes")

    async def plan(self):
        await self._asked("plan")
        raise Refused("not-ready", "no plan was computed", "serai plan two_pipes computes one")

    async def sheets(self, day=None):
        await self._asked("sheets")
        begin = datetime.fromisoformat(f"{day or self.began.date()}T00:00:00+00:00")
        rows = [{"element": "supplies/Field", "term": "in", "volume": 1.0, "known": 1.0}]
        return {"day": day, "start": iso(begin), "end": iso(begin + timedelta(days=1)), "until": iso(self.began),
                "unit": "million_m3", "totals": {"in": 1.0}, "into_linepack_or_lost": 1.0, "known": 1.0,
                "rows": rows}  # fmt: skip

    async def trend(self, series, start, end, points=600):
        await self._asked("trend")
        first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
        step = max((last - first) / points, STEP)
        times = [first + step * k for k in range(min(points, int((last - first) / step)))]
        out = []
        for name in series:
            quantity, _, where = name.partition(":")
            row = next((r for r in self.rows if r[0] == quantity and r[1] == where), None)
            if row is None:
                raise Refused("unknown", f"there is no series {name!r}", "Write quantity:where of the layout")
            out.append({
                "quantity": quantity, "where": where, "unit": row[2], "limits": {"low": row[3], "high": None},
                "time": [iso(t) for t in times], "measured": [row[4]] * len(times), "estimate": [row[4]] * len(times),
                "sigma": [0.05] * len(times), "forecast_from": None,
            })  # fmt: skip
        return {"start": start, "end": end, "series": out}

    async def instant(self, time):
        await self._asked("instant")
        if datetime.fromisoformat(time) < self.began:
            raise Refused("unknown", f"nothing was known at {time}", f"The history begins at {iso(self.began)}")
        return {**self._scan(datetime.fromisoformat(time)), "sequence": None}

    # --------------------------------------------------------------------------------------------------------- alarms

    async def alarms(self, state=(), limit=1000):  # noqa: ARG002
        await self._asked("alarms")
        wanted = self._alarm["state"] in state if state else self._alarm["state"] != "normal"
        return [dict(self._alarm)] if wanted else []

    def _one(self, id: str) -> dict:  # noqa: A002
        if id != self._alarm["id"]:
            raise Refused("unknown", f"there is no alarm {id!r}", "GET alarms lists them")
        return self._alarm

    async def alarm(self, id):  # noqa: A002
        await self._asked("alarm")
        return dict(self._one(id))

    async def alarm_history(self, start, end, limit=1000):
        await self._asked("alarm_history")
        return [h for h in self._happened if start <= h["time"] < end][-limit:]

    async def alarm_figures(self):
        await self._asked("alarm_figures")
        return {"per_10_min": 0.0}

    def _move(self, id, event, who, why, before, after):  # noqa: A002, PLR0917
        alarm = self._one(id)
        if alarm["state"] not in before:
            raise Refused("conflict", f"the alarm is {alarm['state']}", "Look at it again")
        was, alarm["state"] = alarm["state"], after
        self._happened.append({"time": iso(datetime.now(UTC)), "event": event, "before": was, "after": after,
                               "who": who, "why": why, "alarm": dict(alarm)})  # fmt: skip
        self.tell("alarm", dict(alarm))
        return dict(alarm)

    async def acknowledge(self, id, who):  # noqa: A002
        await self._asked("acknowledge")
        return self._move(id, "acknowledged", who, "", ("unacknowledged", "returned"), "acknowledged")

    async def shelve(self, id, who, minutes, why):  # noqa: A002, ARG002
        await self._asked("shelve")
        return self._move(id, "shelved", who, why, ("unacknowledged", "acknowledged", "normal"), "shelved")

    async def unshelve(self, id, who):  # noqa: A002
        await self._asked("unshelve")
        return self._move(id, "unshelved", who, "", ("shelved",), "unacknowledged")

    async def suppress(self, id, who, why, until):  # noqa: A002, ARG002
        await self._asked("suppress")
        return self._move(id, "suppressed", who, why, ("unacknowledged", "acknowledged", "normal"), "suppressed")

    async def out_of_service(self, id, who, why, permit):  # noqa: A002, ARG002
        await self._asked("out_of_service")
        return self._move(id, "taken out", who, why, ("unacknowledged", "acknowledged", "normal"), "out-of-service")

    async def into_service(self, id, who, why):  # noqa: A002
        await self._asked("into_service")
        return self._move(id, "put back", who, why, ("out-of-service",), "unacknowledged")

    # ---------------------------------------------------------------------------------------------- log, commands

    def _entry(self, text: str, who: str, subject: str) -> dict:
        entry = {"n": next(self._ids), "time": iso(datetime.now(UTC)), "who": who, "text": text, "subject": subject}
        self._entries.append(entry)
        self.tell("log", entry)
        return entry

    async def annotate(self, subject, text, who):
        await self._asked("annotate")
        if subject != self._alarm["id"] and not any(subject.endswith(r[1]) for r in self.rows):
            raise Refused("unknown", f"there is no alarm or element {subject!r}", "GET network lists elements")
        return self._entry(text, who, subject)

    async def write(self, text, who, subject=""):
        await self._asked("write")
        return self._entry(text, who, subject)

    async def log(self, start=None, end=None, limit=1000):
        await self._asked("log")
        return [e for e in self._entries if (start or "") <= e["time"] < (end or "9")][::-1][:limit]

    async def commands(self, limit=100):
        await self._asked("commands")
        return [dict(c) for c in self._commands[::-1]][:limit]

    async def propose(self, command, who):
        await self._asked("propose")
        if command["quantity"] != "withdrawal" or command["where"] not in {"Town A", "Town B"}:
            raise Refused("unknown", f"nothing sets {command['quantity']} of {command['where']}", "Set a withdrawal")
        if command["unit"] != "kg/s" or not 0 <= command["value"] <= 1000:
            raise Refused("invalid", "a withdrawal is 0 to 1000 kg/s", "Send it in kg/s")
        try:
            after = solved(**{command["where"]: command["value"]})
        except SeraiError as error:
            after, why = [], str(error)
        else:
            why = "field writes are off at this site"
        changes = [
            {"quantity": q, "where": w, "before": round(old, 3), "after": round(new, 3), "unit": u, "limit": low,
             "broken": low is not None and new < low}
            for (q, w, u, low, old), (*_, new) in zip(self.rows, after, strict=False)
        ]  # fmt: skip
        made = {
            "id": f"c{next(self._ids)}", **command, "proposed_by": who, "state": "predicted" if after else "refused",
            "effect": {"changes": changes, "worst": None, "hours": 0.0}, "refused_because": None if after else why,
            "confirm_before": iso(datetime.now(UTC) + timedelta(seconds=120)),
        }  # fmt: skip
        self._commands.append(made)
        return dict(made)

    def _command(self, id: str) -> dict:  # noqa: A002
        found = next((c for c in self._commands if c["id"] == id), None)
        if found is None:
            raise Refused("unknown", f"there is no command {id!r}", "GET commands lists them")
        if found["state"] != "predicted":
            raise Refused("conflict", f"the command is {found['state']}", "Propose it again")
        return found

    async def confirm(self, id, who):  # noqa: A002, ARG002
        await self._asked("confirm")
        self._command(id)
        raise Refused("denied", "field writes are off at this site", "The case's owner switches them on")

    async def withdraw(self, id, who):  # noqa: A002, ARG002
        await self._asked("withdraw")
        found = self._command(id)
        found["state"] = "withdrawn"
        return dict(found)

    # --------------------------------------------------------------------------------------------------------- events

    def tell(self, kind: str, data: dict) -> None:
        self.sequence += 1
        for loop, queue in self._queues:  # a test may stand in another thread than the room
            loop.call_soon_threadsafe(queue.put_nowait, Event(self.sequence, kind, data))

    def tick(self) -> None:
        """Make a scan."""
        self.tell("scan", {**self._scan(datetime.now(UTC)), "sequence": self.sequence + 1})

    async def subscribe(self, after=None):
        await self._asked("subscribe")
        queue: asyncio.Queue = asyncio.Queue()
        reader = asyncio.get_running_loop(), queue
        self._queues.add(reader)
        try:
            yield Event(self.sequence, "hello", {"version": "1", "sequence": self.sequence, "restarted": after is None})
            while True:
                event = await queue.get()
                if event is None:
                    raise Refused("unavailable", "the loop is gone", "It comes back by itself")
                yield event
        finally:
            self._queues.discard(reader)

    def lose(self) -> None:
        """Break every subscription and refuse from now on."""
        self.down = True
        for loop, queue in self._queues:
            loop.call_soon_threadsafe(queue.put_nowait, None)
