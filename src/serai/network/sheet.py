# SPDX-License-Identifier: Apache-2.0
"""One CSV file <-> one table: cells, units in headers, and numbers that survive the trip exactly.

A number is written in the unit of its header as the shortest decimal text that reads back as the same SI float. Where
no float in that unit does (0.1 m has no exact float in km), the text gets 20 digits or more, and a text of more than
17 digits is read by rational arithmetic, rounded once at the end. So folder -> network -> folder changes no bit.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from decimal import Decimal, localcontext
from difflib import get_close_matches
from fractions import Fraction
from math import copysign, inf, isfinite, isnan, nan, nextafter
from typing import TYPE_CHECKING, Any

from serai.errors import CaseError, Mistake
from serai.network.tables import KINDS, REQUIRED, Column, Table, table
from serai.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d{1,4})?", re.ASCII)
_SPECIAL = re.compile(r'[,;\t"\r\n]|^\s|\s$')  # what a cell is quoted for
_FLOAT_DIGITS = 17  # a float is told apart from its neighbours by 17 significant digits
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")


def near(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean ...?` when one of `names` looks like `name`, capitals aside; else nothing."""
    folded = {n.casefold(): n for n in names}
    close = get_close_matches(name.casefold(), folded, 1, 0.65)
    return f"; did you mean {folded[close[0]]}?" if close else ""


# ------------------------------------------------------------------------------------------------------- numbers


def _scale(unit: str, density: float) -> tuple[float, float]:
    u = UNITS[unit]
    return (u.factor * density if u.standard_volume else u.factor), u.offset


def number(text: str, unit: str = "", density: float = nan) -> float:
    """Return the SI value of a decimal `text` in `unit`; ValueError when it is no finite number.

    density  [kg per standard m3], for units of standard volume
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    factor, offset = _scale(unit, density)
    if len(text) > _FLOAT_DIGITS and _digits(text) > _FLOAT_DIGITS:
        try:
            value = float(Fraction(text) * Fraction(factor) + Fraction(offset))
        except OverflowError:
            value = inf
    else:
        value = float(text) * factor
        if offset:  # adding 0.0 would turn -0.0 into 0.0
            value += offset
    if not isfinite(value):
        raise ValueError(text)
    return value


def _digits(text: str) -> int:
    """Return how many significant digits a decimal text has."""
    return len(re.sub("[-+.]|[eE].*", "", text).lstrip("0"))


def number_text(value: float, unit: str = "", density: float = nan) -> str:
    """Return the shortest decimal text in `unit` that `number` reads back as exactly the SI `value` (finite)."""
    factor, offset = _scale(unit, density)
    shifted = value - offset if offset else value
    quotient = shifted / factor
    if isfinite(quotient):
        neighbours = (nextafter(quotient, inf), nextafter(quotient, -inf))
        for text in (f"{quotient:.15g}", *map(repr, (quotient, *neighbours))):
            if _same(text, value, unit, density):
                return text.removesuffix(".0")
    exact = (Fraction(value) - Fraction(offset)) / Fraction(factor)
    for digits in (20, 30, 60, 1200):
        with localcontext() as context:
            context.prec = digits
            rounded = Decimal(exact.numerator) / Decimal(exact.denominator)
            padded = Decimal(f"{rounded:.{digits - 1}e}")  # with its last zeros, or it would be read as a float
        text = f"{padded:f}" if -6 < padded.adjusted() < digits else str(padded)
        if _same(text, value, unit, density):
            return text
    raise AssertionError(value)  # 1200 digits hold every float


def _same(text: str, value: float, unit: str, density: float) -> bool:
    try:
        back = number(text, unit, density)
    except ValueError:
        return False
    # a unit with an offset has no negative zero: 0 barg or 0 K is neither
    return back == value and (bool(UNITS[unit].offset) or copysign(1.0, back) == copysign(1.0, value))


# ------------------------------------------------------------------------------------------------------- headers


def resolve(header: str, columns: Sequence[Column]) -> tuple[Column, str] | str:
    """Return the column and the unit that a header `name_unit` means, or a text that says what is wrong with it."""
    hint = ""
    for c in columns:
        if header == c.header:
            return c, c.unit
        units = [u for u in UNITS if u and c.unit and UNITS[u].dimension == UNITS[c.unit].dimension]
        if header == c.name:
            return f"needs a unit: {' or '.join(f'{c.name}_{u}' for u in units)}"
        suffix = header.removeprefix(f"{c.name}_")
        if suffix == header:
            continue
        if suffix in units:
            return c, suffix
        if suffix in UNITS and c.unit:
            hint = (
                f"{suffix} is no unit of {UNITS[c.unit].dimension}; use {' or '.join(f'{c.name}_{u}' for u in units)}"
            )
        elif suffix in UNITS:
            hint = f"takes no unit; use {c.name}"
    return hint or f"no such column{near(header, [c.header for c in columns])}"


# -------------------------------------------------------------------------------------------------------- sheets


@dataclass(frozen=True)
class Sheet:
    """A CSV file as text: headers, rows with their spreadsheet numbers, and whether `0,5` is a number in it."""

    headers: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    decimal_comma: bool

    def cell(self, text: str) -> str:
        """Return a number's text with a decimal point."""
        return text.replace(",", ".") if self.decimal_comma and _DECIMAL_COMMA.fullmatch(text.strip()) else text


