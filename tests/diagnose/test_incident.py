# SPDX-License-Identifier: Apache-2.0
"""An incident is told once it has stood, keeps its number, and ends when it is gone."""

import json
from dataclasses import replace

from serai.diagnose.incident import OVER, Incident, Ledger

LEAK = Incident("leak", (("leak", "CD"),), "gas in motion", 100.0, 400.0, 4.0, 0.5, "kg/s", 7.0, 6.0, 1e-3, 2.0, "CD",
                0.4, 0.05)  # fmt: skip
WRONG = Incident("bias or forged", (("bias or forged", "A PT"), ("leak", "A")), "scan", 300.0, 400.0, score=9.0,
                 limit=6.0, false_alarm=1e-9)  # fmt: skip


def test_it_is_told_when_it_has_stood_and_keeps_its_number():
    book = Ledger()
    book.take("gas in motion", [LEAK])
    book.take("gas in motion", [LEAK])
    assert not book.open
    book.take("gas in motion", [replace(LEAK, seen=520.0)])
    (told,) = book.open
    assert (told.number, told.told) == (1, 520.0)
    book.take("gas in motion", [replace(LEAK, share=0.5, onset=160.0, seen=580.0)])
    (same,) = book.open
    assert (same.number, same.told, same.share, same.onset) == (1, 520.0, 0.5, 160.0)


def test_a_flicker_is_not_told():
    book = Ledger()
    for k in range(20):
        book.take("gas in motion", [LEAK] if k % 3 else [])
    assert not book.open


def test_it_is_over_when_it_is_gone_for_a_while():
    book = Ledger()
    for _ in range(3):
        book.take("gas in motion", [LEAK])
    for _ in range(OVER["gas in motion"] - 1):
        book.take("gas in motion", [])
    assert book.open
    book.take("scan", [])  # another test says nothing of it
    assert book.open
    book.take("gas in motion", [])
    assert not book.open
    assert [x.number for x in book.closed] == [1]


def test_the_onset_of_a_scan_is_when_it_was_first_seen():
    book = Ledger()
    for k in range(4):
        book.take("scan", [replace(WRONG, onset=300.0 + 60.0 * k, seen=300.0 + 60.0 * k)])
    assert book.open[0].onset == 300.0


def test_a_meter_told_by_one_test_is_not_told_again_by_another():
    book = Ledger()
    for _ in range(2):
        book.take("scan", [WRONG])
    bias = replace(LEAK, kind="bias or forged", suspects=(("bias or forged", "A PT"),), pipe="")
    for _ in range(5):
        book.take("gas in motion", [bias])
    assert len(book.open) == 1
    book.take("sequence", [Incident("forged", (("forged", "A PT"),), "sequence", 0.0, 0.0)])
    assert len(book.open) == 1


def test_the_surest_comes_first_and_all_is_kept_through_json():
    book = Ledger()
    for _ in range(3):
        book.take("gas in motion", [LEAK])
        book.take("scan", [WRONG])
    assert [x.kind for x in book.ranked()] == ["bias or forged", "leak"]
    other = Ledger()
    other.restore(json.loads(json.dumps(book.save())))
    assert repr(other.ranked()) == repr(book.ranked())
    assert "40% of CD" in str(other.ranked()[1])
    assert "1970-01-01 00:01 UTC" in str(other.ranked()[1])


def test_a_set_that_no_scan_tells_apart_keeps_what_leads_it():
    """The likeliest of a set changes by chance; only what is out of it for some scans in a row leads it no more."""
    ledger = Ledger()
    theft, meter, other = ("power loss", "Bus"), ("bias or forged", "Load P"), ("bias or forged", "Line P")

    def scan(*suspects, size):
        ledger.take("scan", [Incident(suspects[0][0], suspects, "scan", 0.0, 60.0, size=size)])
        (found,) = ledger.open or [None]
        return found

    scan(theft, meter, size=25.0)
    assert scan(theft, meter, size=25.0).kind == "power loss"
    again = scan(meter, theft, size=-26.0)
    assert (again.kind, again.suspects, again.size) == ("power loss", (theft, meter), 25.0)
    for _ in range(4):
        assert scan(meter, other, size=-26.0).suspects == (theft, meter)
    assert scan(theft, meter, size=24.0).size == 24.0  # it was out of the set for four scans only
    for _ in range(4):
        scan(meter, other, size=-26.0)
    last = scan(meter, other, size=-26.0)
    assert (last.kind, last.suspects, last.number) == ("bias or forged", (meter, other), 1)
