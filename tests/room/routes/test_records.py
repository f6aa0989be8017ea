# SPDX-License-Identifier: Apache-2.0
"""The shift log, notes and the audit over HTTP; the chain, and an audit that cannot be written."""

from room.opened_room import get, kind, post, site, visit
from serai.errors import NotStored
from serai.room import trail


def test_log_and_notes(tmp_path):
    with site(tmp_path) as made:
        written, noted, unknown, entries = visit(
            made,
            ("oper", post("/log", json={"text": "took over from Olga"})),
            ("engin", post("/notes", json={"subject": "low1", "text": "limit is under review"})),
            ("engin", post("/notes", json={"subject": "nothing", "text": "x"})),
            ("vera", get("/log", params={"start": "2026-01-01T00:00:00Z"})),
        )
    assert (written.status_code, written.json()["who"]) == (201, "oper")
    assert noted.json()["subject"] == "low1"
    assert unknown.status_code == 404
    assert [e["text"] for e in entries.json()] == ["limit is under review", "took over from Olga"]


def test_every_act_is_in_the_audit_with_who_and_when_and_the_chain_holds(tmp_path):
    with site(tmp_path) as made:
        visit(made, ("oper", post("/alarms/low1/acknowledge")), ("oper", post("/log", json={"text": "seen"})))
        found, verdict = visit(made, ("secaud", get("/audit")), ("secaud", get("/audit/verify")))
    records = found.json()["records"]
    acts = [(r["who"], r["what"]) for r in records if r["who"] == "oper"]
    assert acts == [("oper", "signed in"), ("oper", "acknowledge"), ("oper", "write into the log")]
    assert all(r["time"].endswith("Z") and r["log"] == "room" for r in records)
    assert verdict.json()["whole"] is True


def test_a_changed_line_is_found(tmp_path):
    with site(tmp_path) as made:
        visit(made, ("oper", post("/alarms/low1/acknowledge")))
        path = made.audit.path
        path.write_bytes(path.read_bytes().replace(b'"acknowledge"', b'"acknowledgE"'))
        (verdict,) = visit(made, ("secaud", get("/audit/verify")))
    assert verdict.json()["whole"] is False
    assert "changed" in verdict.json()["logs"][0]["says"]


def test_the_command_line_s_log_beside_it_is_read_and_verified_too(tmp_path):
    with site(tmp_path) as made:
        beside = trail.opened(tmp_path, "console")
        beside.append("console", "account added", {"where": "account x"})
        beside.close()
        found, verdict = visit(made, ("secaud", get("/audit")), ("secaud", get("/audit/verify")))
    assert ("console", "account added") in [(r["log"], r["what"]) for r in found.json()["records"]]
    assert [(v["log"], v["whole"]) for v in verdict.json()["logs"]] == [("room", True), ("console", True)]


def test_what_cannot_be_recorded_is_not_done(tmp_path, monkeypatch):
    with site(tmp_path) as made:
        made.sign_in("oper")

        def full(*_):
            raise NotStored("the audit log takes nothing (disk full): make room", "disk full")

        monkeypatch.setattr(made.audit, "append", full)
        (answer,) = visit(made, ("oper", post("/alarms/low1/acknowledge")))
        assert (answer.status_code, kind(answer)) == (503, "not-stored")
        assert "acknowledge" not in made.desk.asked
