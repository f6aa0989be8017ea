# SPDX-License-Identifier: Apache-2.0
"""Commands: tried before they may be sent, sent once, refused with a reason."""

import asyncio

import pytest

import serai as sr
from serai.errors import NotConverged
from serai.telemetry.points import Answer
from serai.twin.commands import WITHIN, Commands
from serai.twin.desk import Refused

ASKED = {"quantity": "outlet_pressure", "where": "Malay CS", "value": 86.0, "unit": "bara", "reason": "less fuel"}
FINE = {"changes": [], "broken": [], "worst": None, "hours": 1.0}
BREAKS = {**FINE, "broken": [{"quantity": "pressure", "name": "Gedaim", "limit": 65.0, "unit": "bara"}]}


class Field:
    def __init__(self, *, accepted=True):
        self.told, self.answer = [], Answer(accepted, "" if accepted else "interlocked")

    async def command(self, command, value):
        self.told.append((command.tag, value))
        return self.answer


@pytest.fixture(scope="module")
def net():
    return sr.read("turkmenistan")


async def propose(commands, effect, now=1000.0, **changed):
    tried = []

    async def trial(known):
        tried.append(known)
        if isinstance(effect, Exception):
            raise effect
        return effect

    return await commands.propose(ASKED | changed, "aman", now, trial), tried


def test_what_is_confirmed_reaches_the_field_once_in_si(net):
    async def run():
        field = Field()
        commands = Commands(net, send=field, writes=True)
        found, (known,) = await propose(commands, FINE)
        assert (found["state"], found["value"], found["unit"]) == ("predicted", 86.0, "bara")
        assert (known.quantity, known.where, known.value) == ("outlet_pressure", "Malay CS", 86e5)
        done = await commands.confirm(found["id"], "bike", 1010.0)
        assert (done["state"], done["confirmed_by"]) == ("done", "bike")
        assert field.told == [("Malay CS outlet pressure command", 86e5)]
        with pytest.raises(Refused, match="is done"):
            await commands.confirm(found["id"], "bike", 1011.0)
        assert len(field.told) == 1
        assert [k.value for k in commands.done()] == [86e5]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("writes", "effect", "why"),
    [
        (False, FINE, "switched off"), (True, BREAKS, "pressure of Gedaim beyond 65"),
        (True, NotConverged("too far"), "no answer to it: too far"), (True, TimeoutError("slow"), "slow"),
    ],
)  # fmt: skip
def test_what_may_not_be_is_refused_before_it_leaves(net, writes, effect, why):
    async def run():
        field = Field()
        commands = Commands(net, send=field, writes=writes)
        found, _ = await propose(commands, effect)
        assert found["state"] == "refused"
        assert why in found["refused_because"]
        assert (found["effect"] is None) == isinstance(effect, Exception)
        with pytest.raises(Refused):
            await commands.confirm(found["id"], "bike", 1010.0)
        assert field.told == []

    asyncio.run(run())


def test_a_confirmation_that_comes_too_late_is_refused(net):
    async def run():
        field = Field()
        commands = Commands(net, send=field, writes=True)
        found, _ = await propose(commands, FINE)
        with pytest.raises(Refused, match="expired"):
            await commands.confirm(found["id"], "bike", 1000.0 + WITHIN + 1.0)
        assert field.told == []
        assert commands.listed(2000.0, 10)[0]["state"] == "expired"

    asyncio.run(run())


def test_two_confirmations_at_once_send_one(net):
    async def run():
        field = Field()
        commands = Commands(net, send=field, writes=True)
        found, _ = await propose(commands, FINE)
        both = await asyncio.gather(
            *(commands.confirm(found["id"], who, 1001.0) for who in ("a", "b")), return_exceptions=True
        )
        assert sorted(type(x).__name__ for x in both) == ["Refused", "dict"]
        assert len(field.told) == 1

    asyncio.run(run())


def test_what_the_station_refuses_failed(net):
    async def run():
        commands = Commands(net, send=Field(accepted=False), writes=True)
        found, _ = await propose(commands, FINE)
        done = await commands.confirm(found["id"], "bike", 1001.0)
        assert (done["state"], done["refused_because"]) == ("failed", "interlocked")
        assert commands.done() == []
        with pytest.raises(Refused):
            commands.withdraw(found["id"], "aman", 1002.0)

    asyncio.run(run())


def test_what_is_withdrawn_cannot_be_confirmed(net):
    async def run():
        commands = Commands(net, send=Field(), writes=True)
        found, _ = await propose(commands, FINE)
        assert commands.withdraw(found["id"], "aman", 1001.0)["state"] == "withdrawn"
        with pytest.raises(Refused, match="withdrawn"):
            await commands.confirm(found["id"], "bike", 1002.0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"where": "Nowhere CS"}, "unknown"), ({"quantity": "power"}, "unknown"), ({"value": "much"}, "invalid"),
        ({"value": float("nan")}, "invalid"), ({"value": 5000.0}, "invalid"), ({"unit": "mw"}, "invalid"),
        ({"reason": " "}, "invalid"), ({"quantity": "in_service", "value": 0.5, "unit": ""}, "invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_and_never_tried(net, changed, reason):
    async def run():
        commands = Commands(net, send=Field(), writes=True)
        tried = []

        async def trial(known):
            tried.append(known)
            return FINE

        with pytest.raises(Refused) as found:
            await commands.propose(ASKED | changed, "aman", 1.0, trial)
        assert found.value.reason == reason
        assert not tried

    asyncio.run(run())
