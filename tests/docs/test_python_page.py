"""docs/python.md holds the reference that the docstrings give."""

from __future__ import annotations

import importlib.util

from paths import ROOT

import sealscore


def test_the_reference_is_that_of_the_docstrings():
    spec = importlib.util.spec_from_file_location("python_page", ROOT / "docs" / "python_page.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    text = made.PAGE.read_text(encoding="utf-8")
    assert made.page(text) == text, "write it again: python docs/python_page.py"
    for name in sealscore.__all__:
        assert name in made.reference()
