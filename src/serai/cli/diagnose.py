# SPDX-License-Identifier: Apache-2.0
"""Commands that say what is wrong, and where another meter would tell most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import MISTAKES, AsJson, Case, Day, Hour, guarded
from serai.cli.state import UNIT, Table

if TYPE_CHECKING:
    from serai.diagnose import Diagnosis, Fault, History, Suspect
    from serai.diagnose.daily import Sheet
    from serai.known import Known
    from serai.network import Network

OF_KIND = {"leak": ("kg/s", 1.0), "power loss": ("MW", 1e6), "branch open": ("of it", 1.0)}
STATIONS = ("outlet_pressure", "inlet_pressure", "ratio", "supply")
SHOWN = 6  # members of a set that are printed


@guarded
def diagnose(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    readings: Table,
    day: Day = None,
    hour: Hour = None,
    learn: Annotated[
        Path | None, typer.Option(help="Readings of clean days (a series): limits and offsets are learned from them.")
    ] = None,
    lesson: Annotated[
        Path | None, typer.Option(help="Where the lesson is written when --learn is given, read from otherwise.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page there: map, residuals, detection curve.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Of a series: write the daily balance sheets there, CSV.")] = None,
    *,
    alarms: Annotated[
        float | None, typer.Option(help="Of a scan: probability of any fault in a clean one (0.01); of a series: false "
                                   "alarms a month (0.1).", min=0.0)
    ] = None,
    kept: Annotated[
        float | None,
        typer.Option(help="Also name set-points of stations that are not kept to within this share."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say what is wrong in one scan of readings or, with a column `time`, over many; exit code 1 when something is."""
    from serai.diagnose.series import is_series
    from serai.network import read

    network = read(case)
    network = network.on(day) if day else network
    if is_series(readings):
        asked = {"hour": hour, "kept": kept, "budget": 0.1 if alarms is None else alarms}
        found: Any = _over_time(network, readings, (learn, lesson), asked)
        if sheet:
            sheet.write_text(found.sheets_csv(), encoding="utf-8")
        typer.echo(json.dumps(_of_history(found)) if as_json else "\n".join(_told(found)))
        wrong = bool(len(found))
    else:
        found = _of_one_scan(network, readings, hour, kept, 0.01 if alarms is None else alarms)
        typer.echo(json.dumps(_numbers(found)) if as_json else "\n".join(_said(found)))
        wrong = bool(found.faults or found.commands or not found.estimate.converged)
        wrong = wrong or any(f.set_aside for f in found.findings)
    if report:
        from serai.report.diagnosis import write_diagnosis

        typer.echo(f"written  {write_diagnosis(found, report)}", err=as_json)
    if wrong:
        raise typer.Exit(MISTAKES)


def _of_one_scan(network: Network, readings: Path, hour: float | None, kept: float | None, alarms: float) -> Diagnosis:
    from serai.diagnose.scan import diagnose as diagnosed
    from serai.estimate import Estimator
    from serai.estimate.given import given

    found = given(network, readings)
    commands = _commands(network, hour, kept) if kept else []
    return diagnosed(
        network, found, commands=commands, alarms=alarms, estimator=Estimator(network, found.meters, hour=hour)
    )


def _over_time(
    network: Network, readings: Path, taught: tuple[Path | None, Path | None], asked: dict[str, Any]
) -> History:
    from serai.diagnose.course import over_time
    from serai.diagnose.lesson import OWN
    from serai.diagnose.series import read_series
    from serai.diagnose.teach import learn as learned

    clean, lesson = taught
    known: Any = OWN if lesson is None else lesson
    if clean is not None:
        known = learned(network, read_series(network, clean), hour=asked["hour"])
        if lesson is not None:
            typer.echo(f"written  {known.write(lesson)}", err=True)
    return over_time(network, read_series(network, readings), lesson=known, **asked)


def _told(h: History) -> list[str]:
    c = h.course
    lines = [str(h)] if len(h) else [f"{str(h).splitlines()[0]}: nothing that these readings could tell"]
    lines += [f"note: {n}" for n in c.notes]
    lines.append("readings: " + ", ".join(f"{n:,} {what}" for what, n in sorted(c.counts.counted.items())))
    for s in c.sheets:
        lines += ["", *_sheet(s)]
    return lines


def _sheet(s: Sheet) -> list[str]:
    from serai.diagnose.incident import clock

    lines = [f"balance of the gas day from {clock(s.begin)}, {s.scans / 60:.1f} h"]
    for kind, unit, size in (("gas", "t", 1e3), ("power", "MWh", 3.6e9)):
        if not getattr(s, kind):
            continue
        t = {k: v / size for k, v in s.total(kind).items()}
        inside = f", fuel {t['fuel']:,.0f}, linepack {t['stored']:+,.0f}" if kind == "gas" else ""
        lines.append(
            f"  {kind:5s} in {t['taken_in']:,.0f} {unit}, out {t['given_out']:,.0f}{inside}, technical losses "
            f"{t['technical']:,.0f}, leaks told {t['leaks']:,.0f}, unaccounted {t['unaccounted']:+,.0f} "
            f"+/- {t['sigma']:,.0f}"
        )
        zones = [z for z in getattr(s, kind) if z.sure]
        lines += [
            f"        not by chance: {z.unaccounted / size:+,.1f} +/- {z.sigma / size:,.1f} {unit}, zone of {z.name}"
            for z in sorted(zones, key=lambda z: -abs(z.unaccounted))[:SHOWN]
        ]
    return lines


def _of_history(h: History) -> dict[str, Any]:
    from dataclasses import asdict
    from math import isfinite

    def plain(x: Any) -> Any:
        return None if isinstance(x, float) and not isfinite(x) else x

    open_now = {x.number for x in h.course.incidents}
    return {
        "case": h.course.network.name, "counts": dict(h.course.counts.counted), "notes": h.course.notes,
        "incidents": [{**{k: plain(v) for k, v in asdict(x).items()}, "open": x.number in open_now} for x in h],
        "sheets": [{"begin": s.begin, "scans": s.scans, "rows": s.rows()} for s in h.course.sheets],
    }  # fmt: skip


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
