# SPDX-License-Identifier: Apache-2.0
"""What every command shares: its arguments, its exit codes, its errors in words, its progress."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from serai.errors import SeraiError

MISTAKES, REFUSED, FAULT, INTERRUPTED = 1, 2, 3, 130
BEGUN = time.perf_counter()

Case = Annotated[str, typer.Argument(help="A bundled case, a case folder, a GasLib .net or a MATPOWER .m file.")]
Day = Annotated[str | None, typer.Option(help="Operating day of the case; not given = the case's own.")]
Hour = Annotated[float | None, typer.Option(help="Hour of the day; not given = the day's mean.", min=0.0, max=24.0)]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON, SI units.")]


class Settings:
    """What holds for every command."""

    debug = False


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into a text on standard error and an exit code: no traceback for what a user can mend."""

    @functools.wraps(command)
    def run(*args: Any, **given: Any) -> None:
        try:
            command(*args, **given)
        except SeraiError as error:
            complain(str(error))
            raise typer.Exit(REFUSED) from None
        except OSError as error:
            complain(f"{error.filename or 'file'}: {error.strerror or error}")
            raise typer.Exit(REFUSED) from None
        except KeyboardInterrupt:
            complain("interrupted; no file was left half-written")
            raise typer.Exit(INTERRUPTED) from None
        except typer.Exit:
            raise
        except Exception as fault:
            if Settings.debug:
                raise
            complain(
                f"fault in Serai: {type(fault).__name__}: {fault}\n"
                f"the traceback is in {_log(fault)}; --debug shows it here"
            )
            raise typer.Exit(FAULT) from None

    return run


def complain(text: str) -> None:
    """Print an error on standard error."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False, soft_wrap=True).print(
        Text("error: ", style="bold red") + Text(text, style="not bold")
    )


def _log(fault: Exception) -> Path:
    """Append the traceback to the log of this user; return where it is."""
    import tempfile
    import traceback

    text = (
        time.strftime("%Y-%m-%d %H:%M:%S ")
        + " ".join(sys.argv)
        + "\n"
        + "".join(traceback.format_exception(fault))
        + "\n"
    )
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    for folder in (state / "serai", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "serai.log").open("a", encoding="utf-8") as log:
                log.write(text)
        except OSError:
            continue
        return folder / "serai.log"
    return Path(os.devnull)


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while it is a terminal; yields what takes the share done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)
