# SPDX-License-Identifier: Apache-2.0
"""Who did what and when: a file to which lines are only added, each chained to all before it, signed now and then.

A line is one record in canonical JSON (keys sorted, no spaces, UTF-8, the shortest digits of a number):

    {"about":{...},"before":"<hash>","hash":"<hash>","n":7,"time":"2026-11-22T21:00:00.000000Z","what":"...","who":"..."}

`before` is the hash of the record before, `hash` the SHA-256 of the record without it, so a change of any line breaks
the chain there. Every `every` records, and when the file is closed, a record `head` carries an Ed25519 signature (RFC
8032) over the log's id, its number and the hash of all before it; the newest head also lies beside the file.

What this proves, and what not. Whoever lacks the key cannot change, drop or reorder anything up to the last head
unseen. Records after it are chained, not signed: who can write the file can rewrite them (`Verdict.unsigned` says how
many there are). The end of the file can be cut off together with the head beside it: only a head that somebody else
keeps shows that (`verify(..., expect=head)`). Who has the key can write any history: give heads away.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import time as clock
from array import array
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from serai.errors import ChainBroken, NotStored, Refused, SeraiError
from serai.units import iso, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVERY = 16  # records between signed heads
NOTHING = "0" * 64  # the hash before the first record
TORN = 4096  # bytes of a torn line that are kept


@dataclass(frozen=True, slots=True)
class Record:
    """One line: number, time (ISO 8601 UTC), who did what, about what, the hash before it and its own."""

    n: int
    time: str
    who: str
    what: str
    about: Mapping[str, Any]
    before: str
    hash: str

    @property
    def seconds(self) -> float:
        """Return the time [s since 1970 UTC]."""
        return moment(self.time)


@dataclass(frozen=True, slots=True)
class Head:
    """A signed statement: log `log` had `n` records before this one, the last of them with hash `before`."""

    log: str
    n: int
    time: str
    before: str
    signature: str

    def signed(self) -> bytes:
        """Return what is signed."""
        return canonical({"before": self.before, "log": self.log, "n": self.n, "time": self.time})

    def genuine(self, key: Ed25519PublicKey) -> bool:
        """Tell whether the holder of a key has signed it."""
        try:
            key.verify(bytes.fromhex(self.signature), self.signed())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found.

    records    lines that hold together, from the first on
    problem    what is wrong, "" = nothing; line: where, counted from 1
    heads      signed heads among them; unsigned: records after the last one, which no signature covers
    beside     whether a head lies beside the file
    key        public key of the log, hex; trusted: whether the caller gave it, or the log itself says so
    head       the last signed head, to be kept by somebody else
    """

    records: int
    problem: str = ""
    line: int = 0
    heads: int = 0
    unsigned: int = 0
    beside: bool = False
    key: str = ""
    trusted: bool = False
    head: Head | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem

    def __str__(self) -> str:
        """Say it in words."""
        if self.problem:
            return f"line {self.line}: {self.problem}; the {self.records} records before hold together"
        trust = "" if self.trusted else "; the key is the log's own word: compare it with one kept elsewhere"
        loose = f", {self.unsigned} after the last not yet covered" if self.unsigned else ""
        loose += "" if self.beside else "; no head lies beside it, so its end may have been cut off"
        return f"{self.records} records hold together, {self.heads} signed heads{loose}; key {self.key[:16]}{trust}"


def _record(doc: Mapping[str, Any]) -> Record:
    return Record(**doc)


