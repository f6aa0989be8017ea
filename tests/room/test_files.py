# SPDX-License-Identifier: Apache-2.0
"""The page's files: only those that were built, whatever address is asked, byte by byte over a socket."""

import gzip
import socket

import pytest

from room.opened_room import served, site, visit


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><p>page" + " " * 2000)
    (folder / "build.json").write_text('{"version":"abc"}')
    (folder / "assets" / "index-1.js").write_text("export {}")
    (folder / "assets" / "index-1.js.br").write_bytes(b"packed by the build")
    (folder / ".hidden").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret.txt")
    return folder


def path(address, **options):
    async def scene(client):
        return await client.get(address, **options)

    return None, scene


def test_the_page_and_its_parts(tmp_path, page):
    with site(tmp_path) as made:
        root, script, packed, plain, missing = visit(
            made,
            path("/"),
            path("/assets/index-1.js", headers={"accept-encoding": "identity"}),
            path("/assets/index-1.js", headers={"accept-encoding": "gzip, br;q=0.9"}),
            path("/index.html", headers={"accept-encoding": "gzip"}),
            path("/assets/other.js"),
        )
    assert root.headers["content-type"] == "text/html; charset=utf-8"
    assert root.headers["cache-control"] == "no-cache"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    assert packed.headers["content-encoding"] == "br"
    assert plain.headers["content-encoding"] == "gzip"
    assert plain.text == root.text
    assert gzip.compress(b"")  # httpx unpacked it
    assert missing.status_code == 404
    assert made.room.hub.page == "abc"


def test_without_a_page_it_says_so(tmp_path):
    with site(tmp_path) as made:
        (answer,) = visit(made, path("/"))
    assert "not built" in answer.text
    assert made.room.hub.page is None


WAYS_OUT = [
    "/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt",
    "/..%252fsecret.txt", "//secret.txt", "/./../secret.txt", "/assets/..\\..\\secret.txt", "/..%5csecret.txt",
    "/out", "/.hidden", "/secret.txt", "/assets", "/assets/", "/index.html/../../secret.txt", "/%00", "/index.html%00",
    "/%c0%ae%c0%ae/secret.txt", "/etc/passwd", "/../../../../etc/passwd", "/index.html.br", "/assets/index-1.js.br",
    "http://127.0.0.1/../secret.txt", "/api/v1/../../secret.txt", "/api/v1/words/..%2f..%2fsecret",
]  # fmt: skip


def test_no_way_leads_out_of_the_page(tmp_path, page):
    """Raw requests: a client library would tidy the address up first."""
    with site(tmp_path) as made, served(made.app) as port:
        for way in WAYS_OUT:
            with socket.create_connection(("127.0.0.1", port), 10) as link:
                link.sendall(f"GET {way} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode("latin-1"))
                answer = b""
                while piece := link.recv(65536):
                    answer += piece
            assert answer.split(b" ", 2)[1] in {b"404", b"401", b"400", b"422"}, (way, answer[:200])
            assert b"secret" not in answer.replace(way.encode("latin-1"), b"")
