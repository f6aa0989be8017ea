# SPDX-License-Identifier: Apache-2.0
"""The audit log: every edit, removal and reordering is found, even with the hashes mended; one writer; a full disk."""

import hashlib
import json
import resource
import signal
import subprocess
import sys
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from serai import cli
from serai.audit import (
    Audit,
    Head,
    ShiftLog,
    canonical,
    public_hex,
    public_key,
    public_of,
    read_head,
    signing_key,
    verify,
)
from serai.errors import ChainBroken, NotStored, Refused

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = public_of(KEY)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A log of 30 actions with a head every 8, closed."""
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    log = Audit(path, KEY, every=8)
    for k in range(30):
        log.append("operator", "acknowledge", {"alarm": f"a{k}", "value": k / 7}, time=1.79e9 + k)
    log.close()
    return path


@pytest.fixture
def file(written, tmp_path):
    copy = tmp_path / written.name
    copy.write_bytes(written.read_bytes())
    (tmp_path / f"{written.name}.head").write_bytes((written.parent / f"{written.name}.head").read_bytes())
    return copy


def rechained(lines):
    """Return lines with numbers and hashes made right again, as a forger without the key would."""
    out, before = [], "0" * 64
    for n, line in enumerate(lines):
        doc = {**json.loads(line), "n": n, "before": before}
        doc.pop("hash")
        before = hashlib.sha256(canonical(doc)).hexdigest()
        out.append(canonical({**doc, "hash": before}) + b"\n")
    return out


def test_what_was_written_holds(written):
    found = verify(written, PUBLIC)
    assert found.holds, str(found)
    assert found.records == 30 + 1 + found.heads
    assert found.heads == 5  # at the beginning, after 8, 16 and 24, at the end
    assert (found.unsigned, found.trusted, found.beside) == (0, True, True)
    assert "compare it with one kept elsewhere" in str(verify(written))


def test_the_chain_is_plain_sha_256_of_sorted_json(written):
    """The hashes again, with nothing of this module."""
    before = "0" * 64
    for n, line in enumerate(written.read_text().splitlines()):
        doc = json.loads(line)
        own = doc.pop("hash")
        text = json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert (doc["n"], doc["before"], own) == (n, before, hashlib.sha256(text.encode()).hexdigest())
        before = own


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_edit_of_bytes_is_found(written, tmp_path_factory, data):
    content = written.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["change", "insert", "remove"]))
    byte = bytes([data.draw(st.integers(0, 255))])
    changed = content[:place] + (b"" if kind == "remove" else byte) + content[place + (kind != "insert") :]
    assume(changed != content)
    assert not verify(_put(tmp_path_factory, written, changed), PUBLIC).holds


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_removal_and_reordering_is_found_even_with_the_hashes_mended(written, tmp_path_factory, data):
    lines = written.read_bytes().splitlines(keepends=True)
    kind = data.draw(st.sampled_from(["remove", "swap", "repeat", "edit"]))
    k = data.draw(st.integers(1, len(lines) - 2))
    mend = data.draw(st.booleans())
    changed = list(lines)
    if kind == "remove":
        n = data.draw(st.integers(1, len(lines) - 1 - k))
        del changed[k : k + n]
    elif kind == "swap":
        j = data.draw(st.integers(1, len(lines) - 1).filter(lambda j: j != k))
        changed[k], changed[j] = changed[j], changed[k]
    elif kind == "repeat":
        changed.insert(k, lines[k])
    else:
        changed[k] = canonical({**json.loads(lines[k]), "who": "another"}) + b"\n"
    if mend:
        changed = rechained(changed)
    found = verify(_put(tmp_path_factory, written, b"".join(changed)), PUBLIC)
    assert not found.holds, (kind, k, mend)
    assert found.line >= 1


def _put(factory, written, content):
    folder = factory.mktemp("forged")
    (folder / f"{written.name}.head").write_bytes((written.parent / f"{written.name}.head").read_bytes())
    (folder / written.name).write_bytes(content)
    return folder / written.name


@given(cut=st.integers(1, 35))
@settings(max_examples=35, deadline=None)
def test_an_end_that_was_cut_off_is_missed_by_the_head_beside_it(written, tmp_path_factory, cut):
    lines = written.read_bytes().splitlines(keepends=True)
    path = _put(tmp_path_factory, written, b"".join(lines[:-cut]))
    found = verify(path, PUBLIC)
    assert not found.holds
    with pytest.raises(ChainBroken):
        Audit(path, KEY)


def test_what_no_signature_covers_is_said(tmp_path):
    """The limit of the method: the end after the last head can be rewritten by who can write the file."""
    path = tmp_path / "a.jsonl"
    log = Audit(path, KEY, every=100)
    for k in range(5):
        log.append("x", "y", {"k": k})
    assert verify(path, PUBLIC).unsigned == 5
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rechained([*lines[:-2], lines[-1]])))
    assert verify(path, PUBLIC).holds  # not seen: this is why heads are signed often
    path.write_bytes(b"".join(lines))
    head = log.sign()
    path.write_bytes(b"".join(lines))
    (tmp_path / "a.jsonl.head").unlink()
    assert verify(path, PUBLIC).holds  # nor is this, by itself
    assert "cut off" in str(verify(path, PUBLIC))
    assert "missing at its end" in verify(path, PUBLIC, expect=head).problem  # but by who kept the head


def test_another_key_or_log_is_found(file, tmp_path):
    other = Ed25519PrivateKey.generate()
    assert "another key" in verify(file, public_of(other)).problem
    log = Audit(tmp_path / "b.jsonl", KEY)
    log.close()
    head = read_head(tmp_path / "b.jsonl.head")
    assert "another log" in verify(file, PUBLIC, expect=head).problem
    forged = Head(head.log, head.n + 5, head.time, head.before, head.signature)
    assert "not signed" in verify(file, PUBLIC, expect=forged).problem


def test_one_writer(tmp_path):
    path = tmp_path / "a.jsonl"
    log = Audit(path, KEY)
    with pytest.raises(Refused, match="one writer"):
        Audit(path, KEY)
    code = "import sys; from serai.audit import *; Audit(sys.argv[1], signing_key(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "key"], capture_output=True, text=True, check=False
    )
    assert "another process writes" in done.stderr
    log.close()
    Audit(path, KEY).close()


def test_threads_share_a_writer(tmp_path):
    log = Audit(tmp_path / "a.jsonl", KEY)
    threads = [
        threading.Thread(target=lambda k=k: [log.append(f"t{k}", "x", {"j": j}) for j in range(20)]) for k in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    log.close()
    found = verify(tmp_path / "a.jsonl", PUBLIC)
    assert found.holds
    assert found.records >= 81


@pytest.mark.parametrize("torn", [b'{"about":{"k"', b"\x00" * 50, b"{}"])
def test_a_torn_last_line_is_removed_with_a_note(file, torn):
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    assert "torn" in verify(file, PUBLIC).problem
    log = Audit(file, KEY)
    note = log.records()[-1]
    assert (note.what, note.about["bytes"]) == ("torn line removed", len(torn))
    assert note.about["sha256"] == hashlib.sha256(torn).hexdigest()
    log.close()
    assert verify(file, PUBLIC).holds
    assert file.read_bytes().startswith(whole)


def test_a_log_torn_at_its_very_beginning(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"abo')
    log = Audit(path, KEY)
    assert [r.what for r in log.records()] == ["opened", "head", "torn line removed"]
    log.close()
    assert verify(path, PUBLIC).holds


CHILD = """
import sys
from serai.audit import Audit, signing_key
log = Audit(sys.argv[1], signing_key(sys.argv[2]))
while True:
    print(log.append("x", "y", {"text": "z" * 200}).n, flush=True)
