# SPDX-License-Identifier: Apache-2.0
"""Look ahead: which limit is reached when, and how long linepack outlives each loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serai.cli.command import AsJson, Case, Day, guarded, progress

Lost = Annotated[
    list[str] | None, typer.Option("--lose", help="Element to lose, again for more; not given = stations and fields.")
]


@guarded
def ahead(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    day: Day = None,
    start: Annotated[float, typer.Option(help="Local hour at which it begins.", min=0.0, max=24.0)] = 0.0,
    hours: Annotated[float, typer.Option(help="How far to look [h].", min=0.0)] = 24.0,
    step: Annotated[str, typer.Option(help="Time step: 15min, 60s.")] = "15min",
    lose: Lost = None,
    out: Annotated[Path | None, typer.Option(help="Write a page with the survival times there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which limit the day ahead reaches when, and how long linepack outlives the loss of each station or field."""
    import json
    from dataclasses import asdict
    from math import isfinite

    from serai.network import read
    from serai.simulate.ahead import HOLDS
    from serai.simulate.ahead import ahead as look
    from serai.simulate.limits import in_words
    from serai.simulate.transient import clock

    network = read(case, day=day)
    with progress("looking ahead") as done:
        seen = look(network, hours=hours, step=step, start_hour=start, losses=lose, progress=done)
    if out is not None:
        from serai.report.ahead import write_ahead

        typer.echo(f"written  {write_ahead(seen, out)}", err=True)
    if as_json:
        rows = [asdict(s) | {"time": s.time if isfinite(s.time) else None} for s in seen.survival]
        found = {"hours": seen.hours, "stopped": seen.stopped, "reached": [asdict(b) for b in seen.reached]}
        typer.echo(json.dumps({**found, "survival": rows, "mismatch": seen.result.mismatch}))
        return
    typer.echo(f"{network.title or network.name}{' · ' + network.day if network.day else ''}, {seen.hours:g} h ahead")
    if seen.stopped:
        typer.echo(f"the day does not go on: {seen.stopped}")
    typer.echo(f"limits reached: {len(seen.reached) or 'none'}")
    for b in seen.reached:
        typer.echo(f"  after {clock(b.time):<8} {in_words(b)}")
    if seen.survival:
        typer.echo("without ...")
    for s in seen.survival:
        first = f"{in_words(s.first)}" if s.first else s.reason
        time = f"over {seen.hours:g} h" if s.status == HOLDS else clock(s.time)
        typer.echo(f"  {s.lost:<34} {time:>10}  {first}".rstrip())
