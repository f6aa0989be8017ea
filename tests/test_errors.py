# SPDX-License-Identifier: Apache-2.0
"""Errors say what, where and what to do, and keep the places as data."""

import pytest

from serai import errors


def test_every_mistake_is_in_the_text():
    mistakes = [
        errors.Mistake("pipes.csv", 12, "length_km", "must be above 0, got -3"),
        errors.Mistake("case.toml", 0, "", "is missing"),
    ]
    error = errors.CaseError("my case", mistakes)
    assert str(error) == (
        "my case: 2 mistakes\n  pipes.csv row 12, length_km: must be above 0, got -3\n  case.toml: is missing"
    )
    assert str(errors.CaseError("x", mistakes[:1])).startswith("x: 1 mistake\n")


def test_what_cannot_be_carried_says_how_to_go_on():
    error = errors.Untranslated("net.json", ["svc 3"])
    assert error.items == ("svc 3",)
    assert "allow_loss=True" in str(error)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (errors.NotClosed("t", missing=["a"], twice=["b"]), {"missing": ("a",), "twice": ("b",)}),
        (errors.NoReference("t", missing=["a"], island=["a", "b"]), {"missing": ("a",), "island": ("a", "b")}),
        (errors.SingularSystem("t", rows=[1], columns=[2]), {"rows": (1,), "columns": (2,)}),
        (errors.ModeCycle("t", ["CS"]), {"elements": ("CS",)}),
        (errors.PhysicsRefused("t", ["B"]), {"elements": ("B",)}),
    ],
)
def test_places_are_kept_as_data(error, kept):
    assert isinstance(error, errors.SeraiError)
    assert {k: getattr(error, k) for k in kept} == kept


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = [line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    classes = [c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SeraiError)]
    assert sorted(drawn) == sorted(set(classes) - {"SeraiError"})
