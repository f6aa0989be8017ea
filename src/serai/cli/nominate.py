# SPDX-License-Identifier: Apache-2.0
"""The command that checks a nomination."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import MISTAKES, AsJson, Case, guarded

if TYPE_CHECKING:
    from serai.dispatch.nominate import Nomination


@guarded
def nominate(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    scenario: Annotated[str | None, typer.Option(help="GasLib: the .scn file of the nomination.")] = None,
    scale: Annotated[float, typer.Option(help="Multiply every nominated flow.", min=0.0)] = 1.0,
    swing: Annotated[str | None, typer.Option(help="Supply or offtake that takes rounding and fuel.")] = None,
    seconds: Annotated[float, typer.Option(help="Time limit.", min=0.1)] = 60.0,
    out: Annotated[Path | None, typer.Option(help="Write the set-points as a CSV file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check whether a gas network can carry its nomination; exit code 1 when it cannot, or nobody knows."""
    from serai.dispatch.nominate import nominate as examine
    from serai.network import read

    network = read(case, scenario=scenario)
    flows = {k.where: scale * k.value for k in network.knowns() if k.quantity in ("supply", "withdrawal")}
    found = examine(network, flows, swing=swing, seconds=seconds, told=lambda text: typer.echo(text, err=True))
    if out is not None and found.setpoints:
        lines = ["quantity,where,value,unit", *(f"{k.quantity},{k.where},{k.value!r},SI" for k in found.setpoints)]
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(_plain(found), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        _told(found)
    if found.status != "feasible":
        raise typer.Exit(MISTAKES)


def _told(found: Nomination) -> None:
    typer.echo(repr(found).strip("<>"))
    for k in found.setpoints:
        typer.echo(f"  {k.where:<36} {k.quantity:<14} {k.value:.8g}")
    for station, how in found.machines.items():
        typer.echo(f"  {station:<36} {how}")
    if found.status == "undecided":
        for b in found.broken[:10]:
            typer.echo(f"  broken: {b.quantity} of {b.element} is {b.value:.6g}, its limit {b.limit:.6g}")


def _plain(found: Nomination) -> dict[str, Any]:
    proof = found.proof
    return {
        "status": found.status,
        "seconds": found.seconds,
        "swing": found.swing,
        "violation": found.violation if found.knowns else None,
        "mismatch": found.mismatch if found.result is not None else None,
        "setpoints": [{"quantity": k.quantity, "where": k.where, "value": k.value} for k in found.setpoints],
        "broken": [
            {"element": b.element, "quantity": b.quantity, "value": b.value, "limit": b.limit} for b in found.broken
        ],
        "proof": None
        if proof is None
        else {
            "violation": proof.violation,
            "binding": [{"element": e, "side": side, "limit": v} for e, side, v in proof.binding],
            "irreducible": proof.irreducible,
            "reason": proof.reason,
        },
        "machines": dict(found.machines),
        "tried": found.tried,
        "reasons": list(found.reasons),
    }
