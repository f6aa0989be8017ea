# SPDX-License-Identifier: Apache-2.0
"""Commands that hold readings against the laws: the true state, and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import MISTAKES, AsJson, Case, Day, Hour, guarded

if TYPE_CHECKING:
    from serai.estimate import Estimate

SHOWN = 8  # readings that are printed, the worst first
FINDINGS = 20  # findings that are printed
UNIT = {
    "pressure": ("bara", 1e5), "pressure difference": ("bar", 1e5), "power": ("MW", 1e6),
    "reactive power": ("Mvar", 1e6), "mass flow": ("kg/s", 1.0), "per unit": ("pu", 1.0), "angle": ("rad", 1.0),
}  # fmt: skip
Table = Annotated[
    Path,
    typer.Argument(help="CSV of readings: value and unit, and tag, or quantity and where with sigma (same unit)."),
]


@guarded
def estimate(
    case: Case,
    readings: Table,
    day: Day = None,
    hour: Hour = None,
    out: Annotated[Path | None, typer.Option(help="Write the estimated state there, NetCDF.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Estimate the state of gas and power from readings; exit code 1 when one of them does not fit."""
    from serai.estimate import estimate as estimated
    from serai.network import read

    network = read(case)
    found = estimated(network.on(day) if day else network, readings, hour=hour)
    if out is not None:
        found.state.save(out)
    typer.echo(json.dumps(_numbers(found)) if as_json else "\n".join(_said(found)))
    if not found.converged or _largest(found) > found.limit() or any(f.set_aside for f in found.findings):
        raise typer.Exit(MISTAKES)


def _largest(found: Estimate) -> float:
    return max((abs(r) for r in found.normalised.tolist() if r == r), default=0.0)  # noqa: PLR0124 - no nan


def _worst(found: Estimate) -> list[int]:
    """Numbers of the readings that fit worst, the worst first."""
    size = [(abs(r), k) for k, r in enumerate(found.normalised.tolist()) if r == r]  # noqa: PLR0124 - no nan
    return [k for _, k in sorted(size, reverse=True)[:SHOWN]]


def _said(found: Estimate) -> list[str]:
    from serai.estimate.meters import dimension

    place = f" ({found.worst})" if found.worst else ""
    counted = f"{int(found.used.sum())} of {len(found.meters)} readings, redundancy {found.redundancy:.2f}"
    fit = f"J {found.objective:.1f} on {found.degrees_of_freedom} degrees of freedom (p {found.chi_square:.3g})"
    lines = [
        f"{found.network.name}: {counted}, {len(found.critical)} critical meters",
        f"{fit}; mismatch {found.mismatch:.1e}{place}",
    ]
    if not found.converged:
        lines.append(f"NO ESTIMATE: {found.reason}")
    lines.append(f"normalised residuals, the largest first ({found.limit():.2f} is passed by 5 % of clean scans):")
    estimated = found.estimated
    for k in _worst(found):
        unit, factor = UNIT.get(dimension(found.meters[k].quantity), ("", 1.0))
        value, told, sigma = (x / factor for x in (found.values[k], estimated[k], found.sigmas[k]))
        mark = " <-- too large" if abs(found.normalised[k]) > found.limit() else ""
        lines.append(
            f"  {found.normalised[k]:+6.2f}  {found.meters[k].name}: reads {value:.6g} {unit}, estimated {told:.6g}, "
            f"sigma {sigma:.2g}{mark}"
        )
    lines += [f"finding: {f}" for f in found.findings[:FINDINGS]]
    if len(found.findings) > FINDINGS:
        lines.append(f"and {len(found.findings) - FINDINGS} findings more (--json)")
    return lines


def _numbers(found: Estimate) -> dict[str, Any]:
    def plain(x: float) -> float | None:
        return float(x) if x == x else None  # noqa: PLR0124 - JSON has no nan

    columns = ("values", "sigmas", "estimated", "residuals", "normalised")
    arrays = {c: [plain(x) for x in getattr(found, c).tolist()] for c in columns}
    return {
        "case": found.network.name, "converged": found.converged, "reason": found.reason,
        "objective": found.objective, "degrees_of_freedom": found.degrees_of_freedom, "chi_square": found.chi_square,
        "mismatch": found.mismatch, "limit": found.limit(), "redundancy": found.redundancy,
        "meters": [m.name for m in found.meters], **arrays,
        "critical": [m.name for m in found.critical],
        "unobservable": [f"{q} of {n}" for q, n in found.unobservable],
        "findings": [{"kind": f.kind, "where": list(f.where), "text": f.text, "set_aside": f.set_aside}
                     for f in found.findings],
    }  # fmt: skip