"""


def test_kill_9_loses_no_record_that_was_returned(tmp_path):
    path, key = tmp_path / "a.jsonl", tmp_path / "key"
    with subprocess.Popen([sys.executable, "-c", CHILD, path, key], stdout=subprocess.PIPE, text=True) as child:
        lines = [child.stdout.readline() for _ in range(40)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    last = max(int(line) for line in lines if line.endswith("\n"))
    log = Audit(path, signing_key(key))
    assert len(log) > last
    log.close()
    assert verify(path, public_of(signing_key(key))).holds


def test_a_full_disk_refuses_the_action_and_leaves_the_log_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    log = Audit(path, KEY)
    log.append("x", "before")
    size = path.stat().st_size
    done = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))  # part of the line still fits
    try:
        with pytest.raises(NotStored, match="the action is not carried out") as caught:  # noqa: SIM117 - the action stands in it
            with log.action("x", "open valve", {"text": "z" * 300}):
                done.append(1)
        assert (caught.value.reason, done) == ("disk full", [])
        assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    log.append("x", "after")
    log.close()
    assert verify(path, PUBLIC).holds


def test_an_action_that_fails_is_written_too(tmp_path):
    log = Audit(tmp_path / "a.jsonl", KEY)
    with pytest.raises(ZeroDivisionError), log.action("x", "divide", {"by": 0}) as begun:
        1 / 0  # noqa: B018 - fails
    failed = log.records()[-1]
    assert (failed.what, failed.about["of"]) == ("divide: failed", begun.n)
    log.close()


def test_what_json_cannot_say_is_refused(tmp_path):
    log = Audit(tmp_path / "a.jsonl", KEY)
    for bad in ({"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {1: 0, "1": 0}):
        with pytest.raises(Refused, match="JSON"):
            log.append("x", "y", bad)
    log.append("x", "y", {"keys": {3: 1, 10: 2}})  # become text
    log.close()
    assert verify(tmp_path / "a.jsonl", PUBLIC).holds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(max_size=20))
def test_anything_that_json_can_say_is_kept(tmp_path_factory, about, who):
    try:
        canonical([about, who])
    except Refused:
        assume(False)
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    log = Audit(path, KEY)
    log.append(who, "x", about)
    kept = log.records()[-1]
    log.close()
    assert (kept.who, kept.about) == (who, about)
    assert verify(path, PUBLIC).holds


def test_records_by_time(file):
    log = Audit(file, KEY)
    found = log.records(1.79e9 + 5, 1.79e9 + 8)
    assert [r.about["alarm"] for r in found if r.what == "acknowledge"] == ["a5", "a6", "a7"]
    log.append("x", "late", time=1.0)  # a clock that was set back
    assert [r.what for r in log.records(0.0, 2.0)] == ["late"]
    assert [r.about.get("alarm") for r in log.records(1.79e9, 1.79e9 + 30, limit=1)] == ["a29"]
    log.close()
    with pytest.raises(Refused, match="closed"):
        log.append("x", "y")


def test_shift_log(tmp_path):
    log = ShiftLog(tmp_path / "shift.jsonl", KEY)
    first = log.write("Malay CS: unit 2 on hand", who="anna", subject="compressors/Malay CS", time=100.0)
    log.write("unit 3, not 2", who="anna", corrects=first.n, time=200.0)
    assert [(e["text"], e.get("corrects")) for e in log.entries()] == [
        ("Malay CS: unit 2 on hand", None), ("unit 3, not 2", first.n),
    ]  # fmt: skip
    assert [e["time"] for e in log.entries(150.0, 250.0)] == ["1970-01-01T00:03:20.000000Z"]
    with pytest.raises(Refused):
        log.write(" ", who="anna")
    with pytest.raises(Refused):
        log.write("text", who="")
    log.close()
    assert verify(tmp_path / "shift.jsonl", PUBLIC).holds


def test_keys(tmp_path):
    key = signing_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert public_hex(public_of(signing_key(tmp_path / "key"))) == public_hex(public_of(key))
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(Refused, match="read by others"):
        signing_key(tmp_path / "key")
    with pytest.raises(Refused, match="64 hex digits"):
        public_key("xyz")


def test_command_line(file):
    run = CliRunner().invoke
    good = run(cli.app, ["audit", "verify", str(file), "--key", public_hex(PUBLIC), "--expect", f"{file}.head"])
    assert (good.exit_code, "36 records hold together" in good.stdout) == (0, True), good.output
    doc = json.loads(run(cli.app, ["audit", "verify", str(file), "--json"]).stdout)
    assert (doc["holds"], doc["heads"]) == (True, 5)
    file.write_bytes(file.read_bytes().replace(b'"a7"', b'"a8"'))
    bad = run(cli.app, ["audit", "verify", str(file)])
    assert bad.exit_code == 1
    assert "line 10" in bad.stdout  # opened, head, a0 ... a6
    assert run(cli.app, ["audit", "verify", str(file), "--key", "no"]).exit_code == 2
    assert run(cli.app, ["audit", "verify", str(file.parent / "nothing")]).exit_code == 2
