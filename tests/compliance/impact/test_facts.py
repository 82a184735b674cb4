"""`--pia`: what is stated is shown, what is not says so, and what nobody knows is refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ledger_files import PARTY, append_raw, approval, enrolled_plan, new_ledger
from pages import Reader, sound
from paths import ROOT
from texts import used

from sealscore.compliance import cli
from sealscore.compliance.figures.review import LedgerReview
from sealscore.compliance.impact.facts import RETAINED, ImpactFacts, load_facts
from sealscore.compliance.ledger_report.report import write_review
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.text.catalogue import tr

PARTIES = {PARTY, "lender-2"}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("impact") / "ledger.db"
    new_ledger(path).close()
    append_raw(path, approval(enrolled_plan("cheap", training__sample_rate=1.0)))
    return path


def assessed(ledger: Path, folder: Path, facts: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code of `report --pia` and, where a page was written, it."""
    (folder / "FACTS.toml").write_text(facts, encoding="utf-8")
    words = ["report", ledger, "-o", folder / "r.html", "--pia", folder / "FACTS.toml"]
    monkeypatch.setattr(sys, "argv", ["sealscore-compliance", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    page = folder / "r.html"
    return int(ended.value.code or 0), page.read_text(encoding="utf-8") if page.exists() else ""


def test_what_is_stated_is_shown_and_the_rest_is_not_stated(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    facts = f"""
    [assessment]
    date = 2031-02-03
    author = "the <b>desk</b>"
    [retention]
    scores = "five years"
    [roles]
    {PARTY} = "handler"
    server = "entrusted"
    [location.parties]
    {PARTY} = "Hangzhou"
    """
    code, document = assessed(ledger, tmp_path, facts, monkeypatch)
    assert code == 0
    sound(document)
    section = Reader(document).section("impact")
    for stated in ("2031-02-03", "the <b>desk</b>", "five years", "handler", "entrusted", "Hangzhou"):
        assert stated in section
    blank = section.count(tr("not stated"))
    _, document = assessed(ledger, tmp_path, "", monkeypatch)
    assert Reader(document).section("impact").count(tr("not stated")) == blank + 6
    assert "sign" in Reader(document).classes("div")


def test_in_chinese_every_text_is(ledger: Path, tmp_path: Path):
    """What is left in Latin letters are names, figures and what ledgers, plans and files say."""
    review = LedgerReview.of([ledger], None, [], False)
    page = Reader(write_review(review, tmp_path / "zh.html", ImpactFacts(), "zh").read_text(encoding="utf-8"))
    assert [attributes["lang"] for tag, attributes in page.tags if tag == "html"] == ["zh-CN"]
    assert {"glance", "impact", "told", "beyond", "unusual", "verification", "glossary"} <= set(page.parts)
    english = {text[0] for text in used() if len(text[0].split()) > 3 and "{" not in text[0]}
    assert [text for text in english if text in page.text] == []


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ("[retention]\nphotos = 'a week'", "retention.photos"),
        ("[roles]\nstranger = 'handler'", "roles.stranger"),
        ("[location.parties]\nserver = 'here'", "location.parties.server"),
        ("[basis]\ntraning = 'consent'", "traning"),
        ("[basis", "not valid TOML"),
    ],
)
def test_what_is_not_known_is_refused_with_the_place(tmp_path: Path, facts: str, named: str):
    (tmp_path / "FACTS.toml").write_text(facts, encoding="utf-8")
    with pytest.raises(PlanError, match=re.escape(named)):
        load_facts(tmp_path / "FACTS.toml", PARTIES)


def test_a_refused_file_is_bad_input_and_no_page(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert assessed(ledger, tmp_path, "[retention]\nphotos = ''", monkeypatch) == (2, "")


def test_the_page_has_the_whole_form(tmp_path: Path):
    page = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
    (form,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "FACTS.toml").write_text(form, encoding="utf-8")
    given = load_facts(tmp_path / "FACTS.toml", PARTIES)
    assert set(given.model_fields_set) == set(ImpactFacts.model_fields)
    for name in ("assessment", "basis", "contact", "location", "consent", "decisions", "complaint"):
        part = getattr(given, name)
        assert set(part.model_fields_set) == set(type(part).model_fields)
    assert all(kind in form for kind in RETAINED)
