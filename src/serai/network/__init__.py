# SPDX-License-Identifier: Apache-2.0
"""What exists: networks read from a bundled case, a case folder, a GasLib .net file or a MATPOWER .m file."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from serai.errors import CaseError, Mistake
from serai.network.casefolder import CASE_FILE, read_folder
from serai.network.casefolder import write_folder as write
from serai.network.matpower import read_matpower
from serai.network.network import Day, Gas, HeatDemand, Network
from serai.network.sheet import near
from serai.network.tables import KINDS, Table, table

__all__ = ["KINDS", "Day", "Gas", "HeatDemand", "Network", "Table", "bundled", "read", "table", "write"]


def bundled() -> dict[str, Path]:
    """Return name -> folder of the cases that come with Serai."""
    cases = Path(str(files("serai"))) / "cases"
    return {f.parent.name: f.parent for f in sorted(cases.glob(f"*/{CASE_FILE}"))}


def read(
    source: str | os.PathLike[str], *, day: str | None = None, scenario: str | None = None, allow_loss: bool = False
) -> Network:
    """Read a network: a bundled case's name, a case folder, a GasLib .net (or a .zip with one) or a MATPOWER .m file.

    day         operating day whose set-points hold; not given = the case's own
    scenario    GasLib: the .scn file of the nomination; not given = the one beside the .net file
    allow_loss  go on when a file holds things that cannot be carried over

    A plain name means a bundled case; write ./name for a folder of that name. CaseError lists every mistake;
    Untranslated lists what a file holds and a network cannot.
    """
    network = _read(os.fspath(source), scenario, allow_loss=allow_loss)
    return network if day is None else network.on(day)


def _read(source: str, scenario: str | None, *, allow_loss: bool) -> Network:
    cases = bundled()
    path = cases.get(source, Path(source))
    if not path.exists():
        listed = f"bundled cases: {', '.join(cases) or 'none'}"
        raise CaseError(
            source, [Mistake(source, 0, "", f"no such file, folder or bundled case{near(source, cases)}; {listed}")]
        )
    if scenario is not None and path.suffix not in (".net", ".zip"):
        raise CaseError(source, [Mistake(path.name, 0, "", "takes no scenario: only a GasLib .net or .zip has one")])
    if path.is_dir():
        return read_folder(path)
    if path.suffix in (".net", ".zip"):
        from serai.network.gaslib import read_gaslib  # noqa: PLC0415 - XML is read only where there is some

        return read_gaslib(path, scenario, allow_loss=allow_loss)
    if path.suffix == ".m":
        return read_matpower(path, allow_loss=allow_loss)
    text = "is no network: a case folder, a GasLib .net or .zip file and a MATPOWER .m file can be read"
    raise CaseError(source, [Mistake(path.name, 0, "", text)])