def canonical(value: Any) -> bytes:
    """Return the one way to write a value as JSON; Refused for what JSON cannot say exactly (nan, other types)."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise Refused(f"a record holds what JSON cannot say: {error}", "not JSON") from None


class Audit:
    """The writer of one log; no other may write it at the same time."""

    def __init__(self, path: str | os.PathLike[str], key: Ed25519PrivateKey, *, every: int = EVERY) -> None:
        """Open a log, or begin it: check what is there, mend a torn last line.

        Raises Refused while another process writes it, ChainBroken when it does not hold together (keep the file as
        evidence and begin another), NotStored when nothing can be written.
        """
        self.path = Path(path)
        self.key, self.every = key, every
        self._lock = RLock()
        self._times, self._places, self._rising = array("d"), array("Q"), True
        self._file = _locked(self.path)
        try:
            self._take_up()
        except BaseException:
            os.close(self._file)
            raise

    def _take_up(self) -> None:
        data = self.path.read_bytes()
        whole, torn = _whole(data)
        self._length = len(whole)
        if torn:
            os.ftruncate(self._file, self._length)
        self._log, self._n, self._last, self._loose = "", 0, NOTHING, 0
        chain = _Chain(public_of(self.key))
        place = 0
        for line in whole.splitlines(keepends=True):
            record = chain.take(line)
            if record is None:
                raise ChainBroken(f"{self.path}: {chain.verdict()}", self.path.name, chain.line)
            self._rising = self._rising and (not self._times or self._times[-1] <= record.seconds)
            self._times.append(record.seconds)
            self._places.append(place)
            place += len(line)
        beside = _beside(self.path)
        problem = chain.against(beside)
        if problem:
            raise ChainBroken(f"{self.path}: {problem}", self.path.name, chain.line)
        self._log, self._n, self._last, self._loose = chain.log, chain.n, chain.last, chain.loose
        if not self._n:
            self._log = secrets.token_hex(16)
            self.append("", "opened", {"log": self._log, "key": public_hex(public_of(self.key))})
            self.sign()
        if torn:
            kept = torn[:TORN].decode("utf-8", "backslashreplace")
            about = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest(), "began": kept}
            self.append("", "torn line removed", about)

    def append(
        self, who: str, what: str, about: Mapping[str, Any] | None = None, *, time: float | None = None
    ) -> Record:
        """Add a record and return it once it is on the disk.

        who    account that acts, "" = the system; what: the action's name; about: everything needed to understand it
        time   [s since 1970 UTC]; None = now

        NotStored (disk full, a lost disk): nothing was added, and the action must not be carried out.
        """
        with self._lock:
            record = self._add(who, what, about or {}, clock.time() if time is None else time)
            if self._loose >= self.every:
                self.sign(time=time)
            return record

    def _add(self, who: str, what: str, about: Mapping[str, Any], time: float) -> Record:
        if self._file < 0:
            raise Refused(f"the log {self.path} is closed", "closed")
        said = {
            "n": self._n, "time": iso(time, "microseconds"), "who": str(who), "what": str(what), "before": self._last,
            "about": json.loads(canonical(dict(about))),  # keys that are not text become text
        }  # fmt: skip
        own = hashlib.sha256(canonical(said)).hexdigest()
        line = canonical({**said, "hash": own}) + b"\n"
        self._write(line)
        self._rising = self._rising and (not self._times or self._times[-1] <= time)
        self._times.append(time)
        self._places.append(self._length)
        self._length += len(line)
        self._n, self._last, self._loose = self._n + 1, own, self._loose + 1
        return _record({**said, "hash": own})

    def _write(self, line: bytes) -> None:
        """Write a whole line and see it onto the disk, or leave the file as it was."""
        try:
            done = 0
            while done < len(line):
                done += os.pwrite(self._file, line[done:], self._length + done)
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._length)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            what = "make room" if full else "look at the disk"
            raise NotStored(
                f"the audit log {self.path} takes nothing ({error.strerror}): {what}; the action is not carried out",
                "disk full" if full else "not writable",
            ) from None

    def sign(self, *, time: float | None = None) -> Head:
        """Sign what is there; returns the head, to be given to somebody who keeps it."""
        with self._lock:
            at = clock.time() if time is None else time
            bare = Head(self._log, self._n, iso(at, "microseconds"), self._last, "")
            head = Head(bare.log, bare.n, bare.time, bare.before, self.key.sign(bare.signed()).hex())
            self._add("", "head", {"signature": head.signature}, at)
            self._loose = 0
            _put_beside(self.path, head)
            return head

    @contextmanager
    def action(self, who: str, what: str, about: Mapping[str, Any] | None = None) -> Iterator[Record]:
        """Write what somebody is about to do, then let it be done; a failure is written too, and raised again."""
        record = self.append(who, what, about)
        try:
            yield record
        except BaseException as error:
            self.append(who, f"{what}: failed", {"of": record.n, "error": f"{type(error).__name__}: {error}"})
            raise

    def records(self, start: float = -inf, end: float = inf, limit: int = 1000) -> list[Record]:
        """Return the newest `limit` records from `start` to before `end` [s since 1970 UTC], the oldest first."""
        with self._lock:
            chosen: Sequence[int] = range(bisect_left(self._times, start), bisect_left(self._times, end))
            if not self._rising:  # a clock was set back
                chosen = [k for k, t in enumerate(self._times) if start <= t < end]
            return [self._read(k) for k in chosen[-limit:]] if limit > 0 else []

    def _read(self, k: int) -> Record:
        end = self._places[k + 1] if k + 1 < len(self._places) else self._length
        return _record(json.loads(os.pread(self._file, end - self._places[k], self._places[k])))

    def __len__(self) -> int:
        return self._n

    def close(self) -> None:
        """Sign what is there and close the file."""
        with self._lock:
            if self._file < 0:
                return
            try:
                if self._loose:
                    self.sign()
            finally:
                os.close(self._file)
                self._file = -1


class ShiftLog:
    """The shift log: what people of the room write down, chained and signed as an audit is; nothing is ever edited.

    A correction is a new entry that names the number of the one it corrects.
    """

    def __init__(self, path: str | os.PathLike[str], key: Ed25519PrivateKey) -> None:
        """Open it, or begin it; errors as of `Audit`."""
        self.chain = Audit(path, key)

    def write(
        self, text: str, *, who: str, subject: str = "", corrects: int | None = None, time: float | None = None
    ) -> Record:
        """Add an entry: text and subject (an element or alarm id) by a person. Refused when empty or too long."""
        if not text.strip() or len(text) > 10_000 or not who:
            raise Refused("an entry of the shift log has a text of at most 10,000 letters and an author", "empty")
        about: dict[str, Any] = {"text": text, "subject": subject}
        if corrects is not None:
            about["corrects"] = corrects
        return self.chain.append(who, "entry", about, time=time)

    def entries(self, start: float = -inf, end: float = inf, limit: int = 200) -> list[dict[str, Any]]:
        """Return the newest `limit` entries from `start` to before `end` [s since 1970 UTC], the oldest first."""
        found = [r for r in self.chain.records(start, end, 4 * limit + 16) if r.what == "entry"]
        return [{"n": r.n, "time": r.time, "who": r.who, **r.about} for r in found[-limit:]]

    def close(self) -> None:
        """Sign what is there and close the file."""
        self.chain.close()


# ------------------------------------------------------------------------------------------------------------- checking


def verify(path: str | os.PathLike[str], key: Ed25519PublicKey | None = None, *, expect: Head | None = None) -> Verdict:
    """Check a whole log, from its bytes: chain, numbers, signatures, the head beside it.

    key     public key that signed it; None = the one that the log names itself
    expect  a head that somebody else kept: the log must contain it
    """
    file = Path(path)
    whole, torn = _whole(file.read_bytes())
    chain = _Chain(key)
    for line in whole.splitlines(keepends=True):
        if chain.take(line) is None:
            return chain.verdict()
    beside = _beside(file)
    chain.beside = beside is not None
    for head in (beside, expect):
        problem = chain.against(head)
        if problem:
            chain.problem, chain.line = problem, chain.n + 1
            return chain.verdict()
    if torn or not chain.n:
        chain.line += 1
        chain.problem = "the last line is torn: its writer did not finish it" if torn else "there is nothing"
    return chain.verdict()


class _Chain:
    """A log being read line by line."""

    def __init__(self, key: Ed25519PublicKey | None) -> None:
        self.key, self.trusted = key, key is not None
        self.log, self.n, self.last, self.loose, self.line = "", 0, NOTHING, 0, 0
        self.heads, self.beside = 0, False
        self.head: Head | None = None
        self.hashes: dict[int, str] = {}  # number of records -> hash of the last, where a head was signed
        self.problem = ""

    def take(self, line: bytes) -> Record | None:
        """Take in the next line; None, and `problem`, when it does not hold."""
        self.line += 1
        problem = self._read(line)
        if problem:
            self.problem = problem
            return None
        record = self._record
        self.n, self.last, self.loose = self.n + 1, record.hash, 0 if record.what == "head" else self.loose + 1
        return record

    def _read(self, line: bytes) -> str:
        """Read a line into `_record`; return what is wrong with it, "" = nothing."""
        try:
            doc = json.loads(line)
            canon = canonical(doc) + b"\n"
            record = self._record = _record(doc)
        except (ValueError, TypeError, RecursionError, SeraiError):
            canon = b""
        if canon != line:
            return "the record is not canonical JSON: it was changed"
        said = {k: v for k, v in doc.items() if k != "hash"}
        if record.n != self.n:
            return f"the record is number {record.n}, {self.n} was due: records were removed, added or reordered"
        if record.before != self.last:
            return "the record does not follow the one before it: one of them was changed"
        if hashlib.sha256(canonical(said)).hexdigest() != record.hash:
            return "the record does not have the hash that it states: it was changed"
        return self._first(record) if self.n == 0 else self._signed(record)

    def _first(self, record: Record) -> str:
        """Take in the record that begins a log: its id and key."""
        try:
            self.log = str(record.about["log"])
            named = public_key(str(record.about["key"]))
        except (KeyError, TypeError, Refused):
            return "the record does not begin a log"
        if self.key is not None and public_hex(self.key) != public_hex(named):
            return "the log names another key than the one given"
        self.key = named
        return ""

    def _signed(self, record: Record) -> str:
        """Check a head's signature."""
        if record.what != "head":
            return ""
        head = Head(self.log, record.n, record.time, record.before, str(record.about.get("signature", "")))
        if self.key is None or not head.genuine(self.key):
            return "the record is a head that the key has not signed: something before it was rewritten"
        self.head, self.heads = head, self.heads + 1
        self.hashes[record.n] = record.before
        return ""

    def against(self, head: Head | None) -> str:
        """Return what a head that was kept says against the log, "" = nothing."""
        if head is None:
            return ""
        if self.key is None or not head.genuine(self.key):
            return "the head kept beside it was not signed by its key"
        if head.log != self.log:
            return "the head kept is of another log"
        if head.n >= self.n:
            return f"{head.n + 1 - self.n} records are missing at its end: the head kept knew of {head.n + 1}"
        if self.hashes.get(head.n) != head.before:
            return "it was rewritten: the head kept knew other records"
        return ""

    def verdict(self) -> Verdict:
        key = public_hex(self.key) if self.key is not None else ""
        line = self.line if self.problem else 0
        return Verdict(self.n, self.problem, line, self.heads, self.loose, self.beside, key, self.trusted, self.head)


