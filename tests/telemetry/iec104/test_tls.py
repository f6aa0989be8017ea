# SPDX-License-Identifier: Apache-2.0
"""TLS: who may connect, who may not and under which name that is counted; both ways round."""

import asyncio
import datetime as dt
import re
import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from serai.errors import SeraiError
from serai.telemetry.iec104 import (
    ControlledStation,
    ControllingStation,
    Credentials,
    InformationObject,
    Peer,
    Settings,
    TypeId,
    Violation,
)
from serai.telemetry.iec104.tls import CIPHERS
from telemetry.certificates import Authority

POINTS = {1: [InformationObject(1, TypeId.M_ME_TF_1)]}


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Credentials of a station, a control room, and of some who do not fit."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, forger = Authority(folder), Authority(folder, "forger")
    made = {name: Credentials(authority.file, *authority.files(name)) for name in ("station", "room", "other")}
    made["late"] = Credentials(authority.file, *authority.files("late", days=(-30, -1)))
    made["early"] = Credentials(authority.file, *authority.files("early", days=(1, 30)))
    made["elsewhere"] = Credentials(authority.file, *authority.files("elsewhere", host="10.0.0.9"))
    made["forged"] = Credentials(authority.file, *forger.files("room by another"))
    made["revoked"] = Credentials(authority.file, *authority.files("revoked"))
    gone = x509.load_pem_x509_certificate((folder / "revoked.pem").read_bytes())
    today = dt.datetime.now(dt.UTC)
    revoked = x509.RevokedCertificateBuilder().serial_number(gone.serial_number).revocation_date(today).build()
    listed = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    listed = listed.last_update(today - dt.timedelta(days=1)).next_update(today + dt.timedelta(days=1))
    signed = listed.add_revoked_certificate(revoked).sign(authority.key, hashes.SHA256())
    (folder / "revoked.crl").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made["strict station"] = replace(made["station"], revoked=folder / "revoked.crl")
    return made


def fingerprint(credentials):
    with open(credentials.certificate, "rb") as file:  # noqa: PTH123 - a path as text
        return x509.load_pem_x509_certificate(file.read()).fingerprint(hashes.SHA256()).hex(":")


def station(credentials, *certificates):
    peers = [Peer("the room", certificates=certificates)]
    return ControlledStation("field", POINTS, tls=credentials.server(), peers=peers, settings=Settings(t1=3, t2=1))


def room(port, credentials, *certificates, **options):
    context = options.pop("context", None) or credentials.client()
    options = {"tls": context, "certificates": certificates, "retry": (0.05, 0.1), "common_addresses": (1,)} | options
    return ControllingStation("room", "127.0.0.1", port, **options)


async def refused(control):
    """Why a control room does not get through."""
    control.start()
    async with asyncio.timeout(5):
        while not (why := [n for n in control.counts.counted if n.startswith("not connected: ")]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not control.up
    await control.close()
    return why[0]


@pytest.mark.parametrize("by", ["name", "fingerprint", "authority alone"])
def test_both_ends_show_certificates_and_speak(papers, by):
    async def main():
        far = {"name": ["room"], "fingerprint": [fingerprint(papers["room"])], "authority alone": []}[by]
        near = {"name": ["station"], "fingerprint": [fingerprint(papers["station"])], "authority alone": []}[by]
        async with station(papers["station"], *far) as field, room(field.port, papers["room"], *near) as control:
            await control.interrogate(1)
            assert len(await anext(control.points())) == 1
            (session,) = field.sessions
            assert session.peer == "the room"
            spoken = session.link._transport.get_extra_info("cipher")
            assert spoken[1] in ("TLSv1.2", "TLSv1.3")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("shown", "station_counts", "room_hears"),
    [
        ("late", "refused: certificate refused: certificate has expired", "expired|refuse our certificate"),
        ("early", "refused: certificate refused: certificate is not yet valid", "not connected"),
        (
            "forged",
            "refused: certificate refused: unable to get local issuer certificate",
            "unknown ca|refuse our certificate",
        ),
        ("other", f"violation: {Violation.PEER_CERTIFICATE}", "not connected"),
    ],
)
def test_a_control_room_whose_certificate_does_not_fit_is_refused(papers, shown, station_counts, room_hears):
    async def main():
        seen = []
        async with station(papers["station"], "room") as field:
            field.watch = seen.append
            control = room(field.port, papers[shown])
            assert re.search(room_hears, await refused(control))
            assert field.counts[station_counts] >= 1
            assert field.counts["points sent"] == field.counts["I frames received"] == 0
            assert {s.violation for s in seen} <= {Violation.HANDSHAKE, Violation.PEER_CERTIFICATE}
            assert seen
            async with room(field.port, papers["room"]) as good:  # the station goes on
                await good.interrogate(1)

    asyncio.run(main())


