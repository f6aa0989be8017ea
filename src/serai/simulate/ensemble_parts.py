# SPDX-License-Identifier: Apache-2.0
"""Ensembles that are larger than one machine, one memory or one sitting: pieces to workers, parts to disk.

A folder of parts holds `part-000000.nc`, ... (one NetCDF file each, written aside and renamed when whole) and
`index.json`, which says what each part was made from. A second call with the same tables takes the parts that are there
and goes on behind them; parts of other tables are made anew, and a folder of another ensemble is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from concurrent.futures import BrokenExecutor, CancelledError
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from serai.errors import SeraiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from numpy.typing import NDArray

AHEAD = 16  # pieces that wait at the workers: enough to keep them busy, few enough to bound the memory


def in_order(executor: Any, work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
    """Yield work(piece) of every piece in order, done by the workers of an executor.

    A piece whose worker is lost is done here: no scenario is lost with it.
    """
    waiting: deque[tuple[Any, Any]] = deque()
    source = iter(pieces)
    try:
        while True:
            for piece in islice(source, AHEAD - len(waiting)):
                waiting.append((piece, _submitted(executor, work, piece)))
            if not waiting:
                return
            piece, future = waiting.popleft()
            if future is None:
                yield work(piece)
                continue
            try:
                result = future.result()
            except Exception as error:
                if not _lost(error):
                    raise
                result = work(piece)
            yield result
    finally:
        for _, future in waiting:
            if future is not None:
                future.cancel()


def _submitted(executor: Any, work: Callable[[Any], Any], piece: Any) -> Any:
    """Return the future of a piece; None where the executor takes no more work."""
    dask = hasattr(executor, "scatter")  # its client would take equal pieces for one
    try:
        return executor.submit(work, piece, **({"pure": False} if dask else {}))
    except (BrokenExecutor, RuntimeError):
        return None


def _lost(error: Exception) -> bool:
    """Whether an error says that a worker is gone, not that its work is wrong."""
    gone = isinstance(error, BrokenExecutor | CancelledError | ConnectionError)
    return gone or type(error).__module__.partition(".")[0] == "distributed"  # KilledWorker and its like


class Summary:
    """What became of all scenarios of many parts, in a few bytes for each."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self.parts: list[tuple[Any, ...]] = []
        self.failed: dict[Any, str] = {}

    def add(self, part: xr.Dataset) -> None:
        """Take in status, reason, mismatch and iterations of a part."""
        status = [self.words.setdefault(s, len(self.words)) for s in part["status"].values.tolist()]
        names, reasons = part["scenario"].values, part["reason"].values.tolist()
        self.failed.update((name, text) for name, text in zip(names.tolist(), reasons, strict=True) if text)
        steps = part["iterations"].values.astype(np.int32)
        self.parts.append((names, np.array(status, np.int8), part["mismatch"].values.astype(np.float64), steps))

    def joined(self) -> tuple[xr.Dataset, dict[Any, str]]:
        """Return the dataset of all scenarios, and scenario -> reason of those without an answer."""
        names, status, mismatch, steps = (np.concatenate(x) for x in zip(*self.parts, strict=True))
        data = {"status": np.array(list(self.words))[status], "mismatch": mismatch, "iterations": steps}
        return xr.Dataset({k: ("scenario", v) for k, v in data.items()}, coords={"scenario": names}), self.failed


class Parts:
    """A folder of parts of one ensemble.

    made_from  what identifies the ensemble: network, columns, options; another one is refused
    """

    def __init__(self, folder: str | PathLike[str], made_from: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.index = self.folder / "index.json"
        self.made_from = hashlib.sha256(made_from.encode()).hexdigest()
        self.sums: dict[str, str] = {}
        if self.index.exists():
            before = json.loads(self.index.read_text(encoding="utf-8"))
            if before["made_from"] != self.made_from:
                raise SeraiError(f"{self.folder} holds parts of another ensemble: give an empty folder")
            self.sums = before["parts"]

    def path(self, number: int) -> Path:
        """Return the file of a part."""
        return self.folder / f"part-{number:06}.nc"

    def there(self, number: int, values: NDArray[Any]) -> bool:
        """Whether a part is there that was made from the same values."""
        return self.sums.get(str(number)) == _sum(values) and self.path(number).exists()

    def keep(self, number: int, values: NDArray[Any], dataset: xr.Dataset) -> None:
        """Write a part, then note it in the index: what the index names is whole."""
        partial = self.path(number).with_suffix(".partial")
        dataset.to_netcdf(partial, engine="h5netcdf")
        partial.replace(self.path(number))
        self.sums[str(number)] = _sum(values)
        partial = self.index.with_suffix(".partial")
        partial.write_text(json.dumps({"made_from": self.made_from, "parts": self.sums}), encoding="utf-8")
        partial.replace(self.index)

    def summary(self, number: int) -> xr.Dataset:
        """Return status, reason, mismatch and iterations of a part."""
        with xr.open_dataset(self.path(number), engine="h5netcdf") as part:
            return part[["status", "reason", "mismatch", "iterations"]].load()


def _sum(values: NDArray[Any]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()
