# SPDX-License-Identifier: Apache-2.0
"""The words of the page in its languages: gettext catalogues, numbers and months, as one JSON object a language.

English words are the keys themselves; texts that come from the loop or from alarm records have keys with dots
("finding.leak"), and stand in `en.po` too. Browsers write Turkmen numbers and dates as English, so the forms of numbers
and the names of months come from here (Unicode CLDR, by Babel).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel import Locale
from babel.messages.pofile import read_po

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

LANGUAGES = ("en", "tk", "ru")
FOLDER = Path(__file__).with_name("words")
THIN_SPACE = "\u202f"  # between groups of three digits, where a language has no comma there


@cache
def catalogue(language: str) -> dict[str, Any]:
    """Return what the page needs to speak a language of `LANGUAGES`; KeyError for another.

    words     key -> text;  plurals   singular key -> forms, in the order of gettext
    numbers   decimal, group and minus signs;  months   short names, January first
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    locale = Locale.parse(language)
    symbols = locale.number_symbols["latn"]
    words: dict[str, str] = {}
    plurals: dict[str, list[str]] = {}
    for message in _read(language):
        if not message.id or not message.string:
            continue
        if isinstance(message.id, str):
            words[message.id] = str(message.string)
        else:
            plurals[message.id[0]] = list(message.string)
    return {
        "language": language,
        "words": words,
        "plurals": plurals,
        "numbers": {
            "decimal": symbols["decimal"],
            "group": "," if language == "en" else THIN_SPACE,
            "minus": "−",
        },
        "months": [locale.months["format"]["abbreviated"][m].rstrip(".") for m in range(1, 13)],
    }


def _read(language: str) -> Catalog:
    with (FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)
