# SPDX-License-Identifier: Apache-2.0
"""What stations share: readings parted so that each part holds a point once, in the unit in which it is sent."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from field.metered import grid
from serai.field.stations import Columns
from serai.telemetry.points import points, stations
from serai.telemetry.readings import Readings, Register

LISTED = points(grid())
OWN = stations(LISTED)["City"]
NUMBERS = {p.tag: k for k, p in enumerate(LISTED)}
ROWS = st.lists(st.tuples(st.sampled_from([p.tag for p in LISTED]), st.floats(-1e3, 1e3, width=32)), max_size=40)


@given(ROWS)
def test_every_reading_of_a_station_is_sent_once_and_in_its_order(rows):
    register = Register(NUMBERS)
    batch = Readings.of(register, [(tag, float(k), value, k % 3, float(k)) for k, (tag, value) in enumerate(rows)])
    sent = list(Columns(OWN, NUMBERS, len(NUMBERS)).of(batch))
    for part in sent:
        assert len(set(part.point.tolist())) == len(part.point)
    for place, point in enumerate(OWN):
        wanted = [(k * 1_000_000, np.float32(point.sent(v)), k % 3) for k, (t, v) in enumerate(rows) if t == point.tag]
        got = [
            (int(time), value, int(quality))
            for part in sent
            for p, time, value, quality in zip(part.point, part.time, part.value, part.quality, strict=True)
            if p == place
        ]
        assert got == wanted
