# SPDX-License-Identifier: Apache-2.0
"""Serving: TLS by file, nothing in the open beyond this machine, the process of its own from start to SIGTERM."""

import asyncio
import re
import signal
import socket
import ssl
import subprocess
import sys

import httpx
import pytest

from accounts.opened import WORDS
from room.opened_room import API, site
from room.small_desk import SmallDesk
from serai.errors import Refused
from serai.room import serve
from serai.room.__main__ import main
from serai.twin.server import Server
from telemetry.certificates import Authority


def test_beyond_this_machine_only_with_a_certificate():
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):  # noqa: S104 - refused is what is tested
        with pytest.raises(Refused, match="no certificate"):
            serve.listen(host, 0, None)
    for host in ("127.0.0.1", "localhost"):
        serve.listen(host, 0, None).close()


def test_a_taken_port_is_said():
    with serve.listen("127.0.0.1", 0, None) as first, pytest.raises(Refused, match="cannot listen"):
        serve.listen("127.0.0.1", first.getsockname()[1], None)


def test_connections_that_take_nothing_are_closed_by_the_kernel():
    with serve.listen("127.0.0.1", 0, None) as listening, socket.create_connection(listening.getsockname()):
        link, _ = listening.accept()
        with link:
            assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == serve.STUCK_MS


def test_files_that_are_no_certificate_are_named(tmp_path):
    chain, key = Authority(tmp_path).files("room")
    other = Authority(tmp_path, "another").files("elsewhere")[1]
    (tmp_path / "empty.pem").write_text("")
    serve.Tls(chain, key).check()
    for wrong in ((chain, other), (tmp_path / "empty.pem", key), (tmp_path / "absent.pem", key)):
        with pytest.raises(Refused, match="TLS with"):
            serve.Tls(*wrong).check()


def test_over_tls_a_browser_signs_in_and_old_protocols_are_refused(tmp_path):
    authority = Authority(tmp_path)
    tls = serve.Tls(*authority.files("room"))

    async def go(made):
        listening = serve.listen("127.0.0.1", 0, tls)
        server = serve.server(made.app, tls)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        trust = ssl.create_default_context(cafile=authority.file)
        async with httpx.AsyncClient(base_url=serve.address(listening, tls), verify=trust) as client:
            signed = await client.post(API + "/session", json={"name": "oper", "password": WORDS})
            case = await client.get(API + "/case")
        old = ssl.create_default_context(cafile=authority.file)
        with pytest.deprecated_call():
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", listening.getsockname()[1], ssl=old)
        server.should_exit = True
        await running
        listening.close()
        return signed, case

    with site(tmp_path / "site") as made:
        signed, case = asyncio.run(go(made))
    assert "Secure" in signed.headers["set-cookie"]
    assert case.status_code == 200


# --------------------------------------------------------------------------------------------------- its own process


def started(folder, *more):
    command = [sys.executable, "-m", "serai.room", "--socket", str(folder / "loop"), "--folder", str(folder / "site"),
               "--port", "0", *more]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_process_from_first_start_over_a_lost_loop_to_its_end(tmp_path):
    """A real room process beside a real loop's socket: link, first account, an act, the loop gone and back, SIGTERM."""
    process = started(tmp_path)
    try:
        asyncio.run(_through(process, tmp_path))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}
        assert WORDS not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    again = started(tmp_path)
    try:
        assert again.stdout.readline().startswith("http://127.0.0.1:")
        again.send_signal(signal.SIGTERM)
        rest, _ = again.communicate(timeout=20)
        assert "first" not in rest  # there is an account: no second link
    finally:
        again.kill()
        again.communicate()


async def _through(process, folder):
    place = (await asyncio.to_thread(process.stdout.readline)).strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", place)
    token = (await asyncio.to_thread(process.stdout.readline)).partition("#first=")[2].strip()
    async with httpx.AsyncClient(base_url=place) as client:
        assert (await client.get("/healthz")).json()["loop"] == "down"  # the loop is not there yet
        first = {"token": token, "name": "merdan", "password": WORDS}
        assert (await client.post(API + "/first", json=first)).status_code == 204
        signed = await client.post(API + "/session", json={"name": "merdan", "password": WORDS})
        client.headers["x-serai-csrf"] = signed.json()["csrf"]
        refused = await client.get(API + "/case")
        assert (refused.status_code, refused.json()["error"]["kind"]) == (503, "unavailable")
        for _ in range(2):  # there, gone, there again: by itself
            async with Server(SmallDesk(), folder / "loop"):
                await _told(client, "up")
                async with asyncio.timeout(30):
                    while (await client.get(API + "/case")).status_code == 503:  # noqa: ASYNC110 - asked over a link of its own
                        await asyncio.sleep(0.1)
                assert (await client.get(API + "/case")).json()["name"] == "two_pipes"
            await _told(client, "down")


async def _told(client, state):
    async with asyncio.timeout(30):
        while (await client.get("/healthz")).json()["loop"] != state:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--host", "0.0.0.0"], "no certificate"),  # noqa: S104 - refused
        (["--certificate", "absent.pem"], "TLS with absent.pem"),
        (["--metrics-token", "absent"], "absent: No such file"),
    ],
)
def test_mistakes_are_said_in_a_line(tmp_path, capsys, monkeypatch, more, said):
    monkeypatch.setattr(serve, "log_to_stderr", lambda: None)
    status = main(["--socket", str(tmp_path / "loop"), "--folder", str(tmp_path / "site"), "--port", "0", *more])
    out, err = capsys.readouterr()
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert out == ""
