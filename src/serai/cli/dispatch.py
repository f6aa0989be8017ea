# SPDX-License-Identifier: Apache-2.0
"""The command that chooses set-points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serai.cli.command import REFUSED, AsJson, Case, Day, Hour, guarded

if TYPE_CHECKING:
    from serai.dispatch import Dispatch


@guarded
def dispatch(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    day: Day = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            help="What may be chosen: stations, 'control valves', generation, voltages, supplies, pressures, "
            "deliveries, taps, or an element by its name; may be repeated. Not given = the first four."
        ),
    ] = None,
    objective: Annotated[str, typer.Option(help="fuel, losses, cost or nothing.")] = "fuel",
    hour: Hour = None,
    hours: Annotated[float | None, typer.Option(help="Dispatch so many hours with the transient laws.")] = None,
    step: Annotated[str, typer.Option(help="Time between set-points over a day.")] = "1h",
    bound: Annotated[
        list[str] | None,
        typer.Option(help="A limit more, SI: 'pressure:Dashoguz Gate=6.2e6..7e6'; either end may be left out."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for the search.", min=0.1)] = 120.0,
    out: Annotated[Path | None, typer.Option(help="Folder for setpoints.csv and the confirmed state (NetCDF).")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page there: before and after, what binds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Choose set-points at least fuel, losses or cost, such that the exact laws and every limit hold."""
    import serai as sr
    from serai.dispatch import dispatch as search

    net = sr.read(case)
    net = net if day is None else net.on(day)
    bounds = dict(_bound(text) for text in bound or [])
    found = search(
        net, choose=choose or None, objective=objective, hour=hour, hours=hours, step=step, bounds=bounds,
        seconds=seconds,
    )  # fmt: skip
    typer.echo(json.dumps(_record(found)) if as_json else "\n".join(_lines(found)))
    if out is not None:
        _write(found, out)
    if report is not None:
        from serai.report.dispatch import write_dispatch

        typer.echo(f"written  {write_dispatch(found, report)}", err=as_json)
    if not found.feasible:
        raise typer.Exit(REFUSED)


def _bound(text: str) -> tuple[tuple[str, str], tuple[float, float]]:
    """Read `quantity:element=low..high`."""
    from serai.errors import SeraiError

    try:
        left, right = text.rsplit("=", 1)
        quantity, where = left.split(":", 1)
        low, high = right.split("..")
        return (quantity.strip(), where.strip()), (float(low or "-inf"), float(high or "inf"))
    except ValueError:
        msg = f"{text!r} is no bound: write quantity:element=low..high in SI, as in 'pressure:Dashoguz Gate=6.2e6..'"
        raise SeraiError(msg) from None


def _record(found: Dispatch) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "status": found.status, "reason": found.reason, "objective": found.goal, "unit": found.unit,
        "value": found.value, "before": found.value_before, "mismatch": found.mismatch, "seconds": found.seconds,
        "setpoints": [asdict(k) for k in found.setpoints],
        "commands": [{"time": e.time, **{k: v for k, v in asdict(e.known).items() if k != "time"}}
                     for e in found.commands],
        "violations": [asdict(v) for v in found.violations], "binding": [asdict(b) for b in found.binding[:50]],
        "conflict": [asdict(b) for b in found.conflict], "notes": list(found.notes),
    }  # fmt: skip


def _lines(found: Dispatch) -> list[str]:
    lines = [repr(found).strip("<>")]
    if found.status == "refused":
        lines.append(f"refused: {found.reason}")
    table = found.table if "time" not in found.table.dims else found.table.isel(time=-1)
    for k in range(table.sizes["setpoint"]):
        t = table.isel(setpoint=k)
        was, now = float(t["before"]), float(t["after"])
        if abs(now - was) > 1e-6 * max(abs(was), abs(now)):
            quantity = str(t["quantity"].item())
            lines.append(f"  {quantity} of {t['element'].item()}: {_shown(quantity, was)} -> {_shown(quantity, now)}")
    lines += [
        f"broken: {v.quantity} of {v.element} {_shown(v.quantity, v.value)}, limit {_shown(v.quantity, v.limit)}"
        for v in found.violations[:10]
    ]
    if found.conflict:
        lines.append("cannot hold together near this state:")
        lines += [
            f"  {b.quantity} of {b.element}, {_side(b.side)} {_shown(b.quantity, b.limit)}" for b in found.conflict
        ]
    lines += [f"note: {n}" for n in found.notes]
    lines += [
        f"binding: {b.quantity} of {b.element}, {_side(b.side)} {_shown(b.quantity, b.limit)}; giving way saves "
        f"{b.price:.3g} {found.unit} per SI unit"
        for b in found.binding[:5]
    ]
    return lines


def _side(side: str) -> str:
    return "at least" if side == "low" else "at most"


def _shown(quantity: str, value: float) -> str:
    """Return a value in the unit that a dispatcher reads."""
    if "pressure" in quantity:
        return f"{value / 1e5:.2f} bar"
    if quantity in ("power", "active_power"):
        return f"{value / 1e6:.2f} MW"
    if quantity == "reactive_power":
        return f"{value / 1e6:.2f} Mvar"
    if quantity == "tap_position":
        return f"{value:+.0f}"
    if quantity in ("flow", "supplied", "delivered", "supply", "withdrawal", "net supply", "net withdrawal"):
        return f"{value:.2f} kg/s"
    return f"{value:.4f}"


def _write(found: Dispatch, out: Path) -> None:
    import csv

    out.mkdir(parents=True, exist_ok=True)
    with (out / "setpoints.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["time_s", "quantity", "where", "value", "unit"])
        at = [(e.time, e.known) for e in found.commands] or [(0.0, k) for k in found.setpoints]
        table.writerows([time, k.quantity, k.where, repr(k.value), "SI"] for time, k in at)
    typer.echo(f"written  {out / 'setpoints.csv'}")
    if found.result is not None:
        typer.echo(f"written  {found.result.save(out / 'dispatch.nc')}")
