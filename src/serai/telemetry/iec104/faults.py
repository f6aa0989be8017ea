# SPDX-License-Identifier: Apache-2.0
"""What can go wrong on an IEC 60870-5-104 link: every violation has a name, under which it is counted."""

from __future__ import annotations

from enum import StrEnum

from serai.errors import SeraiError


class Violation(StrEnum):
    """Names of what a peer did against the protocol; a link counts them, a protocol monitor sees them."""

    # frames: the connection ends, as the start of the next frame is unknown or the numbers no longer fit
    START = "start octet is not 0x68"
    LENGTH = "length octet outside 4..253"
    CONTROL = "control field of no known format"
    SEND_NUMBER = "N(S) is not the next number"
    RECEIVE_NUMBER = "N(R) acknowledges what was not sent"
    NOT_STARTED = "I frame before STARTDT"
    UNASKED = "confirmation that nobody asked for"
    WRONG_ROLE = "STARTDT or STOPDT from the controlled station"
    NO_ACKNOWLEDGEMENT = "no acknowledgement within t1"
    NO_CONFIRMATION = "no confirmation of a U frame within t1"
    # ASDUs: the frame is kept as octets, the connection goes on
    SHORT = "ASDU shorter than its header"
    OBJECTS = "objects do not fill the ASDU as its header says"
    UNKNOWN_TYPE = "unknown type identification"
    UNKNOWN_CAUSE = "unknown cause of transmission"
    UNKNOWN_COMMON_ADDRESS = "unknown common address"
    UNKNOWN_OBJECT = "unknown information object address"
    DIRECTION = "ASDU of the wrong direction"
    UNASKED_ANSWER = "confirmation of a command that was not given"
    # commands: refused with a negative confirmation
    NO_SELECT = "execute without select"
    SELECT_DIFFERS = "execute differs from select"
    SELECT_LATE = "execute after the select had run out"
    SELECTED_BY_OTHER = "selected by another controlling station"
    BEYOND = "command's value beyond what the point takes"
    COMMAND_AGE = "command with a time tag too old or in the future"
    COMMAND_FAILED = "the command's handler failed"
    # peers: the connection is refused
    PEER_ADDRESS = "peer's address is not on the allow-list"
    PEER_CERTIFICATE = "peer's certificate is not on the allow-list"
    HANDSHAKE = "TLS handshake failed"
    CROWD = "too many connections at once"


class Malformed(SeraiError):  # noqa: N818 - reads as what happened
    """Octets that are no valid frame or ASDU; `violation` names why."""

    def __init__(self, violation: Violation, text: str = "") -> None:
        """Keep the name beside the text."""
        self.violation = violation
        super().__init__(f"{violation}{': ' + text if text else ''}")


class LinkLost(SeraiError):  # noqa: N818 - reads as what happened
    """There is no connection (any more), so what was asked cannot be done; the text says which link and why."""


class NoAnswer(SeraiError):  # noqa: N818 - reads as what happened
    """The other station did not answer in time; whether it acted is unknown: read the point before trying again."""


class Refused(SeraiError):  # noqa: N818 - reads as what happened
    """The controlled station answered with a negative confirmation; `cause` is its cause of transmission."""

    def __init__(self, text: str, cause: int) -> None:
        """Keep the cause beside the text."""
        self.cause = cause
        super().__init__(text)


class PeerRefused(SeraiError):  # noqa: N818 - reads as what happened
    """The peer at the other end is not who may be there; `violation` names why."""

    def __init__(self, violation: Violation, text: str) -> None:
        """Keep the name beside the text."""
        self.violation = violation
        super().__init__(f"{violation}: {text}")
