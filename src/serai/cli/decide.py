# SPDX-License-Identifier: Apache-2.0
"""Commands that decide: export plans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serai.cli.command import Case, guarded

Share = Annotated[
    float | None, typer.Option("--max-share", help="Largest share of one route, transit state, market or bloc.")
]


@guarded
def plan(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    max_share: Share = None,
    risk: Annotated[float, typer.Option(help="Weight of the mean of the worst tenth of futures, 0 to 1.")] = 0.0,
    futures: Annotated[int, typer.Option(help="Futures drawn.", min=1)] = 100,
    seconds: Annotated[float, typer.Option(help="Time for the search.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Of the futures.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the tables; a folder per case is made in it.")] = Path("out"),
) -> None:
    """Plan exports that depend on nobody: builds, contracts, shares and the proof of the gap, as CSV tables."""
    from serai.plan.neutrality import Neutrality
    from serai.plan.plan import plan as search

    rule = Neutrality(max_share=max_share)

    def told(value: float, bound: float) -> None:
        typer.echo(f"best {value:,.0f} million USD, none above {bound:,.0f}", err=True)

    found = search(
        case, neutrality=rule, risk=risk, futures=futures, seed=seed, seconds=seconds, progress=told
    )  # fmt: skip
    typer.echo(repr(found).strip("<>"))
    for row in found.builds.to_dict("records"):
        typer.echo(f"  {row['decided']}  {row['project']:<26}{row['capacity']:>6g} bcm/y {row['capex']:>7,.0f} m USD")
    signed = found.contracts[found.contracts["signed"]]["contract"]
    typer.echo(f"contracts: {', '.join(signed)}")
    folder = out / Path(found.problem.case.name).name
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("builds", "contracts", "flows", "shares", "concentration", "certificate"):
        getattr(found, name).to_csv(folder / f"plan_{name}.csv")
    typer.echo(f"written  {folder}/plan_*.csv")
