# SPDX-License-Identifier: Apache-2.0
"""A plan as plain objects for the control room: `serai plan` writes them as plan.json, the live twin hands them out."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from serai.plan.plan import Plan
    from serai.plan.replay import Replay

BILLION = 1e3  # million USD
LISTED = 12  # pieces of the N-1 certificate, the weakest first


def shown(plan: Plan, replay: Replay | None = None, frontier: pd.DataFrame | None = None) -> dict[str, Any]:
    """Return a plan: volumes [bcm/y], money [bn USD], shares from 0 to 1, cover in percent; null = not known.

    replay    what the exact laws say of it;  frontier = the table of `serai.plan.frontier.frontier`
    What was not asked of the plan is absent.
    """
    years = [int(y) for y in plan.problem.years]
    found: dict[str, Any] = {
        "title": plan.problem.case.name, "made": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "unit": "bcm", "money": "bn USD", "years": years, "value": plan.value / BILLION, "bound": plan.bound / BILLION,
        "gap": plan.gap, "futures": len(plan.problem.scenarios.probability), "flows": _flows(plan),
        "shares": _shares(plan, years[-1]), "certificate": _certificate(plan, years[-1]),
        "builds": [
            {"name": b["project"], "year": int(b["decided"]), "cost": b["capex"] / BILLION} for b in _rows(plan.builds)
        ],
    }  # fmt: skip
    if replay is not None:
        found["replay"] = [
            {"year": t.year, "season": t.season, "holds": t.carried, "element": t.element or None, "text": _why(t)}
            for t in replay.trials
        ]
    if frontier is not None:
        found |= _frontier(frontier)
    return found


def _flows(plan: Plan) -> list[dict[str, Any]]:
    table = plan.flows
    return [
        {"name": c.name, "market": c.bloc, "volume": [round(float(v), 3) for v in table[c.name]]}
        for c in plan.problem.case.corridors
    ]


def _shares(plan: Plan, year: int) -> list[dict[str, Any]]:
    """Return the share of every dependence in the volume of a year, beside its bound."""
    bounds = plan.neutrality.shares
    row: dict[Any, Any] = plan.shares.loc[year].to_dict()
    return [
        {"by": dimension, "name": name, "now": None, "plan": round(float(share), 4), "limit": bounds.get(dimension),
         "year": year}
        for (dimension, name, measure), share in row.items() if measure == "volume" and share > 1e-4
    ]  # fmt: skip


def _certificate(plan: Plan, year: int) -> list[dict[str, Any]]:
    """Return N-1 of a year: the pieces whose loss leaves least."""
    table = plan.certificate
    rows = table[table["year"] == year].sort_values(["holds", "left"]).head(LISTED)
    whole = float(plan.flows.loc[year].sum())
    return [
        {"lost": r["element"], "volume": _plain(max(0.0, whole - r["left"])), "left": _plain(r["left"]),
         "cover": _plain(100.0 * r["cover"]), "needed": 100.0 * plan.neutrality.cover, "holds": bool(r["holds"])}
        for r in _rows(rows)
    ]  # fmt: skip


def _why(trial: Any) -> str | None:
    if trial.carried:
        return None
    if trial.why:
        return str(trial.why)
    return (
        f"{trial.quantity} {trial.side} {trial.limit:g} {trial.unit}: {trial.delivered:.1f} of {trial.asked:.1f} bcm/y"
    )


def _frontier(table: pd.DataFrame) -> dict[str, Any]:
    """Return all points; of them value against risk at the plan's own bound, what each bound costs at its own risk.

    Where the plan is none of the points: at the tightest bound, at the least risk.
    """
    solved = table[np.isfinite(table["value"])]
    if solved.empty:
        return {}
    itself = solved[solved["chosen"]]
    share, risk = (itself if len(itself) else solved)[["share", "risk"]].min()
    own, level = solved[solved["share"] == share], solved[solved["risk"] == risk]
    free = float(level["value"].max())
    return {
        "frontier": [
            {"risk": r["worst"] / BILLION, "value": r["mean"] / BILLION, "label": f"{r['risk']:g}",
             "chosen": r["chosen"]}
            for r in _rows(own)
        ],
        "price": [
            {"limit": 100.0 * r["share"], "given_up": (free - r["value"]) / BILLION}
            for r in _rows(level.sort_values("share"))
        ],
        "points": [_point(r) for r in _rows(table)],
    }  # fmt: skip


def _point(row: dict[str, Any]) -> dict[str, Any]:
    """Return one plan of the frontier; what is not known of it is null."""
    money = {"value": "value", "bound": "bound", "mean": "mean", "risk": "worst", "price": "price_dual",
             "price_step": "price_difference"}  # fmt: skip
    return {
        "lambda": row["risk"], "limit": round(100.0 * row["share"], 6),
        **{name: _plain(row[column] / BILLION, 6) for name, column in money.items()},
        "gap": _plain(row["gap"], 6), "proven": row["proven"], "chosen": row["chosen"],
        "builds": _names(row["builds"]), "contracts": _names(row["contracts"]), "seconds": _plain(row["seconds"], 1),
    }  # fmt: skip


def _names(text: str) -> list[str]:
    return text.split("; ") if text else []


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _plain(value: float, places: int = 3) -> float | None:
    return round(float(value), places) if isfinite(value) else None
