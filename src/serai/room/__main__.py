# SPDX-License-Identifier: Apache-2.0
"""The room as a process of its own: `python -m serai.room --socket PATH --folder FOLDER` until SIGTERM.

The first line on standard output is the address; at the first start a second one is the one-time link for the first
security administrator. The log goes to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from serai.accounts import Accounts
from serai.errors import SeraiError
from serai.room import serve, trail
from serai.room.app import create
from serai.room.room import Options
from serai.telemetry import memory
from serai.twin.client import Client

REFUSED = 2


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serai.room", description="Serve the control room.")
    parser.add_argument("--socket", type=Path, required=True, help="where the loop listens")
    parser.add_argument("--folder", type=Path, required=True, help="of accounts and audit")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="0 = a free one")
    parser.add_argument("--name", action="append", default=[], help="a name under which browsers ask; may repeat")
    parser.add_argument("--certificate", type=Path, help="TLS: chain, PEM")
    parser.add_argument("--key", type=Path, help="TLS: private key, PEM")
    parser.add_argument("--second-person", action="store_true", help="another operator confirms commands")
    parser.add_argument("--metrics-token", type=Path, help="file with the token that opens /metrics from afar")
    return parser.parse_args(given)


async def run(given: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    tls = serve.Tls(given.certificate, given.key or given.certificate) if given.certificate else None
    options = Options(
        hosts=(*Options().hosts, *([given.host] if given.host not in {"0.0.0.0", "::"} else []),  # noqa: S104 - compared
               *(name.lower() for name in given.name)),
        second_person=given.second_person,
        metrics_token=given.metrics_token.read_text(encoding="utf-8").strip() if given.metrics_token else None,
    )  # fmt: skip
    given.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    listening = serve.listen(given.host, given.port, tls)
    audit = trail.opened(given.folder, "room")
    accounts = Accounts(given.folder / "accounts.sqlite", audit.append)
    desk = await Client.open(given.socket)
    try:
        served = serve.server(create(desk, accounts, audit, options), tls)
        place = serve.address(listening, tls)
        sys.stdout.write(f"{place}\n")
        token = accounts.first_link()
        if token:
            sys.stdout.write(f"first security administrator, works once, within a day: {place}/#first={token}\n")
        sys.stdout.flush()
        await served.serve(sockets=[listening])
    finally:
        await desk.close()
        accounts.close()
        audit.close()
        listening.close()


def main(given: list[str] | None = None) -> int:
    """Run it; 2 for a mistake in what was asked, said in a line."""
    memory.level()
    serve.log_to_stderr()
    try:
        asyncio.run(run(_arguments(given)))
    except SeraiError as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'file'}: {error.strerror or error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
