# SPDX-License-Identifier: Apache-2.0
"""Loops over a law's instances, generated from the law and compiled once per machine.

numba caches a loop across processes only when it calls the formula by its name in a module, and it does not notice that
a formula in another file has changed. So each law gets a small generated module in a cache folder whose name carries a
hash of the sources of the laws: edit a law and a new folder is used.

The folder is $SERAI_CACHE, or `serai` in the user's cache folder, or a temporary one where neither can be written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba

import serai.lanes
import serai.laws

if TYPE_CHECKING:
    from types import ModuleType

    from serai.laws import Law

TEMPLATE = '''"""Generated from serai.laws: loops of the law {name}. Do not edit."""

from numba import njit

from {module} import {function} as formula

# nothing is allocated here: without counting references it compiles in half the time
loop = njit(cache=True, error_model="numpy", _nrt=False, no_rewrites=True, no_cfunc_wrapper=True)


@loop
def accumulate(x, columns, parameters, rows, row_scales, slots, slot_scales, residual, data):
    """Add value and slopes of every instance to the scaled residual and the matrix."""
    for i in range(columns.shape[1]):
        {values} = formula({arguments})
{adding}


@loop
def values(x, columns, parameters, out):
    """Write the plain value of every row of every instance to out (rows, n)."""
    for i in range(columns.shape[1]):
        {values} = formula({arguments})
{writing}
'''


def source(law: Law) -> str:
    """Return the text of the module that loops over the instances of `law`."""
    n, m, rows = len(law.columns), len(law.parameters), law.rows
    arguments = [f"x[columns[{k}, i]]" for k in range(n)] + [f"parameters[{k}, i]" for k in range(m)]
    names = [f"f{r}" for r in range(rows)] + [f"s{r}_{k}" for r in range(rows) for k in range(n)]
    adding = [f"residual[rows[{r}, i]] += f{r} * row_scales[{r}, i]" for r in range(rows)]
    adding += [
        f"data[slots[{r * n + k}, i]] += s{r}_{k} * slot_scales[{r * n + k}, i]" for r in range(rows) for k in range(n)
    ]
    writing = [f"out[{r}, i] = f{r}" for r in range(rows)]
    return TEMPLATE.format(
        name=law.name,
        module=law.module,
        function=law.function,
        values=", ".join(names),
        arguments=", ".join(arguments),
        adding="\n".join(" " * 8 + line for line in adding),
        writing="\n".join(" " * 8 + line for line in writing),
    )


@cache
def kernel(law: Law) -> Any:
    """Return the module with `accumulate` and `values` for a law."""
    return written(f"serai_kernel_{law.name}", source(law))


@cache
def written(name: str, text: str) -> ModuleType:
    """Return the module of this name with this text, kept in the cache folder; an unchanged one keeps its code."""
    path = _folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return _load(name, path)


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # pragma: no cover - a plain .py file always has a loader
        msg = f"cannot load {path}"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba finds the module of a cached function by its name
    spec.loader.exec_module(module)
    return module


@cache
def _folder() -> Path:
    """Return the first cache folder that can be written, named after the sources of all laws."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]}".encode())
    files = [Path(str(serai.lanes.__file__)), *sorted(Path(str(serai.laws.__file__)).parent.glob("*.py"))]
    for file in files:
        digest.update(file.read_bytes())
    leaf = f"kernels-{digest.hexdigest()[:16]}"
    home = os.environ.get("SERAI_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serai"
    for root in (Path(home), Path(tempfile.gettempdir()) / f"serai-{os.getuid() if hasattr(os, 'getuid') else 0}"):
        folder = root / leaf
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".{os.getpid()}.part"
            probe.touch()
            probe.unlink()
        except OSError:
            continue
        return folder
    return Path(tempfile.mkdtemp(prefix=leaf))
