"""The picture of the README is the one that its script draws, with the same rooms in both languages."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ET

from paths import ROOT

SCRIPT = runpy.run_path(str(ROOT / "docs" / "architecture_picture.py"))


def test_the_files_are_what_the_script_draws():
    for language, name in (("en", "architecture.svg"), ("zh", "architecture.zh.svg")):
        picture = (ROOT / "docs" / "figures" / name).read_text(encoding="utf-8")
        assert picture == SCRIPT["drawn"](language)
        assert not {element.tag.rpartition("}")[2] for element in ET.fromstring(picture).iter()} & {"script", "image"}


def test_both_languages_say_as_much():
    english, chinese = SCRIPT["WORDS"]["en"], SCRIPT["WORDS"]["zh"]
    assert english.keys() == chinese.keys()
    assert {key: len(words) for key, words in english.items() if isinstance(words, tuple)} == {
        key: len(words) for key, words in chinese.items() if isinstance(words, tuple)
    }
