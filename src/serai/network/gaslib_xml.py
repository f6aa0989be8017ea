# SPDX-License-Identifier: Apache-2.0
"""GasLib's XML: elements with line numbers, units, and a mark on everything that found a place.

Every element and every attribute is marked with the place it is carried to (`pipes.length`). What has no mark at the
end is lost, so `losses` and `account` cannot disagree with what was really read.

Document type declarations and entities are refused: no GasLib file has them, and they are how XML attacks a reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from serai.errors import CaseError, Mistake
from serai.network.sheet import number as decimal
from serai.units import BAR, STANDARD_ATMOSPHERE, ZERO_CELSIUS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEEPEST = 50  # elements inside each other: far above what the format has, far below what Python can follow
TEXT = "#text"  # the mark of an element's text, beside those of its attributes

# GasLib unit -> (factor, offset) to SI, by dimension; a volume flow is at norm conditions and still lacks the density.
# `bar` of a pressure is absolute: the files write 1.01325 bar for the atmosphere and use `barg` for gauge.
UNITS: dict[str, dict[str, tuple[float, float]]] = {
    "length": {"m": (1.0, 0.0), "meter": (1.0, 0.0), "km": (1e3, 0.0), "mm": (1e-3, 0.0)},
    "pressure": {"bar": (BAR, 0.0), "barg": (BAR, STANDARD_ATMOSPHERE), "Pa": (1.0, 0.0)},
    "pressure difference": {"bar": (BAR, 0.0), "Pa": (1.0, 0.0)},
    "norm volume flow": {
        "1000m_cube_per_hour": (1e3 / 3600.0, 0.0),
        "m_cube_per_hour": (1.0 / 3600.0, 0.0),
        "m_cube_per_s": (1.0, 0.0),
    },
    "temperature": {"K": (1.0, 0.0), "Celsius": (1.0, ZERO_CELSIUS), "C": (1.0, ZERO_CELSIUS)},
    "norm density": {"kg_per_m_cube": (1.0, 0.0)},
    "heating value": {"MJ_per_m_cube": (1e6, 0.0), "kJ_per_m_cube": (1e3, 0.0)},
    "molar mass": {"kg_per_kmol": (1e-3, 0.0)},
    "heat transfer": {"W_per_m_square_per_K": (1.0, 0.0)},
    "power": {"kW": (1e3, 0.0), "MW": (1e6, 0.0), "W": (1.0, 0.0)},
    # the machine data stay in the units that their coefficients belong to
    "speed [1/min]": {"per_min": (1.0, 0.0)},
    "head [kJ/kg]": {"kJ_per_kg": (1.0, 0.0)},
    "volume flow": {"m_cube_per_s": (1.0, 0.0), "m_cube_per_hour": (1.0 / 3600.0, 0.0)},
}


@dataclass(slots=True)
class Element:
    """One XML element: local names only, the line it begins on, and `places`: what was carried where.

    The mark "" stands for the element itself, TEXT for its text, any other for the attribute of that name.
    """

    tag: str
    path: str
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""
    places: dict[str, str] = field(default_factory=dict)

    def marks(self) -> Iterator[str]:
        """Yield every mark that must find a place."""
        yield ""
        yield from self.attributes
        if self.text:
            yield TEXT

    def walk(self) -> Iterator[Element]:
        """Yield this element and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def carry(self, place: str, *keys: str) -> None:
        """Mark the element, or the given attributes of it, as carried to `place`."""
        for key in keys or ("",):
            self.places[key] = place

    def carry_all(self, place: str) -> None:
        """Mark the element, its attributes and all below it as carried to `place`."""
        for element in self.walk():
            element.carry(place, *element.marks())


