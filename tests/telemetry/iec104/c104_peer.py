# SPDX-License-Identifier: Apache-2.0
"""The independent peer: a station or a control room on c104 (lib60870-C), in its own interpreter and process.

    $SERAI_C104_PYTHON c104_peer.py server|client PORT [AUTHORITY CERTIFICATE KEY [ALLOWED]]

Reads one JSON order a line from standard input and answers with one JSON line. No code of the project imports this
file or c104: c104 is GPL-3.0, and this process talks to Serai over the network alone.
"""

import datetime as dt
import json
import sys
import time

import c104

COMMON = 47
MONITORED = {  # address: type, value
    1001: ("M_SP_NA_1", True),
    1002: ("M_SP_TB_1", True),
    1003: ("M_DP_TB_1", c104.Double.ON),
    1004: ("M_ST_TB_1", c104.Int7(-5)),
    1005: ("M_BO_TB_1", c104.Byte32(bytes([0x0D, 0x0C, 0x0B, 0x0A]))),
    1006: ("M_ME_NA_1", c104.NormalizedFloat(0.25)),
    1007: ("M_ME_TE_1", c104.Int16(-1234)),
    1008: ("M_ME_TF_1", 55.5),
    1009: ("M_ME_NC_1", -2.25),
    1010: ("M_IT_TB_1", 4711),
}
COMMANDS = {  # address: type, whether it must be selected
    6001: ("C_SC_NA_1", False),
    6002: ("C_DC_NA_1", True),
    6003: ("C_RC_NA_1", False),
    6004: ("C_SE_NA_1", False),
    6005: ("C_SE_NB_1", True),
    6006: ("C_SE_NC_1", True),
    6007: ("C_SE_TC_1", False),
    6008: ("C_BO_NA_1", False),
}
seen: list = []


def number(value):
    """A value of c104 as a number."""
    if isinstance(value, c104.Byte32):
        return int.from_bytes(bytes(value), "little")
    return int(value.value) if isinstance(value, (c104.Double, c104.Step)) else float(value)


def on_command(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    seen.append([point.io_address, number(point.value), message.is_select_command])
    refused = point.type == c104.Type.C_SE_TC_1 and number(point.value) < 0
    return c104.ResponseState.FAILURE if refused else c104.ResponseState.SUCCESS


def on_value(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    recorded = point.recorded_at
    if recorded is not None:
        recorded = getattr(recorded, "value", recorded).timestamp()
    seen.append([point.io_address, number(point.value), int(str(message.cot.value)), str(point.quality), recorded])
    return c104.ResponseState.SUCCESS


def on_clock_sync(server: c104.Server, ip: str, date_time: dt.datetime) -> c104.ResponseState:
    seen.append(["clock", date_time.timestamp()])
    return c104.ResponseState.SUCCESS


def security(files):
    if not files:
        return None
    tls = c104.TransportSecurity(validate=True, only_known=len(files) > 3)
    tls.set_ca_certificate(files[0])
    tls.set_certificate(files[1], files[2])
    for allowed in files[3:]:
        tls.add_allowed_remote_certificate(allowed)
    tls.set_version(min=c104.TlsVersion.TLS_1_2, max=c104.TlsVersion.TLS_1_2)
    return tls


def server(port, files):
    made = c104.Server(ip="127.0.0.1", port=port, tick_rate_ms=50, transport_security=security(files))
    station = made.add_station(common_address=COMMON)
    for address, (kind, value) in MONITORED.items():
        station.add_point(io_address=address, type=getattr(c104.Type, kind)).value = value
    for address, (kind, select) in COMMANDS.items():
        mode = c104.CommandMode.SELECT_AND_EXECUTE if select else c104.CommandMode.DIRECT
        station.add_point(io_address=address, type=getattr(c104.Type, kind), command_mode=mode).on_receive(on_command)
    made.on_clock_sync(on_clock_sync)
    made.start()
    return made, station


def client(port, files):
    made = c104.Client(tick_rate_ms=50, command_timeout_ms=15000, transport_security=security(files))
    connection = made.add_connection(ip="127.0.0.1", port=port, init=c104.Init.NONE)
    station = connection.add_station(common_address=COMMON)
    for address, (kind, _) in MONITORED.items():
        station.add_point(io_address=address, type=getattr(c104.Type, kind)).on_receive(on_value)
    for address, (kind, select) in COMMANDS.items():
        mode = c104.CommandMode.SELECT_AND_EXECUTE if select else c104.CommandMode.DIRECT
        station.add_point(io_address=address, type=getattr(c104.Type, kind), command_mode=mode)
    made.start()
    connection.connect()
    deadline = time.monotonic() + 6
    while connection.state != c104.ConnectionState.OPEN and time.monotonic() < deadline:
        if connection.state == c104.ConnectionState.OPEN_MUTED:
            connection.unmute()  # it may stay muted for seconds after it is open
        time.sleep(0.02)
    return made, connection, station


TYPED = {  # part of a type's name: how a number becomes what its points take
    "_SP_": bool,
    "_SC_": bool,
    "_DP_": lambda value: {1: c104.Double.OFF, 2: c104.Double.ON}[int(value)],
    "_DC_": lambda value: {1: c104.Double.OFF, 2: c104.Double.ON}[int(value)],
    "_RC_": lambda value: {1: c104.Step.LOWER, 2: c104.Step.HIGHER}[int(value)],
    "_BO_": lambda value: c104.Byte32(int(value).to_bytes(4, "little")),
    "_ST_": lambda value: c104.Int7(int(value)),
    "_NA_": c104.NormalizedFloat,
    "_NB_": lambda value: c104.Int16(int(value)),
    "_TE_": lambda value: c104.Int16(int(value)),
}


def typed(point, value):
    """A number as the type that a point of c104 takes."""
    name = str(point.type).rsplit(".", 1)[-1]
    return next((make for part, make in TYPED.items() if part in name), float)(value)


def main():
    role, port, *files = sys.argv[1:]
    connection = None
    if role == "server":
        end, station = server(int(port), files)
    else:
        end, connection, station = client(int(port), files)
    print(json.dumps({"state": str(connection.state) if connection else "running"}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = None
        if order["do"] == "quit":
            break
        if order["do"] == "seen":
            answer = list(seen)
            seen.clear()
        elif order["do"] == "transmit":
            point = station.get_point(order["address"])
            point.value = typed(point, order["value"])
            answer = point.transmit(cause=c104.Cot.SPONTANEOUS if connection is None else c104.Cot.ACTIVATION)
        elif order["do"] == "interrogate":
            answer = connection.interrogation(common_address=COMMON)
        elif order["do"] == "counters":
            answer = connection.counter_interrogation(common_address=COMMON)
        elif order["do"] == "clock":
            answer = connection.clock_sync(common_address=COMMON)
        elif order["do"] == "test":
            answer = connection.test(common_address=COMMON)
        elif order["do"] == "read":
            answer = station.get_point(order["address"]).read()
        elif order["do"] == "state":
            answer = str(connection.state)
        print(json.dumps(answer), flush=True)
    end.stop()


if __name__ == "__main__":
    main()
