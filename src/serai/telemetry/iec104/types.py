# SPDX-License-Identifier: Apache-2.0
"""What an ASDU can hold: type identifications, causes of transmission, and how an object lies on the wire.

Tables of IEC 60870-5-101:2003, 7.2.1 (types), 7.2.3 (causes), 7.2.6 (information elements) and
IEC 60870-5-104:2006, 8 (types with CP56Time2a in control direction). Elements have the standard's names in lower case.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property

import numpy as np

from serai.errors import SeraiError


class TypeId(IntEnum):
    """Type identification: M_ = monitor direction, C_ = control, P_ = parameter; T = with time tag."""

    M_SP_NA_1 = 1
    M_SP_TA_1 = 2
    M_DP_NA_1 = 3
    M_DP_TA_1 = 4
    M_ST_NA_1 = 5
    M_ST_TA_1 = 6
    M_BO_NA_1 = 7
    M_BO_TA_1 = 8
    M_ME_NA_1 = 9
    M_ME_TA_1 = 10
    M_ME_NB_1 = 11
    M_ME_TB_1 = 12
    M_ME_NC_1 = 13
    M_ME_TC_1 = 14
    M_IT_NA_1 = 15
    M_IT_TA_1 = 16
    M_EP_TA_1 = 17
    M_EP_TB_1 = 18
    M_EP_TC_1 = 19
    M_PS_NA_1 = 20
    M_ME_ND_1 = 21
    M_SP_TB_1 = 30
    M_DP_TB_1 = 31
    M_ST_TB_1 = 32
    M_BO_TB_1 = 33
    M_ME_TD_1 = 34
    M_ME_TE_1 = 35
    M_ME_TF_1 = 36
    M_IT_TB_1 = 37
    M_EP_TD_1 = 38
    M_EP_TE_1 = 39
    M_EP_TF_1 = 40
    C_SC_NA_1 = 45
    C_DC_NA_1 = 46
    C_RC_NA_1 = 47
    C_SE_NA_1 = 48
    C_SE_NB_1 = 49
    C_SE_NC_1 = 50
    C_BO_NA_1 = 51
    C_SC_TA_1 = 58
    C_DC_TA_1 = 59
    C_RC_TA_1 = 60
    C_SE_TA_1 = 61
    C_SE_TB_1 = 62
    C_SE_TC_1 = 63
    C_BO_TA_1 = 64
    M_EI_NA_1 = 70
    C_IC_NA_1 = 100
    C_CI_NA_1 = 101
    C_RD_NA_1 = 102
    C_CS_NA_1 = 103
    C_TS_NA_1 = 104
    C_RP_NA_1 = 105
    C_CD_NA_1 = 106
    C_TS_TA_1 = 107
    P_ME_NA_1 = 110
    P_ME_NB_1 = 111
    P_ME_NC_1 = 112
    P_AC_NA_1 = 113


class Cause(IntEnum):
    """Cause of transmission; interrogation by group g is INTERROGATED + g, counters by group COUNTERS + g."""

    PERIODIC = 1
    BACKGROUND = 2
    SPONTANEOUS = 3
    INITIALISED = 4
    REQUESTED = 5
    ACTIVATION = 6
    ACTIVATION_CON = 7
    DEACTIVATION = 8
    DEACTIVATION_CON = 9
    TERMINATION = 10
    RETURN_REMOTE = 11
    RETURN_LOCAL = 12
    FILE = 13
    INTERROGATED = 20
    COUNTERS = 37
    UNKNOWN_TYPE = 44
    UNKNOWN_CAUSE = 45
    UNKNOWN_COMMON_ADDRESS = 46
    UNKNOWN_OBJECT = 47


BROADCAST = 0xFFFF  # common address of all stations behind a link
INTERROGATE_STATION = 20  # qualifier; 20 + g = group g of 1..16
COUNTERS_ALL = 5  # qualifier of counter interrogation; 1..4 = a group

CP16 = "<u2"
CP24 = np.dtype([("ms", "<u2"), ("minute", "u1")])
CP56 = np.dtype(
    [("ms", "<u2"), ("minute", "u1"), ("hour", "u1"), ("day", "u1"), ("month", "u1"), ("year", "u1")],
)

_QDS = ("qds", "u1")
_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "single": (("siq", "u1"),),
    "double": (("diq", "u1"),),
    "step": (("vti", "u1"), _QDS),
    "bits": (("bsi", "<u4"), _QDS),
    "normalised": (("nva", "<i2"), _QDS),
    "scaled": (("sva", "<i2"), _QDS),
    "float": (("r32", "<f4"), _QDS),
    "total": (("bcr", "<i4"), ("bcr_flags", "u1")),
    "protection": (("sep", "u1"), ("elapsed", CP16)),
    "start": (("spe", "u1"), ("qdp", "u1"), ("elapsed", CP16)),
    "output": (("oci", "u1"), ("qdp", "u1"), ("elapsed", CP16)),
    "packed": (("scd", "<u4"), _QDS),
    "bare normalised": (("nva", "<i2"),),
    "single command": (("sco", "u1"),),
    "double command": (("dco", "u1"),),
    "step command": (("rco", "u1"),),
    "normalised set-point": (("nva", "<i2"), ("qos", "u1")),
    "scaled set-point": (("sva", "<i2"), ("qos", "u1")),
    "float set-point": (("r32", "<f4"), ("qos", "u1")),
    "bits command": (("bsi", "<u4"),),
    "end of initialisation": (("coi", "u1"),),
    "interrogation": (("qoi", "u1"),),
    "counter interrogation": (("qcc", "u1"),),
    "read": (),
    "clock": (),
    "test": (("fbp", "<u2"),),
    "reset": (("qrp", "u1"),),
    "delay": (("delay", CP16),),
    "timed test": (("tsc", "<u2"),),
    "normalised parameter": (("nva", "<i2"), ("qpm", "u1")),
    "scaled parameter": (("sva", "<i2"), ("qpm", "u1")),
    "float parameter": (("r32", "<f4"), ("qpm", "u1")),
    "parameter activation": (("qpa", "u1"),),
}

# content, the type without time, with CP24Time2a, with CP56Time2a (0 = there is none)
_TABLE = (
    ("single", 1, 2, 30),
    ("double", 3, 4, 31),
    ("step", 5, 6, 32),
    ("bits", 7, 8, 33),
    ("normalised", 9, 10, 34),
    ("scaled", 11, 12, 35),
    ("float", 13, 14, 36),
    ("total", 15, 16, 37),
    ("protection", 0, 17, 38),
    ("start", 0, 18, 39),
    ("output", 0, 19, 40),
    ("packed", 20, 0, 0),
    ("bare normalised", 21, 0, 0),
    ("single command", 45, 0, 58),
    ("double command", 46, 0, 59),
    ("step command", 47, 0, 60),
    ("normalised set-point", 48, 0, 61),
    ("scaled set-point", 49, 0, 62),
    ("float set-point", 50, 0, 63),
    ("bits command", 51, 0, 64),
    ("end of initialisation", 70, 0, 0),
    ("interrogation", 100, 0, 0),
    ("counter interrogation", 101, 0, 0),
    ("read", 102, 0, 0),
    ("clock", 0, 0, 103),
    ("test", 104, 0, 0),
    ("reset", 105, 0, 0),
    ("delay", 106, 0, 0),
    ("timed test", 0, 0, 107),
    ("normalised parameter", 110, 0, 0),
    ("scaled parameter", 111, 0, 0),
    ("float parameter", 112, 0, 0),
    ("parameter activation", 113, 0, 0),
)


@dataclass(frozen=True)
class Layout:
    """How one object of a type lies on the wire.

    content   what it holds: "single", "float", "single command", ...; types that differ in the time tag only share it
    fields    names and numpy formats of its elements, without the time tag
    tag       its time tag: "", "cp24" or "cp56"
    untimed   the type with the same content and no time tag; itself where there is none
    """

    type: TypeId
    content: str
    fields: tuple[tuple[str, str], ...]
    tag: str
    untimed: TypeId

    @cached_property
    def element(self) -> np.dtype[np.void]:
        """Return the numpy type of an object without its address, octet for octet."""
        time = {"": [], "cp24": [("time", CP24)], "cp56": [("time", CP56)]}[self.tag]
        return np.dtype([*self.fields, *time])

    @property
    def monitors(self) -> bool:
        """Whether it tells values of the process (the monitor direction, end of initialisation left out)."""
        return self.type <= TypeId.M_EP_TF_1

    @property
    def commands(self) -> bool:
        """Whether it is a command to the process."""
        return TypeId.C_SC_NA_1 <= self.type <= TypeId.C_BO_TA_1


LAYOUTS: dict[int, Layout] = {
    number: Layout(TypeId(number), content, _FIELDS[content], tag, TypeId(plain or number))
    for content, plain, short, long in _TABLE
    for number, tag in ((plain, ""), (short, "cp24"), (long, "cp56"))
    if number
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Octets of the fields whose size a system chooses; IEC 60870-5-104 fixes them at 2, 2 and 3."""

    cause: int = 2
    common_address: int = 2
    address: int = 3

    def __post_init__(self) -> None:
        """Refuse sizes that no standard knows."""
        if self.cause not in (1, 2) or self.common_address not in (1, 2) or self.address not in (1, 2, 3):
            msg = f"{self}: cause takes 1 or 2 octets, common address 1 or 2, object address 1, 2 or 3"
            raise SeraiError(msg)

    @property
    def header(self) -> int:
        """Return the octets of an ASDU before its first object."""
        return 2 + self.cause + self.common_address


SIZES = Sizes()


@cache
def wire(number: int, size: int) -> np.dtype[np.void]:
    """Return the numpy type of an object of a type, its address of `size` octets before it."""
    layout = LAYOUTS[number].element
    return np.dtype([("address", "u1", (size,)), *((name, layout[name]) for name in layout.names or ())])
