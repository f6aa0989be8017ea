# SPDX-License-Identifier: Apache-2.0
"""`serai run`: the twin of a case, live, with its control room; or, with --report, one day of it as a report."""

from __future__ import annotations

import asyncio
import re
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from serai.cli.command import Case, Day, guarded
from serai.cli.simulate import report_day
from serai.errors import SeraiError

OUT = Path("out")


@guarded
def run(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    report: Annotated[bool, typer.Option("--report", help="Simulate a day and write report.html instead.")] = False,
    day: Day = None,
    hours: Annotated[float | None, typer.Option(help="Length of the simulated day.  [default: 24]")] = None,
    step: Annotated[str | None, typer.Option(help="Its time step: 15min, 60s, 1h.  [default: 15min]")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of results and of the site; one per case is made.")] = None,
    outage_time: Annotated[
        float | None, typer.Option(help="Seconds for single outages; 0 = none, not given = a few.", min=0.0)
    ] = None,
    scenario: Annotated[str | None, typer.Option(help="What happens in the simulated field.")] = None,
    port: Annotated[int, typer.Option(help="Port of the control room; 0 = a free one.", min=0, max=65535)] = 8080,
    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="Let confirmed commands act on the simulated field.")
    ] = False,
) -> None:
    """Run the live twin of a case with its control room on this machine; with --report, simulate a day instead."""
    if report or any(given is not None for given in (hours, step, out, outage_time)):
        report_day(case, report, (day, 24.0 if hours is None else hours, step or "15min", out or OUT, outage_time))
        return
    asyncio.run(_live(case, day or "", scenario or "", port, allow_commands))


async def _live(case: str, day: str, scenario: str, port: int, writes: bool) -> None:
    """Keep field, loop and room running until Ctrl-C."""
    from serai.network import read
    from serai.network.instruments import instruments
    from serai.twin.live import Place
    from serai.twin.supervise import Site, Supervisor, children, free_ports, is_free

    network = read(case, day=day or None)
    meters = instruments(network)
    if not meters:
        msg = (
            f"{network.name} has no instruments.csv: there is nothing to read. `serai run {case} --report` simulates it"
        )
        raise SeraiError(msg)
    if port and not is_free(port):
        typer.echo(f"port {port} is taken, a free one is used")
        port = free_ports(1)
    folder = OUT / (re.sub(r"[^\w.-]+", "-", network.name).strip(".-") or "case") / "site"
    with tempfile.TemporaryDirectory(prefix="serai-") as private:  # 0700; the path of a Unix socket must be short
        place = Place(folder.absolute(), Path(private) / "loop", Path(private) / "endpoints.csv")
        site = Site(case, place, day=day, scenario=scenario, port=port, writes=writes)
        supervisor = Supervisor(children(site, len({i.station for i in meters}), typer.echo), place.folder)
        running = asyncio.get_running_loop()

        def end(sign: signal.Signals) -> None:
            typer.echo(f"{sign.name}: ending field, loop and control room")
            supervisor.end()

        for sign in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(sign, end, sign)
        typer.echo(f"{network.title or network.name}: field, loop and control room are starting; Ctrl-C ends all")
        typer.echo(f"history, alarms, accounts and logs are in {folder}")
        await supervisor.run()
    typer.echo("ended")
