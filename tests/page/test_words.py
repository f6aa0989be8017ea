# SPDX-License-Identifier: Apache-2.0
"""Every text of the page has its words in every language, with the same parameters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serai.room.words import LANGUAGES, catalogue

SOURCES = Path(__file__).parents[2] / "web" / "src"
STRING = r'"((?:[^"\\]|\\.)+)"'


def said():
    """Texts of the page (key -> plural or None): arguments of t, tn and w, and the server's single words."""
    found = {}
    for path in sorted(SOURCES.rglob("*.ts")):
        text = path.read_text(encoding="utf-8")
        if path.name != "words.ts":  # which defines tn
            found |= dict(re.findall(rf'\btn\([^"]*?{STRING}, {STRING}', text))
        for pattern in (rf"\b[tw]\({STRING}", rf'\bt\([^()"]*\? {STRING} : "'):
            found = dict.fromkeys(re.findall(pattern, text)) | found
        found = dict.fromkeys(re.findall(rf'\bt\([^()"]*\? "[^"]+" : {STRING}', text)) | found
    listed = re.search(r"void \[(.*?)\]\.map\(w\)", (SOURCES / "words.ts").read_text(encoding="utf-8"), re.DOTALL)
    return dict.fromkeys(re.findall(STRING, listed[1])) | found


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the sources of the page are not here")
@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_every_text_of_the_page_is_translated(language):
    known = catalogue(language)
    texts = said()
    assert len(texts) > 300
    missing = [key for key, many in texts.items() if key not in (known["plurals"] if many else known["words"])]
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_fill_in_the_same_parameters(language):
    known = catalogue(language)
    english = catalogue("en")["words"]

    def names(text):
        return set(re.findall(r"\{(\w+)\}", text))

    wrong = [key for key, text in known["words"].items() if names(text) != names(english.get(key, key))]
    wrong += [key for key, forms in known["plurals"].items() if any(names(form) != names(key) for form in forms)]
    assert wrong == []


def test_numbers_and_months_are_those_of_the_language():
    """Unicode CLDR 47: decimal commas in tk and ru; the second month of Turkmen is few."""
    assert [catalogue(name)["numbers"]["decimal"] for name in LANGUAGES] == [".", ",", ","]
    assert catalogue("tk")["months"][1] == "few"
    assert all(len(catalogue(name)["months"]) == 12 for name in LANGUAGES)
    assert [len(catalogue(name)["plurals"]["{n} is down"]) for name in ("tk", "ru")] == [2, 3]
    with pytest.raises(KeyError):
        catalogue("de")
