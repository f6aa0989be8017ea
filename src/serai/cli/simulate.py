# SPDX-License-Identifier: Apache-2.0
"""Commands that solve: a day, a steady state, outages, replays of what happened."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import BEGUN, MISTAKES, AsJson, Case, Day, Hour, guarded, progress
from serai.errors import SeraiError

if TYPE_CHECKING:
    import xarray as xr

    from serai.network import Network
    from serai.simulate import Replay, Result

SHOWN = 25  # outages that are printed
CHUNK = 128  # outages between two looks at the clock: examined together, about a second
WHOLE, LEAST = 11.0, 2.0  # s: outages fill what the day leaves of the first, and have at least the second


def report_day(case: str, report: bool, asked: tuple[str | None, float, str, Path, float | None]) -> None:
    """Simulate a day of gas and power together, examine outages, write day.nc and the report.

    asked  day, hours, step, folder of the results, seconds for outages (None = a few, 0 = none)
    """
    from serai.network import read
    from serai.simulate import transient

    day, hours, step, out, outage_time = asked
    network = read(case, day=day)
    with progress("day") as done:
        result = transient(network, hours=hours, step=step, progress=done)
    left = max(LEAST, WHOLE - (time.perf_counter() - BEGUN)) if outage_time is None else outage_time
    lost = _outages_within(network, result, left) if left > 0.0 else None
    folder = out / (re.sub(r"[^\w.-]+", "-", network.name).strip(".-") or "case")
    saved = [result.save(folder / "day.nc")]
    if report:
        from serai.report import write_report

        saved.append(write_report(result, folder / "report.html", outages=lost))
    _summary(result, lost)
    for path in saved:
        typer.echo(f"written  {path}")


@guarded
def steady(case: Case, day: Day = None, hour: Hour = None, as_json: AsJson = False) -> None:
    """Solve one steady state and print its key figures."""
    from serai.network import read
    from serai.simulate import steady as solve

    result = solve(read(case, day=day), hour=hour)
    if as_json:
        typer.echo(json.dumps(_plain(result), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        _summary(result, None)


@guarded
def outages(
    case: Case,
    day: Day = None,
    hour: Hour = None,
    limit: Annotated[int, typer.Option(help="How many to print, the worst first.", min=1)] = SHOWN,
) -> None:
    """Lose every element once and print what each loss breaks, the worst first."""
    from serai.network import read
    from serai.simulate import outages as lose

    network = read(case, day=day)
    with progress("outages") as done:
        found = lose(network, hour=hour, progress=done)
    names = [str(n) for n in found["outage"].values]
    for k, name in enumerate(names[:limit]):
        status, finding = str(found["status"].values[k]), str(found["finding"].values[k])
        typer.echo(f"{name:<44.44} {status:<18} {finding or 'no consequence'}")
    typer.echo(f"{len(names)} examined: {_ends(found)}; {min(limit, len(names))} shown")


@guarded
def replay(
    case: Case,
    scenario: Annotated[
        str | None, typer.Argument(help="A scenario of the case or a .toml file; not given = list them.")
    ] = None,
) -> None:
    """Replay an event: what must come out beside what does; exit code 1 when they differ."""
    from serai.network import read
    from serai.report.words import plural
    from serai.simulate import read_scenario, scenarios
    from serai.simulate import replay as play

    network = read(case)
    own = scenario is not None and scenario.endswith(".toml")
    files = {} if own else {f.stem: f for f in scenarios(case)}
    if scenario is None:
        for name, file in files.items():
            typer.echo(f"{name:<28} {read_scenario(file, network).title}")
        typer.echo(f"{plural(len(files), 'scenario')} of {network.name}")
        return
    if not own and scenario not in files:
        msg = f"{network.name} has no scenario {scenario!r}; there are {', '.join(files) or 'none'}"
        raise SeraiError(msg)
    with progress("replay") as done:
        found = play(network, files.get(scenario, Path(scenario)), progress=done)
    _replayed(found)
    if not found.good:
        raise typer.Exit(MISTAKES)


# ---------------------------------------------------------------------------------------------------------- parts


def _outages_within(network: Network, result: Result, seconds: float) -> xr.Dataset:
    """Examine single outages at the means of the day, the most loaded elements first, until the time is used up."""
    import xarray as xr

    from serai.simulate.outages import outages as lose
    from serai.simulate.outages import ranked

    names = _by_load(network, result)
    begun, parts, at = time.perf_counter(), [], 0
    with progress("outages") as done:
        while at < len(names):
            parts.append(lose(network, elements=names[at : at + CHUNK]))
            at += CHUNK
            used = time.perf_counter() - begun
            done(min(1.0, max(used / seconds, at / len(names))))
            if used + used / len(parts) > seconds:
                break
    found = ranked(xr.concat(parts, "outage", join="outer", data_vars="all"))
    found.attrs = {"at": "the means of the day", "left_out": max(0, len(names) - at)}
    return found


def _by_load(network: Network, result: Result) -> list[str]:
    """Return everything in service that can be lost, by its share of the gas or of the power, the largest first."""
    import numpy as np

    from serai.simulate.outages import KINDS

    loads: dict[str, float] = {}
    for variable, total in (
        ("flow", "supplied"), ("supplied", "supplied"),
        ("active_power_from", "active_power"), ("active_power", "active_power"),
    ):  # fmt: skip
        if variable not in result.dataset:
            continue
        whole = float(np.nansum(np.abs(result.dataset[total].mean(dim="time").values))) or 1.0
        array = abs(result.dataset[variable]).mean(dim="time")
        loads.update(zip(map(str, array[array.dims[0]].values), (array.values / whole).tolist(), strict=True))
    names = [n for kind in KINDS for n in network.active(kind).names]
    return sorted(names, key=lambda n: -np.nan_to_num(loads.get(n, 0.0)))


def _summary(result: Result, lost: xr.Dataset | None) -> None:
    """Print one screen: what was solved, whether it holds, the key figures."""
    from serai.report import key_figures

    network = result.network
    typer.echo(f"{network.title or network.name}{' · ' + network.day if network.day else ''}")
    typer.echo(
        f"mismatch {result.mismatch:.1e}, recomputed outside the solver, largest in the {result.worst or 'whole'}"
    )
    broken = result.breaks()
    names = ", ".join(dict.fromkeys(b.element for b in broken[:5]))
    typer.echo(
        f"limits   {len(broken)} broken: {names}{', ...' if len(broken) > 5 else ''}"
        if broken
        else "limits   none broken"
    )
    typer.echo("")
    for name, remark, value, unit in key_figures(result):
        typer.echo(f"{name:<32}{value:>10} {unit:<14} {remark}".rstrip())
    if lost is not None:
        left_out = int(lost.attrs.get("left_out", 0))
        count = lost.sizes["outage"]
        typer.echo("")
        typer.echo(f"{count}{f' of {count + left_out}' if left_out else ''} single outages examined: {_ends(lost)}")
    typer.echo("")


def _replayed(found: Replay) -> None:
    """Print a scenario, and each expectation with what was published, what the model says and the verdict."""
    from serai.report.words import number

    s = found.scenario
    typer.echo(f"{s.title}\n{s.happened}\n")
    for row in found.table().to_dict("records"):
        unit = f" {row['unit']}" if row["unit"] else ""
        said = [f"{row['expected']}{unit}" if row["expected"][-1:].isdigit() else row["expected"]]
        if row["published"] == row["published"]:  # not a number: only a direction or a bound was
            said.append(f"published {number(row['published'])}{unit}")
        where = f", {row['where']}" if row["where"] else ""
        typer.echo(f"{row['what']}")
        typer.echo(f"    expected {', '.join(filter(None, said))}")
        typer.echo(f"    found    {number(row['model'])}{unit}{where}: {row['verdict']}")
    met = sum(f.good for f in found.findings)
    typer.echo(f"\n{met} of {len(found.findings)} expectations met")


def _ends(lost: xr.Dataset) -> str:
    """Say how many losses ended how; what did not happen is left out."""
    from serai.simulate.outages import tally

    return ", ".join(f"{n} {words}" for words, n in tally(lost).items() if n) or "none"


def _plain(result: Result) -> dict[str, Any]:
    """Return a result as plain objects, SI; what is not a number becomes null."""
    import numpy as np

    found: dict[str, Any] = {
        "case": result.network.name,
        "day": result.network.day,
        "mismatch": result.mismatch,
        "worst": result.worst,
    }
    found["breaks"] = [
        {"element": b.element, "quantity": b.quantity, "value": b.value, "limit": b.limit} for b in result.breaks()
    ]
    found["modes"] = [{"element": name, "mode": mode} for _, name, mode in result.modes]
    found["results"] = {}
    for name, array in result.dataset.data_vars.items():
        values = [v if np.isfinite(v) else None for v in np.atleast_1d(array.values).tolist()]
        of = dict(zip(map(str, array[array.dims[0]].values), values, strict=True)) if array.dims else values[0]
        found["results"][str(name)] = {"units": array.attrs.get("units", ""), "values": of}
    return found
