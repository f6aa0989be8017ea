# SPDX-License-Identifier: Apache-2.0
"""The command line: one command per job, each a few lines over the library.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 a check found mistakes,
2 a mistake in what was asked or a network without an answer, 3 a fault of Serai itself, 130 interrupted.
"""

from __future__ import annotations

from typing import Annotated

import typer

from serai.cli.accounts import accounts
from serai.cli.ahead import ahead
from serai.cli.audit import audit
from serai.cli.command import Settings
from serai.cli.decide import plan
from serai.cli.diagnose import diagnose, place
from serai.cli.dispatch import dispatch
from serai.cli.network import check, convert
from serai.cli.nominate import nominate
from serai.cli.run import run
from serai.cli.simulate import outages, replay, steady
from serai.cli.state import estimate
from serai.cli.telemetry import collect, field

COMMANDS = (
    run, check, convert, steady, outages, replay, estimate, diagnose, place, field, collect, ahead, plan, nominate,
    dispatch,
)  # fmt: skip

app = typer.Typer(
    name="serai", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    help="One model of a country's gas pipelines and power grid.",
)  # fmt: skip
for _command in COMMANDS:
    app.command()(_command)
app.add_typer(accounts, name="accounts")
app.add_typer(audit, name="audit")


def _version(wanted: bool) -> None:
    if wanted:
        from serai import __version__

        typer.echo(f"serai {__version__}")
        raise typer.Exit


@app.callback()
def settings(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault.")] = False,
    version: Annotated[  # noqa: ARG001 - the callback of the option does the work
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """One model of a country's gas pipelines and power grid."""
    Settings.debug = debug


def main() -> None:
    """Run the command line."""
    app()
