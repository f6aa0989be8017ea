# SPDX-License-Identifier: Apache-2.0
"""Commands on the way from sensors to history: run simulated stations, collect what stations send."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import MISTAKES, AsJson, Case, Day, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from serai.field.live import Field
    from serai.network import Network
    from serai.telemetry.bus import Bus
    from serai.telemetry.collect import Collector, Health, Seen

OUT = Path("out")
ROWS = 25  # links in the live table, those that need a look first
CHATTY = ("asyncua", "pymodbus", "pymodbus.logging", "aiomqtt", "mqtt", "amqtt")  # losses are counted and shown by us

Where = Annotated[
    Path | None,
    typer.Option("--endpoints", help="File of the stations' addresses; not given = out/CASE/endpoints.csv."),
]
Seconds = Annotated[float | None, typer.Option(help="End after so many seconds; not given = at Ctrl-C.", min=0.0)]


@guarded
def field(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    scenario: Annotated[str | None, typer.Option(help="A scenario of the case, or a scenario file (TOML).")] = None,
    day: Day = None,
    speed: Annotated[float, typer.Option(help="Field seconds per second.")] = 1.0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="First port; 0 = free ones.", min=0, max=65535)] = 0,
    endpoints: Where = None,
    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="Let commands act on the simulated network.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="A station to run; may be given again; not given = all.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of noise and faults; not given = the scenario's.")] = None,
    seconds: Seconds = None,
) -> None:
    """Run the stations of a case as protocol servers over a simulated network."""
    from serai.field.live import Field
    from serai.network import read
    from serai.telemetry import memory

    memory.level()
    network = read(case, day=day)
    made = Field(
        network, scenario, speed=speed, host=host, port=port, allow_commands=allow_commands, seed=seed, only=only
    )
    asyncio.run(_field(made, endpoints or _folder(network) / "endpoints.csv", seconds))


@guarded
def collect(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    endpoints: Where = None,
    history: Annotated[
        str | None, typer.Option(help="Folder, .duckdb file or postgresql:// URL; not given = out/CASE/history.")
    ] = None,
    bus: Annotated[str | None, typer.Option(help="nats://host:port; not given = within this process.")] = None,
    seconds: Seconds = None,
    every: Annotated[float, typer.Option(help="Seconds between two looks at rate and health.", min=0.1)] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Connect to the stations of a case, record what they send, show rate and health."""
    from serai.network import read
    from serai.telemetry import historian, memory
    from serai.telemetry.endpoints import read_endpoints

    memory.level()
    network = read(case)
    listed = read_endpoints(endpoints or _folder(network) / "endpoints.csv")
    place = history or _folder(network) / "history"
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    async def run() -> Collector:
        from serai.telemetry.collect import Collector

        over = await _bus(bus)
        with historian.open(place) as store:
            collector = Collector(network, listed, store, bus=over)
            for show in _shown(as_json):
                await _until_end(collector, show, seconds, every)
        return collector

    collector = asyncio.run(run())
    seen = collector.look()
    if as_json:
        typer.echo(json.dumps(_whole(seen, collector), ensure_ascii=False))
    else:
        _summary(seen, collector, str(place))
    if not seen.readings:
        raise typer.Exit(MISTAKES)


def _folder(network: Network) -> Path:
    return OUT / (re.sub(r"[^\w.-]+", "-", network.name).strip(".-") or "case")


def _on_signal(end: Callable[[], None]) -> None:
    """End in good order at the first Ctrl-C (or SIGTERM); the second one interrupts."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sign)
        end()

    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, first)


# ------------------------------------------------------------------------------------------------------------- field


async def _field(made: Field, path: Path, seconds: float | None) -> None:
    """Run a field until it is told to end; the file of endpoints is there while it runs."""
    from serai.telemetry.endpoints import write_endpoints
    from serai.telemetry.readings import MICROSECONDS, now

    ended = asyncio.Event()
    _on_signal(ended.set)
    async with made:
        if made.speed == 1.0:  # to solve the start and to open all stations has taken seconds: its clock begins now
            made.start = made.meters.start = now() / MICROSECONDS
        path.parent.mkdir(parents=True, exist_ok=True)
        write_endpoints(path, made.endpoints)
        said = "commands act" if made.allow_commands else "commands are refused (--allow-commands lets them act)"
        typer.echo(f"{len(made.endpoints)} stations listen, {said}")
        typer.echo(f"written  {path}\nCtrl-C ends")
        running, waiting = asyncio.create_task(made.run()), asyncio.create_task(ended.wait())
        tasks = (running, waiting)
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if running in done:
            running.result()
    for entry in made.log:
        typer.echo(
            f"command  {entry.time:8.1f} s  {entry.command.tag} = {entry.command.sent(entry.value):g} "
            f"{entry.command.unit}  by {entry.by}: {entry.verdict.reason or 'done'}"
        )
    for name, n in sorted(made.counts.counted.items()):
        typer.echo(f"{n:12,}  {name}")


# ----------------------------------------------------------------------------------------------------------- collect


async def _bus(url: str | None) -> Bus | None:
    if url is None:
        return None
    from serai.telemetry.bus.jetstream import connect

    return await connect(url)


async def _until_end(collector: Collector, show: Callable[[Seen], None], seconds: float | None, every: float) -> None:
    """Run a collector and show how it does from time to time."""
    _on_signal(collector.end)
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, collector.end)
    running = asyncio.create_task(collector.run())
    while not running.done():
        await asyncio.wait((running,), timeout=every)
        show(collector.look())
    await running


def _shown(as_json: bool) -> Iterator[Callable[[Seen], None]]:
    """Yield, once, what shows the health: JSON lines, a live table on a terminal, or plain lines."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if as_json:
        yield lambda seen: typer.echo(json.dumps(_brief(seen), ensure_ascii=False))
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda seen: live.update(_table(seen, console.height - 4), refresh=True)
    else:
        yield lambda seen: typer.echo(_line(seen))