@dataclass(slots=True)
class Document:
    """One GasLib file: its elements and the mistakes found in it."""

    file: str
    root: Element
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def mistake(self, element: Element, text: str, where: str = "") -> None:
        """Add a mistake at an element; rows are line numbers of the file."""
        self.mistakes.append(Mistake(self.file, element.line, where or element.tag, text))

    def attribute(self, element: Element, name: str, place: str) -> str:
        """Take an attribute that must be there; a mistake and an empty text where it is not."""
        if not element.attributes.get(name):
            self.mistake(element, f"must have an attribute {name}")
            return ""
        element.carry(place, name)
        return element.attributes[name]

    def number(self, element: Element, text: str, where: str) -> float | None:
        """Return a text as a finite number; otherwise a mistake and None."""
        try:
            return decimal(text)
        except ValueError:
            self.mistake(element, f"must be a finite number, got {text!r}", where)
            return None

    def value(self, element: Element, dimension: str, place: str, *, unit: str = "", where: str = "") -> float | None:
        """Take `<x value= unit=/>` in SI (norm volume flows: m3/s) and mark it as carried to `place`.

        dimension   a key of UNITS, or "" for a plain number
        unit        what holds where the file names none; without it a missing unit is a mistake
        """
        where = where or element.tag
        element.carry(place)
        if "value" not in element.attributes:
            self.mistake(element, "must have an attribute value", where)
            return None
        element.carry(place, "value")
        number = self.number(element, element.attributes["value"], where)
        if not dimension:
            return number
        known = UNITS[dimension]
        given = element.attributes.get("unit", unit)
        if given not in known:
            what = f"unit {given!r} is not known for a {dimension}" if given else f"a {dimension} must have a unit"
            self.mistake(element, f"{what}; known: {', '.join(known)}", where)
            return None
        if "unit" in element.attributes:
            element.carry(f"{place} (converted)", "unit")
        factor, offset = known[given]
        return None if number is None else number * factor + offset

    def keep(self, element: Element, row: dict[str, Any], table: str) -> None:
        """Carry a parameter without a column as text: `x_<tag>` = "value unit", in GasLib's own spelling.

        Only a leaf can become a text, and only once a row; anything else stays unmarked and is reported as lost.
        """
        column = f"x_{element.tag}"
        if element.children or column in row:
            return
        told = [element.attributes[k] for k in ("value", "unit") if k in element.attributes]
        if element.text:
            told.append(element.text)
        row[column] = " ".join(told)
        element.carry(f"{table}.{column}", *element.marks())
        for name in set(element.attributes) - {"value", "unit"}:
            row[f"{column}_{name}"] = element.attributes[name]
            element.carry(f"{table}.{column}_{name}", name)

    def keep_attributes(self, element: Element, row: dict[str, Any], table: str) -> None:
        """Carry the attributes that are still unmarked as texts `x_<attribute>`."""
        for name, text in element.attributes.items():
            if name not in element.places:
                row[f"x_{name}"] = text
                element.carry(f"{table}.x_{name}", name)

    def losses(self) -> list[str]:
        """Return what was not carried, outermost first: an element, an attribute or a text."""
        return [f"{self.file} line {line}: {what}" for line, what in _unmarked(self.root)]


def _unmarked(element: Element) -> Iterator[tuple[int, str]]:
    name = element.attributes.get("id", "")
    told = f"{element.path}{f' {name!r}' if name else ''}"
    if "" not in element.places:
        yield element.line, f"element {told}"
        return  # what is inside is lost with it
    for key in element.marks():
        if key not in element.places:
            yield element.line, f"{'text' if key == TEXT else f'attribute {key}'} of {told}"
    for child in element.children:
        yield from _unmarked(child)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """The file holds something that this reader does not follow."""


def _local(name: str) -> str:
    """Return a name without its namespace: files use different ones for the same thing."""
    return name.rpartition(" ")[2]


def parse(file: str, content: bytes, root_tag: str) -> Document:
    """Parse one GasLib file; CaseError when it is no XML, has declarations, or its root is not `root_tag`."""
    stack: list[Element] = []
    roots: list[Element] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if len(stack) == _DEEPEST:
            raise _Refused(f"has more than {_DEEPEST} elements inside each other; GasLib files have 8")
        tag = _local(name)
        path = f"{stack[-1].path}/{tag}" if stack else tag
        element = Element(tag, path, parser.CurrentLineNumber, {_local(k): v for k, v in attributes.items()})
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def end(_name: str) -> None:
        element = stack.pop()
        element.text = element.text.strip()

    def text(data: str) -> None:
        stack[-1].text += data

    def refuse(*_: object) -> int:
        raise _Refused("declares a document type or an entity; GasLib files have none, and such a file is not read")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(content, True)  # noqa: FBT003 - expat takes it by position
    except expat.ExpatError as error:
        raise CaseError(
            file, [Mistake(file, error.lineno, "", f"is not well-formed XML: {expat.ErrorString(error.code)}")]
        ) from None
    except (LookupError, ValueError):
        raise CaseError(file, [Mistake(file, 1, "", "names an encoding that cannot be read; use UTF-8")]) from None
    except _Refused as refused:
        raise CaseError(file, [Mistake(file, parser.CurrentLineNumber, "", str(refused))]) from None
    root = roots[0]
    if root.tag != root_tag:
        told = f"the outermost element must be {root_tag}, got {root.tag}"
        raise CaseError(file, [Mistake(file, root.line, "", told)])
    return Document(file, root)


def account(documents: list[Document]) -> list[tuple[str, str, str, int, int, str]]:
    """Count each (file, element path, attribute): how often it is in the file, how often it was carried, where to."""
    found: dict[tuple[str, str, str], list[str | None]] = {}
    for document in documents:
        for element in document.root.walk():
            for key in element.marks():
                found.setdefault((document.file, element.path, key), []).append(element.places.get(key))
    rows = []
    for (file, path, key), places in found.items():
        carried = [p for p in places if p is not None]
        rows.append((file, path, key, len(places), len(carried), ", ".join(dict.fromkeys(carried))))
    return rows
