# SPDX-License-Identifier: Apache-2.0
"""Commands that decide: export plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serai.cli.command import Case, guarded, progress

if TYPE_CHECKING:
    import pandas as pd

    from serai.plan.plan import Plan
    from serai.plan.replay import Replay

TABLES = ("builds", "contracts", "flows", "shares", "concentration", "certificate", "n_minus_1", "inputs")
Share = Annotated[float, typer.Option(help="Largest share of one route, transit state, market or bloc; 1 = no bound.")]
Loss = Annotated[float, typer.Option(help="Largest share of revenue that a stop of any one may cost; 1 = no bound.")]
Survive = Annotated[bool, typer.Option(help="Homes and firm sales survive the loss of any one piece.")]
Surface = Annotated[
    bool, typer.Option("--frontier", help="Plan at 25 risks and bounds too: what caution and neutrality cost.")
]
Checks = Annotated[bool, typer.Option(help="Replay, Monte Carlo, regret, smallest breaking sets, back-test.")]


@guarded
def plan(  # noqa: PLR0917 - each is an option of its own
    case: Case,
    max_share: Share = 0.45,
    max_loss: Loss = 1.0,
    survive: Survive = True,
    cover: Annotated[float, typer.Option(help="Share of firm sales that must stay deliverable.")] = 1.0,
    risk: Annotated[float, typer.Option(help="Weight of the mean of the worst tenth of futures, 0 to 1.")] = 0.0,
    futures: Annotated[int, typer.Option(help="Futures drawn.", min=1)] = 100,
    seconds: Annotated[float, typer.Option(help="Time for each search.")] = 60.0,
    gap: Annotated[float, typer.Option(help="Gap at which a search ends, relative.")] = 1e-3,
    rounds: Annotated[int, typer.Option(help="Times that the pipes may refuse it and it is made anew.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Of the futures.")] = 1,
    checks: Checks = True,
    frontier: Surface = False,
    mps: Annotated[bool, typer.Option("--mps", help="Write the whole program as an MPS file too.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of page and tables; a folder per case is made in it.")] = Path(
        "out"
    ),
) -> None:
    """Plan exports that depend on nobody: a page for a ministry, CSV tables, the proof of the gap."""
    from serai.plan.neutrality import Neutrality

    rule = Neutrality(
        max_share=None if max_share == 1.0 else max_share,
        max_loss=None if max_loss == 1.0 else max_loss,
        survive="any one element" if survive else "",
        cover=cover,
    )
    how = {"neutrality": rule, "risk": risk, "futures": futures, "seed": seed, "seconds": seconds, "gap": gap}
    made = _made(case, rounds if checks else 0, how)
    found = made[0][0]
    typer.echo(repr(found).strip("<>"))
    for row in found.builds.to_dict("records"):
        typer.echo(f"  {row['decided']}  {row['project']:<26}{row['capacity']:>6g} bcm/y {row['capex']:>7,.0f} m USD")
    typer.echo(f"contracts: {', '.join(found.contracts[found.contracts['signed']]['contract'])}")
    folder = out / Path(found.problem.case.name).name
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        getattr(found, name).to_csv(folder / f"plan_{name}.csv")
    if mps:
        typer.echo(f"written  {found.to_mps(folder / 'plan.mps')}")
    _page(made, folder, _frontier(found, seconds) if frontier else None, checks=checks)


def _made(case: str, rounds: int, how: dict[str, Any]) -> list[tuple[Plan, Replay | None]]:
    """Return plans and their replays, the last one first; without rounds there is one plan and no replay."""

    def told(value: float, bound: float) -> None:
        typer.echo(f"best {value:,.0f} million USD, none above {bound:,.0f}", err=True)

    def refused(_: object, tried: object) -> None:
        typer.echo(repr(tried).strip("<>"), err=True)

    if rounds:
        from serai.plan.carried import carried_plan

        return list(carried_plan(case, rounds=rounds, told=refused, progress=told, **how))
    from serai.plan.plan import plan as search

    return [(search(case, progress=told, **how), None)]


def _frontier(found: Plan, seconds: float) -> pd.DataFrame:
    """Return plans at other risks and bounds, by all cores, a time for each."""
    from serai.plan.frontier import workers

    with progress("Frontier") as bar, workers() as processes:
        points = found.frontier(seconds=seconds, executor=processes, progress=lambda share, _: bar(share))
    short = [p for p in points.points if not p.gap <= points.asked]
    typer.echo(f"frontier: {len(points.points)} points, {len(short)} with a gap above {100 * points.asked:g} %")
    return points.table


def _page(made: list[tuple[Plan, Replay | None]], folder: Path, frontier: pd.DataFrame | None, *, checks: bool) -> None:
    """Write the page, and the tables of what was asked of the plan."""
    import json

    from serai.plan.told import shown
    from serai.report.plan import Study, study_of, write_plan

    if checks:
        with progress("Checks") as bar:
            study = study_of(made, bar, frontier)
    else:
        study = Study(made[0][0], frontier=frontier)
    for name, rows in study.tables().items():
        rows.to_csv(folder / f"plan_{name}.csv")
    told = shown(study.plan, study.replay, study.frontier)
    (folder / "plan.json").write_text(json.dumps(told, allow_nan=False), encoding="utf-8")  # for the control room
    typer.echo(f"written  {folder}/plan_*.csv")
    typer.echo(f"written  {write_plan(study, folder / 'plan.html')}")