def read_sheet(path: Path, file: str, mistakes: list[Mistake]) -> Sheet:
    """Read a comma-, semicolon- or tab-separated file; append what is wrong with it to `mistakes`."""
    lines: list[list[str]] = []
    delimiter = ","
    try:
        text = path.read_bytes().decode("utf-8-sig")
        bare = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
        delimiter = next((c for c in bare if c in ",;\t"), ",")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except OSError as error:
        mistakes.append(Mistake(file, 0, "", f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        mistakes.append(Mistake(file, 0, "", f"must be UTF-8 text, but byte {error.start + 1} is not"))
    except csv.Error as error:
        mistakes.append(Mistake(file, 0, "", f"is not a CSV file: {error}"))
    headers = tuple(h.strip() for h in lines[0]) if lines else ()
    rows = []
    for row, cells in enumerate(lines[1:], start=2):
        if not any(cells):  # spreadsheets leave blank rows
            continue
        if any(cells[len(headers) :]):
            mistakes.append(Mistake(file, row, "", f"has {len(cells)} cells, the header has {len(headers)}"))
        rows.append((row, tuple(cells[: len(headers)]) + ("",) * (len(headers) - len(cells))))
    points = any("." in c and _NUMBER.fullmatch(c.strip()) for _, cells in rows for c in cells)
    # a file with both 1,234 and 0.5 does not say which of them is the decimal sign
    return Sheet(headers, tuple(rows), delimiter == ";" and not points)


def sheet_text(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a CSV text: commas, LF, quotes only where needed."""
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in (headers, *rows))


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell


# -------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class Read:
    """A table read from a sheet, and where its cells stood: spreadsheet rows; column -> (header, unit)."""

    table: Table
    rows: tuple[int, ...]
    headers: dict[str, tuple[str, str]]


def read_table(path: Path, kind: str, density: float, mistakes: list[Mistake]) -> Read:
    """Read one kind of element; every cell that cannot be read is appended to `mistakes`."""
    file = path.name
    sheet = read_sheet(path, file, mistakes)
    spec = KINDS[kind]
    places: dict[str, tuple[int, str]] = {}  # column -> place in the sheet, unit
    for k, header in enumerate(sheet.headers):
        found = resolve(header, spec.columns) if not header.startswith("x_") else (Column(header, "", type=str), "")
        if isinstance(found, str):
            if header or any(cells[k] for _, cells in sheet.rows):
                mistakes.append(Mistake(file, 1, header, found if header else f"column {k + 1} has no name"))
        elif found[0].name in places:
            first = sheet.headers[places[found[0].name][0]]
            mistakes.append(Mistake(file, 1, header, f"is given twice: {first} and {header}"))
        else:
            places[found[0].name] = (k, found[1])
    if sheet.headers:
        missing = [c for c in spec.columns if c.default is REQUIRED and c.name not in places]
        mistakes += [Mistake(file, 1, c.header, "this column is missing") for c in missing]
    elif not mistakes:
        mistakes.append(
            Mistake(file, 0, "", f"is empty; its first row names the columns: {spec.columns[0].header}, ...")
        )
    columns: dict[str, list[Any]] = {}
    for c in (*spec.columns, *(Column(x, "", type=str) for x in places if x.startswith("x_"))):
        if c.name not in places:
            columns[c.name] = [None] * len(sheet.rows)
            continue
        k, unit = places[c.name]
        units = [unit] * len(sheet.rows)
        if c.own_unit and "unit" in places:
            units = [own_unit(c, cells[places["unit"][0]]) for _, cells in sheet.rows]
        columns[c.name] = values = []
        for (row, cells), u in zip(sheet.rows, units, strict=True):
            try:
                values.append(_cell(sheet, cells[k], c, u, density))
            except ValueError as error:
                values.append(None)
                mistakes.append(Mistake(file, row, sheet.headers[k], f"must be {error}, got {cells[k].strip()!r}"))
    headers = {name: (sheet.headers[k], unit) for name, (k, unit) in places.items()}
    return Read(table(kind, **columns), tuple(row for row, _ in sheet.rows), headers)


def own_unit(column: Column, unit: str) -> str:
    """Return the unit of a cell whose row says its unit; a difference has no zero offset."""
    return {"barg": "bar", "degc": "k"}.get(unit, unit) if column.own_unit == "difference" else unit


def _cell(sheet: Sheet, text: str, column: Column, unit: str, density: float) -> Any:
    """Return the SI value of one cell, None = default; ValueError says what it must be."""
    if column.type is str:
        return text or None
    if not text.strip() or unit not in UNITS:  # check says so, at the unit
        return None
    if column.type is bool:
        try:
            return (*_YES, *_NO).index(text.strip().lower()) < len(_YES)
        except ValueError:
            raise ValueError("true or false") from None
    try:
        value = number(sheet.cell(text), unit, density)
    except ValueError:
        raise ValueError("a number") from None
    if column.type is int:
        if not value.is_integer():
            raise ValueError("a whole number")
        return int(value)
    return value


def table_text(t: Table, density: float) -> str:
    """Return the CSV text of a table; columns that hold nothing but their default are left out.

    Raises CaseError for what an empty cell cannot say: "" or nan in a column whose default is something else.
    """
    spec = KINDS[t.kind]
    mistakes: list[Mistake] = []
    headers: list[str] = []
    columns: list[list[str]] = []
    for c in spec.columns:
        values = t[c.name]
        if c.default is not REQUIRED and all(_is_default(v, c) for v in values):
            continue
        headers.append(c.header)
        columns.append([])
        for i, v in enumerate(values):
            unit = own_unit(c, str(t["unit"][i])) if c.own_unit else c.unit
            text = _written(v, c, unit, density)
            if not text and not _is_default(v, c):
                mistakes.append(Mistake(f"{t.kind}.csv", i + 2, c.header, "must be given"))
            columns[-1].append(text)
    for name in t.columns:
        if name.startswith("x_"):
            headers.append(name)
            columns.append([str(v) for v in t[name]])
    if mistakes:
        raise CaseError(t.kind, mistakes)
    return sheet_text(headers, zip(*columns, strict=True))


def _is_default(value: Any, column: Column) -> bool:
    if column.default is REQUIRED:
        return False
    if column.type is float:
        default = float(column.default)
        return bool(
            isnan(value) if isnan(default) else value == default and copysign(1.0, value) == copysign(1.0, default)
        )
    return bool(value == column.default)


def _written(value: Any, column: Column, unit: str, density: float) -> str:
    if column.type is str:
        return str(value)
    if column.type is bool:
        return "true" if value else "false"
    if column.type is int:
        return str(int(value))
    return number_text(float(value), unit, density) if isfinite(value) else ""
