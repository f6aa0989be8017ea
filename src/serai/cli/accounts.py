# SPDX-License-Identifier: Apache-2.0
"""`serai accounts`: accounts of a control room, from the machine that it runs on, beside a room that runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serai.cli.command import guarded

if TYPE_CHECKING:
    from serai.accounts import Accounts

OUT = Path("out")
PLACE = "*/site/room"  # where `serai run` keeps them, below OUT

Folder = Annotated[Path | None, typer.Option(help="The room's folder; not given = the only one below out/.")]
Name = Annotated[str, typer.Argument(help="Name of the account.")]
Role = Annotated[list[str] | None, typer.Option(help="A role; may be given again. `serai accounts roles` lists them.")]
At = Annotated[str, typer.Option(help="Address of the room, for the link.")]
HOME = "http://127.0.0.1:8080"

accounts = typer.Typer(no_args_is_help=True, help="Accounts of a control room: who may sign in, with which roles.")


@accounts.command("list")
@guarded
def list_(folder: Folder = None) -> None:
    """List accounts, their roles and states."""
    with _opened(folder) as found:
        for account in found.list():
            state = "disabled" if account.disabled else "" if account.ready else "no password yet"
            typer.echo(f"{account.name:20s} {', '.join(account.roles):40s} {state}".rstrip())


@accounts.command()
@guarded
def add(name: Name, role: Role = None, folder: Folder = None, address: At = HOME) -> None:
    """Add an account; prints the one-time link at which its owner sets the password."""
    from serai.accounts import CONSOLE

    with _opened(folder) as found:
        added = found.add(name, role or [], by=CONSOLE)
        _link(found, added.name, address)


@accounts.command()
@guarded
def roles(
    name: Annotated[str | None, typer.Argument(help="Name of the account; not given = list all roles.")] = None,
    role: Role = None,
    folder: Folder = None,
) -> None:
    """Give an account these roles instead of those it has; its sessions end."""
    from serai.accounts import CONSOLE, bundled

    if name is None:
        for known in bundled():
            typer.echo(f"{known:24s} {', '.join(sorted(bundled().allowed([known])))}")
        return
    with _opened(folder) as found:
        changed = found.change(name, by=CONSOLE, held=role or [])
        typer.echo(f"{changed.name}: {', '.join(changed.roles)}")


@accounts.command()
@guarded
def link(name: Name, folder: Folder = None, address: At = HOME) -> None:
    """Print a one-time link at which the owner sets a new password; the old one holds until then."""
    with _opened(folder) as found:
        _link(found, name, address)


@accounts.command()
@guarded
def disable(name: Name, folder: Folder = None) -> None:
    """Disable an account and end its sessions."""
    _switch(name, folder, disabled=True)


@accounts.command()
@guarded
def enable(name: Name, folder: Folder = None) -> None:
    """Enable a disabled account."""
    _switch(name, folder, disabled=False)


@accounts.command()
@guarded
def remove(name: Name, folder: Folder = None) -> None:
    """Remove an account; what it did stays in the audit."""
    from serai.accounts import CONSOLE

    with _opened(folder) as found:
        found.remove(name, by=CONSOLE)
        typer.echo(f"{name}: removed")


def _switch(name: str, folder: Path | None, *, disabled: bool) -> None:
    from serai.accounts import CONSOLE

    with _opened(folder) as found:
        found.change(name, by=CONSOLE, disabled=disabled)
        typer.echo(f"{name}: {'disabled' if disabled else 'enabled'}")


def _link(found: Accounts, name: str, address: str) -> None:
    from serai.accounts import CONSOLE

    token = found.password_link(name, by=CONSOLE)
    hours = found.lifetimes.link_s / 3600.0
    typer.echo(f"{name}: set the password within {hours:g} h, works once:\n{address}/#password={token}")


@contextmanager
def _opened(folder: Path | None) -> Iterator[Accounts]:
    """Open the accounts of a room, and an audit of this command line beside the room's own."""
    from serai.accounts import Accounts
    from serai.room import trail

    place = folder or _only()
    audit = trail.opened(place, "console")
    try:
        found = Accounts(place / "accounts.sqlite", audit.append)
        try:
            yield found
        finally:
            found.close()
    finally:
        audit.close()


def _only() -> Path:
    from serai.errors import Refused

    found = sorted(OUT.glob(PLACE))
    if len(found) != 1:
        named = ": " + ", ".join(map(str, found)) if found else ""
        raise Refused(f"there are {len(found)} rooms below {OUT}/{named}; name one with --folder", "no room")
    return found[0]
