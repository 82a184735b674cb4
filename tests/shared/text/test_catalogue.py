"""The one catalogue of Chinese texts: complete, without entries that nothing uses, and compiled from its source."""

from __future__ import annotations

import gettext
import io
import re
import threading
from pathlib import Path

import pytest
from texts import used

from sealscore.shared.text.catalogue import DOMAIN, FOLDER, language, speaking, tr, translations, trn

PLACE = re.compile(r"\{(\w+)\}")
CJK = re.compile(r"[\u4e00-\u9fff]")
PO = FOLDER / "zh" / "LC_MESSAGES" / f"{DOMAIN}.po"


@pytest.fixture(scope="module")
def texts() -> set[tuple[str, ...]]:
    return set(used())


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """Translations by the text, or by its singular."""
    catalog = translations("zh")._catalog  # type: ignore[attr-defined]
    return {key[0] if isinstance(key, tuple) else key: value for key, value in catalog.items() if key}


def test_every_text_has_chinese_and_every_entry_is_used(texts: set[tuple[str, ...]], known: dict[str, str]):
    assert len(texts) > 300
    assert {text[0] for text in texts} == set(known)
    assert [key for key, value in known.items() if not CJK.search(value)] == []


def test_the_places_of_values_are_the_same(texts: set[tuple[str, ...]], known: dict[str, str]):
    for text in texts:
        places = set(PLACE.findall(text[-1]))
        given = set(PLACE.findall(known[text[0]]))
        assert given <= places | {"count"}, text
        assert places <= given, text


def test_chinese_has_chinese_stops(known: dict[str, str]):
    """A comma, a full stop or brackets between characters of Chinese are those of Chinese."""
    wrong = re.compile(r"[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]|[\u4e00-\u9fff]\.")
    assert [value for value in known.values() if wrong.search(value)] == []


def test_it_is_compiled_from_its_source(known: dict[str, str]):
    pofile = pytest.importorskip("babel.messages.pofile", reason="Babel, of the extra dev, is not installed")
    mofile = pytest.importorskip("babel.messages.mofile")
    made = io.BytesIO()
    mofile.write_mo(made, pofile.read_po(PO.open("rb")))
    made.seek(0)
    fresh = gettext.GNUTranslations(made)._catalog  # type: ignore[attr-defined]
    compiled = translations("zh")._catalog  # type: ignore[attr-defined]
    assert {key: value for key, value in fresh.items() if key} == {k: v for k, v in compiled.items() if k}


def test_what_is_spoken_holds_within_its_block_and_thread():
    with speaking("zh"):
        assert CJK.search(tr("Glossary"))
        assert CJK.search(trn("{count} bit", "{count} bits", 2))
        heard: list[str] = []
        other = threading.Thread(target=lambda: heard.append(tr("Glossary")))
        other.start()
        other.join()
        assert heard == ["Glossary"]
    assert (language(), tr("Glossary"), trn("{count} bit", "{count} bits", 1)) == ("en", "Glossary", "1 bit")
    with pytest.raises(ValueError, match="xx"), speaking("xx"):
        pass


def test_a_text_without_an_entry_stays_in_english(tmp_path: Path):
    with speaking("zh"):
        assert tr("no such text") == "no such text"