# ----------------------------------------------------------------------------------------------------------------- keys


def signing_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """Return the private key of a file, made (readable by its owner only) where there is none.

    Refused when others may read the file.
    """
    file = Path(path)
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if file.stat().st_mode & 0o077:
            raise Refused(f"{file} may be read by others: chmod 600 {file}, and change the key", "open key") from None
        key = load_pem_private_key(file.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise Refused(f"{file} holds no Ed25519 key", "wrong key") from None
        return key
    key = Ed25519PrivateKey.generate()
    with os.fdopen(number, "wb") as out:
        out.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def public_of(key: Ed25519PrivateKey) -> Ed25519PublicKey:
    """Return the public half of a key."""
    return key.public_key()


def public_hex(key: Ed25519PublicKey) -> str:
    """Return a public key as 64 hex digits."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def public_key(text: str) -> Ed25519PublicKey:
    """Return the public key of 64 hex digits; Refused for anything else."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip()))
    except ValueError:
        raise Refused("a public key is 64 hex digits", "no key") from None


# ---------------------------------------------------------------------------------------------------------------- files


def _locked(path: Path) -> int:
    """Open a log for writing, alone; return the number of the file."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotStored(f"the audit log {path} cannot be opened: {error.strerror}", "not writable") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise Refused(f"another process writes {path}: a log has one writer", "another writer") from None
    return file


def _whole(data: bytes) -> tuple[bytes, bytes]:
    """Return the whole lines of a file, and what follows the last of them."""
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def _beside(path: Path) -> Head | None:
    """Return the head that lies beside a log, None = there is none."""
    try:
        doc = json.loads(path.with_name(path.name + ".head").read_bytes())
        return Head(**doc)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Head("", 0, "", "", "")  # what is there is no head: it fails every check


def _put_beside(path: Path, head: Head) -> None:
    """Replace the head beside a log, whole or not at all; a full disk leaves the older one, which still holds."""
    new = path.with_name(path.name + ".head.new")
    doc = {"before": head.before, "log": head.log, "n": head.n, "signature": head.signature, "time": head.time}
    try:
        with new.open("wb") as out:
            out.write(canonical(doc))
            out.flush()
            os.fsync(out.fileno())
        new.replace(path.with_name(path.name + ".head"))
    except OSError:
        new.unlink(missing_ok=True)


def read_head(path: str | os.PathLike[str]) -> Head:
    """Return a head from a file that somebody kept; Refused when it is none."""
    try:
        return Head(**json.loads(Path(path).read_bytes()))
    except (ValueError, TypeError):
        raise Refused(f"{path} holds no head", "no head") from None
