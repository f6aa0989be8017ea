# SPDX-License-Identifier: Apache-2.0
"""The points of a case: by which address every instrument reports, and where every command goes.

An instrument is a row of `instruments.csv`; its `address` is read by its `protocol`:

| protocol | address | what stands there |
|---|---|---|
| iec104 | `common/object`, as `1/1001` | short float with CP56 time (M_ME_TF_1), a flag M_SP_TB_1; in its unit |
| opcua | a node id, as `ns=2;s=Malay CS FT` | a Double with source time and status code, in its unit |
| modbus | `unit/register`, as `26/0`, and options | see `ModbusAddress`; in its unit |
| mqtt | a topic, as `serai/Serdar Gate/PT` | JSON `{"value": .., "time": .., "quality": ..}`, see `telemetry.mqtt` |

Commands have no table: what can be commanded follows from the kind of element (`COMMANDED`), and its address from its
place among the commands of its station, so both ends derive the same ones from the same network: information objects
from 6001 up with the station's common address (a set-point is C_SE_NC_1, a flag C_SC_NC_1), writable nodes
`ns=2;s=<tag>`, pairs of holding registers (float32) from 5000 up, topics `serai/<station>/command/<tag>`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Protocol

from serai.errors import CaseError, Mistake
from serai.network.instruments import Instrument, instruments
from serai.network.quantities import MEASURABLE, QUANTITIES
from serai.network.tables import KINDS
from serai.units import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from serai.network.network import Network

PROTOCOLS = ("iec104", "opcua", "modbus", "mqtt")
FIRST_COMMAND_OBJECT = 6001  # IEC 104 information object of a station's first command
FIRST_COMMAND_REGISTER = 5000  # its first Modbus holding register
LONGEST_BLOCK = 125  # registers in one answer: MODBUS Application Protocol V1.1b3, 6.3
REGISTERS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "float64": 4}  # 16 bits each


@dataclass(frozen=True, slots=True)
class Iec104Address:
    """`common/object`: the common address (1..65534) of the station and the information object (1..16777215)."""

    common: int
    object: int

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.common}/{self.object}"


@dataclass(frozen=True, slots=True)
class OpcuaAddress:
    """An OPC UA node id in its text form (OPC 10000-6, 5.3.1.10)."""

    node: str

    def __str__(self) -> str:
        """Write it as it is read."""
        return self.node


@dataclass(frozen=True, slots=True)
class ModbusAddress:
    """`unit/register` and options after `;`, as `26/0` or `1/40;type=int16;scale=0.1;table=input;quality=none`.

    unit      0..255; register   the first one, counted from 0 as in the frame
    type      how the value stands in its registers; big-endian bytes in each
    words     `big`: the register with the most significant word first; `little`: last
    scale     value in the instrument's unit = scale x what stands there
    table     `holding` (function 3) or `input` (function 4) registers
    quality   register with the quality bits of `Quality` (low byte), the one after the value if not said; None = none;
              read together with the value, so the registers between the two must exist
    """

    unit: int
    register: int
    type: str = "float32"
    words: str = "big"
    scale: float = 1.0
    table: str = "holding"
    quality: int | None = None

    @property
    def width(self) -> int:
        """Registers that the value takes."""
        return REGISTERS[self.type]

    def __str__(self) -> str:
        """Write it as it is read."""
        options = [
            f"{name}={value}"
            for name, value, usual in (
                ("type", self.type, "float32"),
                ("words", self.words, "big"),
                ("scale", self.scale, 1.0),
                ("table", self.table, "holding"),
                ("quality", "none" if self.quality is None else self.quality, self.register + self.width),
            )
            if value != usual
        ]
        return ";".join((f"{self.unit}/{self.register}", *options))


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """A topic without wildcards."""

    topic: str

    def __str__(self) -> str:
        """Write it as it is read."""
        return self.topic


Address = Iec104Address | OpcuaAddress | ModbusAddress | MqttAddress


@dataclass(frozen=True, slots=True)
class Point:
    """An instrument and how it is reached: SI value = factor x sent value + offset.

    low, high, sigma, scan of the instrument are SI; `flag` = it sends 1 or 0
    """

    instrument: Instrument
    address: Address
    factor: float = 1.0
    offset: float = 0.0

    @property
    def tag(self) -> str:
        """The name of the instrument."""
        return self.instrument.tag

    @property
    def station(self) -> str:
        """The station that reports it."""
        return self.instrument.station

    @property
    def protocol(self) -> str:
        """One of `PROTOCOLS`."""
        return self.instrument.protocol

    @property
    def flag(self) -> bool:
        """Whether it reports 1 or 0."""
        return MEASURABLE[self.instrument.quantity].flag

    def si(self, sent: float) -> float:
        """Return what was sent in SI."""
        return self.factor * sent + self.offset

    def sent(self, value: float) -> float:
        """Return what is sent for a value in SI."""
        return (value - self.offset) / self.factor


@dataclass(frozen=True, slots=True)
class Command:
    """What a station can be told: a set-point or, where `flag`, a switch (1 or 0), and where it goes.

    tag          its name; quantity, where   what it makes known, as in `Known`
    unit         in which it is sent; SI value = factor x sent value + offset
    low, high    what the element allows [SI]; nan = not said
    """

    tag: str
    quantity: str
    where: str
    station: str
    protocol: str
    address: Address
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    low: float = nan
    high: float = nan

    @property
    def flag(self) -> bool:
        """Whether it takes 1 or 0."""
        return QUANTITIES[self.quantity].flag

    def si(self, sent: float) -> float:
        """Return what was sent in SI."""
        return self.factor * sent + self.offset

    def sent(self, value: float) -> float:
        """Return what is sent for a value in SI."""
        return (value - self.offset) / self.factor


@dataclass(frozen=True, slots=True)
class Answer:
    """What a station said to a command; where it refused, the reason in its protocol's words."""

    accepted: bool
    reason: str = ""


