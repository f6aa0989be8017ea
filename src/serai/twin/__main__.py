# SPDX-License-Identifier: Apache-2.0
"""The processes that `serai run` starts: `python -m serai.twin field CASE ...` and `... loop CASE ...`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from serai.errors import SeraiError
from serai.network import read
from serai.telemetry import memory
from serai.telemetry.ending import cancelled

if TYPE_CHECKING:
    from serai.network import Network
    from serai.twin.loop import Judge


def main() -> int:
    """Run one process to its end; 2 for a mistake in what was asked."""
    ask = argparse.ArgumentParser(prog="serai.twin", description=__doc__)
    ask.add_argument("process", choices=("field", "loop"))
    ask.add_argument("case")
    ask.add_argument("--day", default="")
    ask.add_argument("--endpoints", type=Path, required=True)
    ask.add_argument("--scenario", default="")
    ask.add_argument("--port", type=int, default=0)
    ask.add_argument("--allow-commands", action="store_true")
    ask.add_argument("--folder", type=Path)
    ask.add_argument("--socket", type=Path)
    ask.add_argument("--writes", action="store_true")
    given = ask.parse_args()
    memory.level()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        asyncio.run(_field(given) if given.process == "field" else _loop(given))
    except (SeraiError, OSError) as error:
        print(f"{time.strftime('%H:%M:%S')} error: {error}", file=sys.stderr)  # noqa: T201 - its log
        return 2
    return 0


def _ended() -> asyncio.Event:
    """Return what is set when the process is asked to end."""
    ended = asyncio.Event()
    running = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(sign, ended.set)
    return ended


async def _until(ended: asyncio.Event, work: asyncio.Task[None]) -> None:
    ending = asyncio.create_task(ended.wait())
    done, _ = await asyncio.wait((work, ending), return_when=asyncio.FIRST_COMPLETED)
    await cancelled(work, ending)
    if work in done:
        work.result()


async def _field(given: argparse.Namespace) -> None:
    """Run the field at the pace of the clock, beginning at the present hour where no scenario says another."""
    from serai.field import Field, Scenario, field_scenarios, read_scenario  # noqa: PLC0415 - one process, one part
    from serai.telemetry.endpoints import write_endpoints  # noqa: PLC0415
    from serai.telemetry.readings import MICROSECONDS, now  # noqa: PLC0415

    ended, network = _ended(), _network(given)
    if given.scenario:
        scenario = read_scenario(given.scenario, network)
    else:  # a world that is not the model, on an ordinary day
        named = "clean" in field_scenarios(network)
        scenario = read_scenario("clean", network) if named else Scenario()
        hour = (time.time() / 3600.0 + network.utc_offset) % 24.0
        scenario = replace(scenario, day=given.day, start_hour=hour, operations=())
    made = Field(network, scenario, port=given.port, allow_commands=given.allow_commands, keep=True)
    async with made:
        made.start = made.meters.start = now() / MICROSECONDS  # to open all stations has taken seconds
        given.endpoints.parent.mkdir(parents=True, exist_ok=True)
        write_endpoints(given.endpoints, made.endpoints)
        await _until(ended, asyncio.create_task(made.run()))


async def _loop(given: argparse.Namespace) -> None:
    from serai.twin.live import Place, live  # noqa: PLC0415 - one process, one part

    place = Place(given.folder, given.socket, given.endpoints)
    await live(_network(given), place, judge, _ended(), writes=given.writes)


def _network(given: argparse.Namespace) -> Network:
    network = read(given.case)
    return network.on(given.day) if given.day else network


def judge(network: Network) -> Judge:
    """Return the diagnosis over time of a network, begun at the present hour, with what clean days have taught."""
    from serai.diagnose.course import Course  # noqa: PLC0415 - takes seconds to lay out

    hour = (time.time() / 3600.0 + network.utc_offset) % 24.0
    return Course(network, hour=hour)


if __name__ == "__main__":
    sys.exit(main())
