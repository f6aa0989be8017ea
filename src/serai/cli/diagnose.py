# SPDX-License-Identifier: Apache-2.0
"""Commands that say what is wrong, and where another meter would tell most."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import MISTAKES, AsJson, Case, Day, Hour, guarded
from serai.cli.state import UNIT, Table

if TYPE_CHECKING:
    from serai.diagnose import Diagnosis, Fault, Suspect
    from serai.known import Known
    from serai.network import Network

OF_KIND = {"leak": ("kg/s", 1.0), "power loss": ("MW", 1e6), "branch open": ("of it", 1.0)}
STATIONS = ("outlet_pressure", "inlet_pressure", "ratio", "supply")
SHOWN = 6  # members of a set that are printed


@guarded
def diagnose(
    case: Case,
    readings: Table,
    day: Day = None,
    hour: Hour = None,
    *,
    alarms: Annotated[float, typer.Option(help="Probability of any fault told in a clean scan.", min=0.0)] = 0.01,
    kept: Annotated[
        float | None,
        typer.Option(help="Also name set-points of stations and fields that are not kept to within this share."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong in one scan of readings: meters, leaks, positions; exit code 1 when something is."""
    from serai.diagnose import diagnose as diagnosed
    from serai.estimate import Estimator
    from serai.estimate.given import given
    from serai.network import read

    network = read(case)
    network = network.on(day) if day else network
    found = given(network, readings)
    commands = _commands(network, hour, kept) if kept else []
    d = diagnosed(
        network, found, commands=commands, alarms=alarms, estimator=Estimator(network, found.meters, hour=hour)
    )
    typer.echo(json.dumps(_numbers(d)) if as_json else "\n".join(_said(d)))
    if d.faults or d.commands or not d.estimate.converged or any(f.set_aside for f in d.findings):
        raise typer.Exit(MISTAKES)


@guarded
def place(
    case: Case,
    count: Annotated[int, typer.Option(help="How many meters.", min=1)] = 5,
    day: Day = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say where the next meters tell most of the state, and what that does to the smallest leak."""
    from serai.diagnose.place import place as placed
    from serai.network import read

    network = read(case)
    p = placed(network.on(day) if day else network, count)
    if as_json:
        meters = [{"quantity": m.quantity, "where": m.where, "bits": g} for m, g in zip(p.meters, p.gains, strict=True)]
        typer.echo(json.dumps({"meters": meters, "bound": p.bound, "share": p.share, "smallest_leak": p.leaks}))
        return
    for k, (m, bits) in enumerate(zip(p.meters, p.gains, strict=True), start=1):
        typer.echo(f"{k:3d}. {m.name}: {bits:.2f} bits")
    before, after = p.leaks
    typer.echo(f"{sum(p.gains):.1f} bits, at least {p.share:.0%} of what the best choice of so many gains")
    typer.echo(
        f"smallest leak found nine times in ten in one scan, median of all nodes: {before:.3g} -> {after:.3g} kg/s"
    )


def _commands(network: Network, hour: float | None, kept: float) -> list[Known]:
    from dataclasses import replace

    return [replace(k, sigma=kept * abs(k.value)) for k in network.knowns(hour) if k.quantity in STATIONS]


def _said(d: Diagnosis) -> list[str]:
    e = d.estimate
    counted = f"{int(e.used.sum())} readings held against {len(d.tested)} hypotheses"
    passed = f"a score above {d.limit:.2f} is passed by at most {100 * d.alarms:g} % of clean scans"
    lines = [f"{e.network.name}: {counted}; {passed}"]
    if not e.converged:
        lines.append(f"NO ESTIMATE: {e.reason}")
    elif not d.faults and not d.commands:
        lines.append("nothing is wrong that these readings could tell")
    for f in d.faults:
        lines.append(f"{f.order}. {_fault(d, f)}")
        rest = f.suspects[1 : 1 + SHOWN]
        if rest:
            more = f" and {len(f.suspects) - 1 - SHOWN} more (--json)" if len(f.suspects) > 1 + SHOWN else ""
            lines.append(f"   not to be told from: {'; '.join(f'{s.kind} {s.where}' for s in rest)}{more}")
    lines += [f"command: {c}" for c in d.commands]
    return lines + [f"finding: {f}" for f in d.findings]


def _fault(d: Diagnosis, f: Fault) -> str:
    unit, factor = _unit(d, f.suspects[0])
    sure = ", confirmed by a new estimate" if f.confirmed else ""
    return (
        f"{f.kind} {f.where[0]}: {f.size / factor:.4g} +/- {f.sigma / factor:.2g} {unit}, score {f.score:+.1f}, "
        f"false alarm {f.false_alarm:.1g}{sure}"
    )


def _unit(d: Diagnosis, best: Suspect) -> tuple[str, float]:
    from serai.estimate.meters import dimension

    if best.kind != "reading":
        return OF_KIND.get(best.kind, ("SI", 1.0))
    meter = next(m for m in d.estimate.meters if m.name == best.where)
    return UNIT.get(dimension(meter.quantity), ("", 1.0))


def _numbers(d: Diagnosis) -> dict[str, Any]:
    return {
        "case": d.estimate.network.name, "converged": d.estimate.converged, "limit": d.limit, "alarms": d.alarms,
        "faults": [
            {"order": f.order, "kind": f.kind, "size": f.size, "sigma": f.sigma, "score": f.score,
             "false_alarm": f.false_alarm, "confirmed": f.confirmed,
             "suspects": [{"kind": s.kind, "where": s.where, "score": s.score, "size": s.size} for s in f.suspects]}
            for f in d.faults
        ],
        "commands": [{"quantity": c.command.quantity, "where": c.command.where, "commanded": c.command.value,
                      "held": c.held, "sigma": c.sigma, "score": c.score, "false_alarm": c.false_alarm}
                     for c in d.commands],
        "findings": [{"kind": f.kind, "where": list(f.where), "text": f.text, "set_aside": f.set_aside}
                     for f in d.findings],
    }  # fmt: skip
