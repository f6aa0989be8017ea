# SPDX-License-Identifier: Apache-2.0
"""Reduce tshark's PDML (standard input) to one JSON line per APDU: packet, connection, direction, fields in order.

    tshark -r CAPTURE -Y iec60870_104 -J "tcp iec60870_104 iec60870_asdu" -T pdml | python reduce.py > CAPTURE.jsonl

A field is [name, show] as tshark gives it; masks, positions and texts are left out. `malformed` is tshark's verdict.
"""

import json
import sys
import xml.etree.ElementTree as ET


def fields(element):
    """[name, show] of every named field below an element, in the order of the dissection."""
    return [
        [f.get("name"), f.get("show")]
        for f in element.iter("field")
        if f.get("name", "").startswith("iec") and f.get("show") is not None
    ]


def main():
    for _, packet in ET.iterparse(sys.stdin):  # noqa: S314 - what tshark just wrote
        if packet.tag != "packet":
            continue
        tcp = packet.find("proto[@name='tcp']")
        port, stream = (int(tcp.find(f"field[@name='tcp.{n}']").get("show")) for n in ("srcport", "stream"))
        number = int(packet.find("proto[@name='geninfo']/field[@name='num']").get("show"))
        frames = []
        for proto in packet.iter("proto"):
            if proto.get("name") == "iec60870_104":
                frames.append({"packet": number, "stream": stream, "from": port, "fields": fields(proto)})
            elif proto.get("name") == "iec60870_asdu" and frames:
                frames[-1]["fields"] += fields(proto)
            elif proto.get("name") == "_ws.malformed" and frames:
                frames[-1]["malformed"] = True
        for frame in frames:
            print(json.dumps(frame, separators=(",", ":")))


if __name__ == "__main__":
    main()
