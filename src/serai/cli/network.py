# SPDX-License-Identifier: Apache-2.0
"""Commands on the tables of a network: check them, convert them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serai.cli.command import MISTAKES, Case, guarded
from serai.errors import CaseError


@guarded
def check(case: Case) -> None:
    """List every mistake of a case; exit code 1 when there is any."""
    from serai.network import read

    try:
        network = read(case)
    except CaseError as error:
        typer.echo(str(error))
        raise typer.Exit(MISTAKES) from None
    rows = sum(len(t) for t in network.tables.values())
    typer.echo(f"{network.name}: no mistake in {rows:,} rows of {len(network.tables)} tables")


@guarded
def convert(
    source: Annotated[
        str, typer.Argument(help="What to read: a GasLib .net, a MATPOWER .m, a case folder or a bundled case.")
    ],
    folder: Annotated[Path, typer.Argument(help="The case folder to write.")],
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Go on without what cannot be carried over.")
    ] = False,
    scenario: Annotated[str | None, typer.Option(help="GasLib: the .scn file of the nomination.")] = None,
) -> None:
    """Write a network as a case folder that a person can edit in a spreadsheet."""
    from serai.network import read, write

    network = read(source, scenario=scenario, allow_loss=allow_loss)
    write(network, folder)
    rows = sum(len(t) for t in network.tables.values())
    typer.echo(f"written  {folder}  ({rows:,} rows of {len(network.tables)} tables)")
