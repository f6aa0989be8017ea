# SPDX-License-Identifier: Apache-2.0
"""Reports: one HTML file that opens without a network, for an engineer who never saw the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serai.report.document import write_whole
from serai.report.page import key_rows, page
from serai.report.shown import Shown

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import xarray as xr

    from serai.simulate.labelled import Result

__all__ = ["key_figures", "write_report"]


def key_figures(result: Result) -> list[tuple[str, str, str, str]]:
    """Return the key figures of a result as texts: name, remark, value, unit; the same as in its report."""
    return key_rows(Shown(result))


def write_report(result: Result, path: str | os.PathLike[str], *, outages: xr.Dataset | None = None) -> Path:
    """Write the report of a result; the file appears whole or not at all.

    result   of `steady` or `transient`
    path     the HTML file; its folder is made
    outages  what `outages` returned, for a ranked table
    """
    return write_whole(page(Shown(result), outages), path)