class Commanding(Protocol):
    """A source through which commands reach the field too."""

    async def command(self, command: Command, value: float) -> Answer:
        """Send one command, `value` in SI; no answer in time is a refusal with that reason, never an exception."""
        ...


# ----------------------------------------------------------------------------------------------------------- points


def points(network: Network) -> list[Point]:
    """Return the points of the instruments in service that name a protocol, in the order of the table.

    CaseError lists every address that is none, that its protocol does not have, or that is given twice.
    """
    t = network["instruments"]
    rows = {name: i + 2 for i, name in enumerate(t.names)} if len(t) else {}
    density = network.gas.standard_density
    found: list[Point] = []
    wrong: list[Mistake] = []
    first: dict[object, str] = {}
    for instrument in instruments(network):
        if not instrument.protocol:
            continue
        try:
            address = address_of(instrument.protocol, instrument.address)
        except ValueError as error:
            wrong.append(Mistake("instruments.csv", rows[instrument.tag], "address", str(error)))
            continue
        # every station has a connection of its own, so addresses repeat among stations; topics share one broker
        place = address if isinstance(address, MqttAddress) else (instrument.station, address)
        if first.setdefault(place, instrument.tag) != instrument.tag:
            text = f"{instrument.address!r} is already that of {first[place]!r}"
            wrong.append(Mistake("instruments.csv", rows[instrument.tag], "address", text))
        found.append(Point(instrument, address, *_conversion(instrument.unit, density)))
    if wrong:
        raise CaseError(network.name, wrong)
    return found


def stations(found: Iterable[Point]) -> dict[str, list[Point]]:
    """Return the points of every station, stations in the order of their first point."""
    by: dict[str, list[Point]] = defaultdict(list)
    for point in found:
        by[point.station].append(point)
    return dict(by)


def _conversion(unit: str, density: float) -> tuple[float, float]:
    """Return factor and offset from a value sent in `unit` to SI."""
    u = unit_of(unit)
    return (u.factor * density if u.standard_volume else u.factor), u.offset


# -------------------------------------------------------------------------------------------------------- addresses


def address_of(protocol: str, text: str) -> Address:
    """Return an address read from its text; ValueError says what is wrong with it."""
    readers: dict[str, Callable[[str], Address]] = {
        "iec104": _iec104, "opcua": _opcua, "modbus": _modbus, "mqtt": _mqtt,
    }  # fmt: skip
    return readers[protocol](text)


def _pair(text: str, wanted: str, most: tuple[int, int]) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(p.isascii() and p.isdecimal() for p in parts):
        raise ValueError(f"must be {wanted}, got {text!r}")
    one, two = (int(p) for p in parts)
    if one > most[0] or two > most[1]:
        raise ValueError(f"at most {most[0]}/{most[1]}, got {text!r}")
    return one, two


def _iec104(text: str) -> Iec104Address:
    common, number = _pair(text, "common address / information object, as 1/1001", (0xFFFE, 0xFFFFFF))
    if not common or not number:
        raise ValueError(f"common address and information object count from 1, got {text!r}")
    return Iec104Address(common, number)


def _opcua(text: str) -> OpcuaAddress:
    *space, name = text.split(";", 1)
    kind, _, value = name.partition("=")
    known = kind in ("s", "g", "b") or (kind == "i" and value.isascii() and value.isdecimal())
    spaced = not space or (space[0].startswith("ns=") and space[0][3:].isascii() and space[0][3:].isdecimal())
    if not (known and value and spaced):
        raise ValueError(f"must be a node id, as ns=2;s=name or ns=2;i=7, got {text!r}")
    return OpcuaAddress(text)


