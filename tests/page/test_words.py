# SPDX-License-Identifier: Apache-2.0
"""Every text of the page and of the country's alarms has its words in every language, with the same parameters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serai.alarms.rationale import rationale
from serai.room.words import FOLDER, LANGUAGES, catalogue
from serai.telemetry.readings import Quality

SOURCES = Path(__file__).parents[2] / "web" / "src"
STRING = r'"((?:[^"\\]|\\.)+)"'
PARTS = ("cause", "consequence", "response")
OTHERS = [name for name in LANGUAGES if name != "en"]


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


def alarms():
    """English of every alarm of the country's case and of its parts, by key."""
    found = {}
    for key, record in rationale("turkmenistan").records.items():
        found[f"alarm.{key}"] = record.text
        found |= {f"alarm.{key}.{part}": getattr(record, part) for part in PARTS}
    return found


def names(text):
    return sorted(set(re.findall(r"\{(\w+)\}", text)))


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the sources of the page are not here")
@pytest.mark.parametrize("language", OTHERS)
def test_every_text_of_the_page_is_translated(language):
    known = catalogue(language)
    texts = said()
    assert len(texts) > 300
    missing = [key for key, many in texts.items() if key not in (known["plurals"] if many else known["words"])]
    assert missing == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_alarm_is_translated_with_its_parts_and_none_besides(language):
    english, known = alarms(), catalogue(language)["words"]
    assert len(english) == 4 * len(rationale("turkmenistan").records) > 100
    assert [key for key in english if key not in known] == []
    assert [key for key in known if key.startswith("alarm.") and key not in english] == []
    same = [key for key, text in english.items() if known[key] == text]
    assert same == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_fill_in_the_same_parameters(language):
    known = catalogue(language)
    english = catalogue("en")["words"] | alarms()
    wrong = [key for key, text in known["words"].items() if names(text) != names(english.get(key, key))]
    wrong += [key for key, forms in known["plurals"].items() if any(names(form) != names(key) for form in forms)]
    assert wrong == []


@pytest.mark.parametrize("language", OTHERS)
def test_flags_of_readings_have_words(language):
    """An alarm of bad data names the flags that its reading bears, in lower case with spaces."""
    known = catalogue(language)["words"]
    flags = [str(flag.name).lower().replace("_", " ") for flag in Quality if flag and flag is not Quality.STALE]
    assert [flag for flag in flags if flag not in known] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_is_written_in_its_own_letters(language):
    """Turkmen in its Latin alphabet, which has no c, q, v and x, Russian in Cyrillic, but for names and units."""
    other = re.compile(r"[\u0400-\u04ffcqvxCQVX]" if language == "tk" else "[A-Za-z]")
    foreign = re.compile(r"\{\w+\}|CSV|EEMUA|Shift|N-1|°C|χ²")
    words = catalogue(language)["words"].values()
    assert [text for text in words if other.search(foreign.sub("", text))] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_marked_as_unsure_or_given_twice(language):
    lines = (FOLDER / f"{language}.po").read_text(encoding="utf-8").splitlines()
    assert not any(line.startswith("#,") and "fuzzy" in line for line in lines)
    keys = [line for line in lines if line.startswith("msgid ")]
    assert len(keys) == len(set(keys))


def test_numbers_and_months_are_those_of_the_language():
    """Unicode CLDR 47: decimal commas in tk and ru; the second month of Turkmen is few."""
    assert [catalogue(name)["numbers"]["decimal"] for name in LANGUAGES] == [".", ",", ","]
    assert catalogue("tk")["months"][1] == "few"
    assert all(len(catalogue(name)["months"]) == 12 for name in LANGUAGES)
    assert [len(catalogue(name)["plurals"]["{n} is down"]) for name in ("tk", "ru")] == [2, 3]
    with pytest.raises(KeyError):
        catalogue("de")