def _brief(seen: Seen) -> dict[str, Any]:
    """Return what one line of JSON says: the whole, and the links that need a look."""
    up = sum(link.up for link in seen.links)
    return {
        "at": seen.at / 1e6, "readings": seen.readings, "rate": round(seen.rate, 1), "stored": seen.stored,
        "delay_p99_s": None if seen.delay != seen.delay else round(seen.delay, 3),
        "up": up, "down": len(seen.links) - up, "silent": sum(link.silent for link in seen.links),
        "flags": dict(seen.flags), "links": [_as_dict(link) for link in seen.links if not link.up or link.silent],
    }  # fmt: skip


def _whole(seen: Seen, collector: Collector) -> dict[str, Any]:
    """Return the last line of JSON: every link with all it has counted."""
    sources = collector.sources()
    links = [
        {**_as_dict(k), "counts": dict(sources[k.stations[0]].counts.counted) if k.stations[0] in sources else {}}
        for k in seen.links
    ]
    counts = {c.of: dict(c.counted) for c in collector.tallies()}
    return {**_brief(seen), "end": True, "links": links, "counts": counts}


def _as_dict(link: Health) -> dict[str, Any]:
    return {
        "name": link.name, "protocol": link.protocol, "tags": link.tags, "up": link.up, "reason": link.reason,
        "readings": link.readings, "rate": round(link.rate, 2), "age_s": _age(link), "flagged": link.flagged,
        "silent": link.silent, "lost": link.lost,
    }  # fmt: skip


def _age(link: Health) -> float | None:
    return round(link.age, 1) if link.age < float("inf") else None


def _line(seen: Seen) -> str:
    up = sum(link.up for link in seen.links)
    late = "" if seen.delay != seen.delay else f"  delay p99 {seen.delay:.2f} s"
    return (
        f"{seen.rate:10,.1f} readings/s  {seen.readings:,} came  {seen.stored:,} stored  "
        f"{up} of {len(seen.links)} links up{late}"
    )


def _table(seen: Seen, height: int) -> Table:
    """Return the live table, links that need a look first."""
    from rich.table import Table

    table = Table(title=_line(seen), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, right in (
        ("station", False), ("protocol", False), ("state", False), ("per s", True), ("readings", True),
        ("last, s", True), ("tags", True), ("silent", True), ("flagged", True), ("lost", True), ("why", False),
    ):  # fmt: skip
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    order = sorted(seen.links, key=lambda k: (k.up, k.silent == 0))  # else as listed: rows that jump cannot be read
    most = max(1, min(ROWS, height))
    for k in order[:most]:
        style = "" if k.up and not k.silent else "yellow" if k.up else "red"
        age = _age(k)
        table.add_row(
            k.name, k.protocol, "up" if k.up else "down", f"{k.rate:,.1f}", f"{k.readings:,}",
            "never" if age is None else f"{age:.0f}", f"{k.tags}", f"{k.silent or ''}", f"{k.flagged or ''}",
            f"{k.lost or ''}", k.reason, style=style,
        )  # fmt: skip
    if len(order) > most:
        table.caption = f"and {len(order) - most} more"
    return table


def _summary(seen: Seen, collector: Collector, place: str) -> None:
    """Print what came in all, and every loss by its name."""
    typer.echo(f"{seen.readings:,} readings over {len(seen.links)} links, {seen.stored:,} stored in {place}")
    for name, n in sorted(seen.flags.items(), key=lambda item: -item[1]):
        typer.echo(f"{n:12,}  {name.replace('_', ' ')}")
    lost = collector.counts["not stored at the end"]
    if lost:
        typer.echo(f"{lost:12,}  not stored at the end")
    wrong = list(_troubles(seen, collector))
    for n, text in sorted(wrong, reverse=True)[:ROWS]:
        typer.echo(f"{n:12,}  {text}")
    if len(wrong) > ROWS:
        typer.echo(f"              and {len(wrong) - ROWS} more; --json has all")


def _troubles(seen: Seen, collector: Collector) -> Iterator[tuple[int, str]]:
    """Yield what went wrong on the links and behind them, with how often."""
    from serai.telemetry.collect import losses

    for stage in collector.tallies():
        for name, n in stage.counted.items():
            if not name.startswith(("readings", "batches", "published", "delivered", "sealed")):
                yield n, f"{stage.of}: {name}"

    sources = collector.sources()
    for link in seen.links:
        source = sources.get(link.stations[0])
        if source is None:
            yield 1, f"{link.name}: {link.reason}"
            continue
        for why, n in losses(source).items():
            yield n, f"{link.name}: {why}"
        for name, n in source.counts.counted.items():
            if name.startswith(("refused", "malformed", "no answer", "violation", "subscription")):
                yield n, f"{link.name}: {name}"
