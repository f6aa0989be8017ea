# SPDX-License-Identifier: Apache-2.0
"""The page of a diagnosis: whole, closed in itself, and with what was found."""

import re
from html.parser import HTMLParser

import pytest

from diagnose.scans import country, scan
from serai.diagnose.course import Course, History
from serai.diagnose.incident import Incident
from serai.diagnose.scan import diagnose
from serai.known import Known
from serai.report.diagnosis import diagnosis_page, write_diagnosis

VOID = {"meta", "br", "rect", "path", "circle", "line", "use"}


class Balanced(HTMLParser):
    """Fails where a tag is not closed in its order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - what the parser gives
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(html):
    page = Balanced()
    page.feed(html)
    assert page.open == []
    assert not re.search(r'(src|href)="?http', html)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL).lower().replace("nano", "")
    return html


@pytest.fixture(scope="module")
def found():
    net, *_, estimator = country()
    return diagnose(net, scan([Known("withdrawal", "CAC CS-3 Outlet", 15.0)], 1, {"Gedaim PT": -12.0}),
                    estimator=estimator)  # fmt: skip


def test_the_page_shows_what_was_found(found, tmp_path):
    html = checked(write_diagnosis(found, tmp_path / "out" / "page.html").read_text(encoding="utf-8"))
    assert "Gas leaks: CAC CS-3 Outlet" in html
    assert "A reading is wrong: Gedaim PT" in html
    assert html.count("Could ") == 2
    assert "Residuals" in html
    assert html.count('class="susp') >= 4  # on both maps
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "page.html"]


def test_a_clean_scan_says_so():
    net, *_, estimator = country()
    html = checked(diagnosis_page(diagnose(net, scan(seed=205), estimator=estimator)))
    assert "Nothing is wrong that these readings could tell" in html
    assert "Residuals" in html


def test_names_of_a_case_are_text_and_not_markup():
    """A history over a network whose incident names what it likes."""
    from estimate.moving_line import case

    course = Course(case(), settled=0)
    bad = Incident("leak", (("leak", "<script>x</script>"),), "gas in motion", 0.0, 60.0, 4.0, 0.5, "kg/s", 7.0, 6.0,
                   1e-3, 2.0, "CD", 0.4, 0.05, number=1, told=60.0)  # fmt: skip
    course.ledger.open.append(bad)
    html = checked(diagnosis_page(History((bad,), course)))
    assert "<script" not in html
    assert "40 ± 5 % of the way along CD" in html
    assert "since 1970-01-01 00:00" in html.lower()
