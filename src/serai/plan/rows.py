# SPDX-License-Identifier: Apache-2.0
"""Planning tables as rows: one dataclass for a kind of row, one CSV file, every mistake with its row and column.

A header is the field's name and its unit: `capacity_bcm_per_year`. Inside, volumes are bcm, rates bcm a year, money
million USD of the base year, prices USD per 1,000 m3, power MW. One USD per 1,000 m3 is one million USD per bcm, so
that prices times volumes need no factor.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from serai.errors import Mistake
from serai.network.sheet import near, number, read_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from serai.network.sheet import Sheet

R = TypeVar("R")
MMBTU_PER_1000M3 = 35.7  # at 37.7 MJ/m3 gross, the factor behind the quoted prices of the Turkmen case
UNITS: dict[str, dict[str, float]] = {
    "volume": {"bcm": 1.0, "million_m3": 1e-3},
    "rate": {"bcm_per_year": 1.0, "million_m3_per_day": 0.365},
    "price": {"usd_per_1000m3": 1.0, "usd_per_mmbtu": MMBTU_PER_1000M3},
    "money": {"million_usd": 1.0, "billion_usd": 1e3},
    "power": {"mw": 1.0},
    "share": {"percent": 1e-2},
    "years": {"years": 1.0, "months": 1.0 / 12.0},
}
# More than any country has (the world sells 4,000 bcm a year): a larger number is in another unit than its column
# says. With every price and every capacity bounded, no plan can be worth more than a finite sum.
LARGEST = {"volume": 1e4, "rate": 1e4, "price": 1e5, "money": 1e7, "power": 1e6}


@dataclass(frozen=True, slots=True)
class Cell:
    """What may stand in a column: its dimension (with units), bounds, the only texts."""

    dimension: str
    low: float
    high: float
    allowed: tuple[str, ...]


def cell(
    dimension: str = "", *, low: float = -inf, high: float = inf, allowed: tuple[str, ...] = (), default: Any = MISSING
) -> Any:
    """Return a dataclass field that is read from a column; without a default every row must give it."""
    high = min(high, LARGEST.get(dimension, inf))
    return field(default=default, metadata={"cell": Cell(dimension, low, high, allowed)})


@dataclass(frozen=True)
class Placed:
    """Where the rows of a file stand, for mistakes that show only when files are seen together.

    left_out  what could be read of the rows that hold mistakes: their names are known, though they are no objects
    """

    file: str
    rows: tuple[int, ...]
    left_out: tuple[dict[str, Any], ...] = ()

    def mistake(self, i: int, column: str, text: str) -> Mistake:
        """Return a mistake in the `i`-th object."""
        return Mistake(self.file, self.rows[i], column, text)

    def names(self, column: str) -> set[str]:
        """Return the names that rows left out have in a column."""
        return {row[column] for row in self.left_out if column in row}


def read_rows(path: Path, kind: type[R], mistakes: list[Mistake]) -> tuple[list[R], Placed]:
    """Return the rows of a file as objects of the dataclass `kind`; what is wrong is appended to `mistakes`.

    A row with a mistake is left out of what is returned, never out of `mistakes`.
    """
    sheet = read_sheet(path, path.name, mistakes)
    columns = _columns(sheet, kind, path.name, mistakes)
    needed = {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type] # a dataclass
    found: list[R] = []
    rows: list[int] = []
    left_out: list[dict[str, Any]] = []
    for row, texts in sheet.rows:
        before = len(mistakes)
        values = {}
        for name, (k, spec, factor, type_) in columns.items():
            if not texts[k].strip():
                continue
            try:
                values[name] = _value(sheet, texts[k], spec, factor, type_)
            except ValueError as error:
                mistakes.append(Mistake(path.name, row, sheet.headers[k], f"{error}, got {texts[k].strip()!r}"))
        for f in fields(kind):  # type: ignore[arg-type] # every kind is a dataclass
            if f.default is MISSING and f.name not in values and f.name in columns and len(mistakes) == before:
                mistakes.append(Mistake(path.name, row, sheet.headers[columns[f.name][0]], "must be given"))
        if len(mistakes) == before and needed <= set(columns):
            found.append(kind(**values))
            rows.append(row)
        else:
            left_out.append(values)
    return found, Placed(path.name, tuple(rows), tuple(left_out))


def wrong_values(rows: Sequence[Any], file: str) -> tuple[list[Mistake], Placed]:
    """Return what no file could hold of objects made in a program, placed as if a file held them."""
    found = []
    for i, row in enumerate(rows):
        for f in fields(row):
            spec, value = f.metadata["cell"], getattr(row, f.name)
            if isinstance(value, int | float) and value != f.default and not spec.low <= value <= spec.high:
                found.append(Mistake(file, i + 2, f.name, f"must be {_range(spec)}, got {value!r}"))
            if spec.allowed and value not in spec.allowed:
                found.append(Mistake(file, i + 2, f.name, f"must be {' or '.join(spec.allowed)}, got {value!r}"))
    return found, Placed(file, tuple(range(2, len(rows) + 2)))


def _range(spec: Cell, factor: float = 1.0) -> str:
    """Say between what a number must lie."""
    return " and ".join(
        [f"at least {spec.low / factor:,.10g}"] * (spec.low > -inf)
        + [f"at most {spec.high / factor:,.10g}"] * (spec.high < inf)
    )


def _columns(sheet: Sheet, kind: type, file: str, mistakes: list[Mistake]) -> dict[str, tuple[int, Cell, float, str]]:
    """Return field -> (place, what may stand there, factor of its unit, type); unknown headers are mistakes."""
    columns: dict[str, tuple[int, Cell, float, str]] = {}
    specs = {f.name: f for f in fields(kind)}
    headers = [_headers(n, f.metadata["cell"].dimension) for n, f in specs.items()]
    for k, header in enumerate(sheet.headers):
        for (name, f), known in zip(specs.items(), headers, strict=True):
            if header in known and name not in columns:
                columns[name] = (k, f.metadata["cell"], known[header], str(f.type))
                break
        else:
            mistakes.append(Mistake(file, 1, header, _unknown(header, columns, headers)))
    for (name, f), known in zip(specs.items(), headers, strict=True):
        if f.default is MISSING and name not in columns and sheet.headers:
            mistakes.append(Mistake(file, 1, " or ".join(known), "this column is missing"))
    return columns


def _headers(name: str, dimension: str) -> dict[str, float]:
    """Return the headers that a field may have, and the factor of the unit in each."""
    return {f"{name}_{u}": factor for u, factor in UNITS[dimension].items()} if dimension else {name: 1.0}


def _unknown(header: str, columns: dict[str, Any], headers: Sequence[dict[str, float]]) -> str:
    every = [h for known in headers for h in known]
    if header in every:
        return "is given twice"
    for known in headers:
        stem = next(iter(known))
        name = next((stem.removesuffix(f"_{u}") for us in UNITS.values() for u in us if stem.endswith(f"_{u}")), stem)
        if (header == name or header.startswith(f"{name}_")) and name not in columns and stem != name:
            return f"the unit or currency does not fit: use {' or '.join(known)}"
    return f"no such column{near(header, every)}"


def _value(sheet: Sheet, text: str, spec: Cell, factor: float, type_: str) -> Any:
    """Return the value of one cell; ValueError says what it must be."""
    if type_.startswith("tuple"):
        return tuple(part.strip() for part in text.split(";") if part.strip())
    if type_ == "str":
        if spec.allowed and text.strip() not in spec.allowed:
            msg = f"must be {' or '.join(spec.allowed)}{near(text, spec.allowed)}"
            raise ValueError(msg)
        return text.strip()
    try:
        value = number(sheet.cell(text))
    except ValueError:
        msg = "must be a number"
        raise ValueError(msg) from None
    value *= factor
    if type_ == "int":
        if not value.is_integer():
            msg = "must be a whole number"
            raise ValueError(msg)
        value = int(value)
    if not spec.low <= value <= spec.high:
        msg = f"must be {_range(spec, factor)}"
        raise ValueError(msg)
    return value