def _modbus(text: str) -> ModbusAddress:
    place, *rest = text.split(";")
    unit, register = _pair(place, "unit / register, as 26/0", (255, 0xFFFF))
    options = dict(_option(part) for part in rest)
    kind, words, table = options.get("type", "float32"), options.get("words", "big"), options.get("table", "holding")
    for name, value, allowed in (
        ("type", kind, REGISTERS), ("words", words, ("big", "little")), ("table", table, ("holding", "input")),
    ):  # fmt: skip
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    try:
        scale = float(options.get("scale", 1.0))
        said = options.get("quality", register + REGISTERS[kind])
        quality = None if said == "none" else int(said)
    except ValueError:
        raise ValueError(f"scale must be a number, quality a register or none, got {text!r}") from None
    if not 0.0 < abs(scale) < float("inf"):
        raise ValueError(f"scale must be a number other than 0, got {scale}")
    last = register + REGISTERS[kind] - 1
    if max(last, quality or 0) > 0xFFFF or (quality is not None and (quality < 0 or register <= quality <= last)):
        raise ValueError(f"registers go from 0 to 65535, and the quality stands apart from the value, got {text!r}")
    if quality is not None and max(quality, last) - min(quality, register) >= LONGEST_BLOCK:
        raise ValueError(f"value and quality are read together, so within {LONGEST_BLOCK} registers, got {text!r}")
    return ModbusAddress(unit, register, kind, words, scale, table, quality)


def _option(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    if name not in ("type", "words", "scale", "table", "quality"):
        raise ValueError(f"no option {part!r}; options: type=, words=, scale=, table=, quality=")
    return name, value


def _mqtt(text: str) -> MqttAddress:
    if not text or any(c in text for c in "+#\0") or len(text.encode()) > 0xFFFF:
        raise ValueError(f"must be a topic without wildcards (+ and #), as serai/station/tag, got {text!r}")
    return MqttAddress(text)


# --------------------------------------------------------------------------------------------------------- commands

COMMANDED: dict[str, tuple[str, ...]] = {
    "compressors": ("outlet_pressure", "ratio", "open", "in_service"),
    "control_valves": ("outlet_pressure", "open"),
    "valves": ("open",),
    "pipes": ("in_service",),  # its line valves
    "supplies": ("supply", "pressure"),
    "offtakes": ("withdrawal",),
    "switches": ("closed",),
    "lines": ("in_service",),  # its breakers
    "transformers": ("in_service", "tap_position"),
    "generators": ("active_power", "magnitude", "in_service"),
    "loads": ("in_service",),
    "shunts": ("steps",),
}
_EDGE_UNITS = {"pressure": "bara", "mass flow": "million_m3_per_day", "power": "mw", "per unit": "pu", "": ""}
_LIMITS: dict[tuple[str, str], tuple[str, str]] = {  # columns of the lowest and highest value, "" = not said
    ("compressors", "outlet_pressure"): ("", "pressure_out_max"),
    ("compressors", "ratio"): ("", "ratio_max"),
    ("control_valves", "outlet_pressure"): ("", "pressure_out_max"),
    ("supplies", "supply"): ("flow_min", "flow_max"),
    ("offtakes", "withdrawal"): ("flow_min", "flow_max"),
    ("transformers", "tap_position"): ("tap_min", "tap_max"),
    ("generators", "active_power"): ("active_power_min", "active_power_max"),
    ("shunts", "steps"): ("", "steps"),
}


def commands(network: Network, found: Iterable[Point] | None = None) -> list[Command]:
    """Return what the stations of a case can be told: elements in service, by kind and in the order of their tables.

    An element is told through the station that reports it, or else the first that reports its node or bus; what no
    station is near cannot be told. `found` are the case's points where they are known already.
    """
    listed = points(network) if found is None else list(found)
    home: dict[str, Point] = {}
    for point in listed:
        home.setdefault(point.instrument.where, point)
    counted: Counter[str] = Counter()
    told: list[Command] = []
    for kind, quantities in COMMANDED.items():
        t = network.active(kind)
        ends = [c.name for c in KINDS[kind].columns if c.refers in (("gas_nodes",), ("buses",))]
        for i, where in enumerate(t.names if len(t) else ()):
            near = [where, *(str(t[c][i]) for c in ends)]
            station = next((home[name] for name in near if name in home), None)
            if station is None:
                continue
            for quantity in quantities:
                low, high = (float(t[c][i]) if c else nan for c in _LIMITS.get((kind, quantity), ("", "")))
                told.append(_command(network, (quantity, where), station, counted[station.station], (low, high)))
                counted[station.station] += 1
    return told


def _command(
    network: Network, known: tuple[str, str], station: Point, number: int, limits: tuple[float, float]
) -> Command:
    """Return the command with the given number (from 0) at the station that a point belongs to."""
    quantity, where = known
    unit = _EDGE_UNITS[QUANTITIES[quantity].dimension]
    factor, offset = _conversion(unit, network.gas.standard_density)
    tag = f"{where} {quantity.replace('_', ' ')} command"
    address: Address
    match station.address:
        case Iec104Address(common=common):
            address = Iec104Address(common, FIRST_COMMAND_OBJECT + number)
        case OpcuaAddress():
            address = OpcuaAddress(f"ns=2;s={tag}")
        case ModbusAddress(unit=slave):
            address = ModbusAddress(slave, FIRST_COMMAND_REGISTER + 2 * number)
        case MqttAddress():
            plain = str.maketrans("+#", "__")  # no wildcards in topics
            address = MqttAddress(f"serai/{station.station.translate(plain)}/command/{tag.translate(plain)}")
    return Command(tag, quantity, where, station.station, station.protocol, address, unit, factor, offset, *limits)