def test_a_revoked_certificate_is_refused(papers):
    async def main():
        async with station(papers["strict station"]) as field:
            control = room(field.port, papers["revoked"])
            await refused(control)
            assert field.counts["refused: certificate refused: certificate revoked"] >= 1
            async with room(field.port, papers["room"]) as good:
                await good.test(1)

    asyncio.run(main())


def test_a_control_room_without_certificate_or_tls_is_refused(papers):
    async def main():
        async with station(papers["station"]) as field:
            bare = ssl.create_default_context(cafile=papers["room"].authority)
            for context, text in ((bare, "certificate required|refuse our certificate"), (None, "not connected")):
                control = room(field.port, papers["room"], context=context)
                if context is None:
                    control.tls = None
                assert re.search(text, await refused(control))
                assert field.counts["refused: TLS: peer did not return a certificate"] >= 1
            assert field.counts[f"violation: {Violation.HANDSHAKE}"] >= 2

    asyncio.run(main())


def test_old_versions_and_weak_ciphers_are_refused(papers):
    async def main():
        async with station(papers["station"]) as field:
            weak = papers["room"].client()
            weak.maximum_version = ssl.TLSVersion.TLSv1_2
            weak.set_ciphers("AES128-SHA256:AES256-GCM-SHA384")  # no forward secrecy
            control = room(field.port, papers["room"], context=weak)
            assert re.search(r"connection lost|TLS: ", await refused(control))
            assert field.counts["refused: TLS: no shared cipher"] >= 1

    asyncio.run(main())
    context = papers["room"].client()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    weak = {"NULL", "RC4", "3DES", "CBC", "MD5"}
    assert not [c for c in context.get_ciphers() if weak & set(c["name"].split("-")) or c["strength_bits"] < 128]
    assert "AESGCM" in CIPHERS


@pytest.mark.parametrize(
    ("shown", "allowed", "text"),
    [
        ("late", (), "certificate refused: certificate has expired"),
        ("forged", (), "certificate refused: unable to get local issuer certificate"),
        ("elsewhere", (), "certificate refused: IP address mismatch"),
        ("station", ("another station",), Violation.PEER_CERTIFICATE),
    ],
)
def test_a_station_whose_certificate_does_not_fit_is_refused(papers, shown, allowed, text):
    async def main():
        async with station(papers[shown]) as field:
            control = room(field.port, papers["room"], *allowed)
            assert re.search(text, await refused(control))
            assert [n for n in control.counts.counted if text in n]

    asyncio.run(main())


def test_without_a_host_name_an_allow_list_does(papers):
    async def main():
        async with station(papers["elsewhere"]) as field:
            context = papers["room"].client(check_hostname=False)
            async with room(field.port, papers["room"], "elsewhere", context=context) as control:
                await control.test(1)

    asyncio.run(main())


def test_a_peer_that_never_finishes_its_handshake_is_given_up(papers):
    async def main():
        peers = [Peer("the room")]
        settings = Settings(t1=0.3, t2=0.1)
        async with ControlledStation(
            "field", POINTS, tls=papers["station"].server(), peers=peers, settings=settings
        ) as field:
            reader, writer = await asyncio.open_connection("127.0.0.1", field.port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            assert field.counts[f"violation: {Violation.HANDSHAKE}"] == 1
            assert not field.sessions

    asyncio.run(main())


def test_files_that_cannot_be_used_are_named(papers, tmp_path):
    wrong = tmp_path / "no.pem"
    for broken in (replace(papers["room"], key=wrong), replace(papers["room"], authority=papers["room"].key)):
        with pytest.raises(SeraiError, match=r"certificates cannot be used.*look at"):
            broken.client()
