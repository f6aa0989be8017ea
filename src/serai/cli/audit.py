# SPDX-License-Identifier: Apache-2.0
"""Commands on audit logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serai.cli.command import MISTAKES, AsJson, guarded

audit = typer.Typer(no_args_is_help=True, help="Check the log of who did what.")

Key = Annotated[str | None, typer.Option("--key", help="Public key that must have signed it: 64 hex digits.")]
Expect = Annotated[Path | None, typer.Option(help="A head (JSON) that somebody kept: the log must contain it.")]


@audit.command()
@guarded
def verify(
    file: Annotated[Path, typer.Argument(help="The log, one record a line.")],
    key: Key = None,
    expect: Expect = None,
    as_json: AsJson = False,
) -> None:
    """Check chain, numbers and signatures of a log from its bytes; exit code 1 when something was changed."""
    import json
    from dataclasses import asdict

    from serai import audit as log

    found = log.verify(file, log.public_key(key) if key else None, expect=log.read_head(expect) if expect else None)
    typer.echo(json.dumps({**asdict(found), "holds": found.holds}) if as_json else f"{file}: {found}")
    if not found.holds:
        raise typer.Exit(MISTAKES)
