# SPDX-License-Identifier: Apache-2.0
"""Tasks end when they are told to, also those that lose a cancellation."""

import asyncio

import pytest

from serai.telemetry import ending
from serai.telemetry.ending import cancelled
from serai.telemetry.links import Link
from serai.telemetry.readings import Register


def test_a_cancellation_that_a_task_loses_is_said_again(monkeypatch):
    monkeypatch.setattr(ending, "AGAIN", 0.05)
    heard = []

    async def deaf():
        while len(heard) < 2:
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                heard.append("lost")

    async def run():
        task = asyncio.create_task(deaf())
        await asyncio.sleep(0)
        await asyncio.wait_for(cancelled(task), 5.0)
        assert task.done()

    asyncio.run(run())
    assert heard == ["lost", "lost"]


def test_what_tasks_ended_with_is_taken_up_and_those_that_have_ended_are_no_matter():
    async def fails():
        raise ValueError("x")

    async def run():
        failed, quick, slow = (asyncio.create_task(c) for c in (fails(), asyncio.sleep(0), asyncio.sleep(60.0)))
        await asyncio.sleep(0.01)
        await cancelled(failed, quick, slow)
        assert slow.cancelled()
        await cancelled()

    asyncio.run(run())


class Answered(Link):
    """A link whose answer comes in the turn in which it is closed, as one of a library with `asyncio.wait_for`."""

    async def _session(self):
        self.answer, self.asked = asyncio.Event(), self.asked + 1
        self._connected()
        await asyncio.wait_for(self.answer.wait(), 60.0)
        await asyncio.sleep(60.0)

    asked = 0


@pytest.mark.parametrize("turns", range(4))
def test_a_link_closes_though_its_answer_comes_in_the_same_turn(turns, monkeypatch):
    """github.com/python/cpython/issues/86296: one of these turns hides the cancellation before Python 3.12."""
    monkeypatch.setattr(ending, "AGAIN", 0.05)

    async def run():
        link = Answered("link", Register())

        async def take():
            async for _ in link.readings():
                pass

        taking = asyncio.create_task(take())
        while not link.up:  # noqa: ASYNC110 - a link tells no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        link.answer.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5.0):
            await link.close()
            await taking

    asyncio.run(run())
