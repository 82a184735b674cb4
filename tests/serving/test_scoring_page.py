"""The nine commands of docs/scoring.md, typed as they stand there, lead from a finished run to a score that replays."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from partners import Partners
from paths import ROOT

PAGE = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.slow


def commands() -> list[tuple[str, list[str]]]:
    """Who types what, in the order of the numbers at the ends of the lines."""
    (block,) = re.findall(r"## Nine commands.*?```sh\n(.*?)```", PAGE, re.DOTALL)
    found = re.findall(r"^(.+?) +# (\d+) (\S+)$", block, re.MULTILINE)
    assert [int(number) for _, number, _ in found] == list(range(1, 10))
    assert len(block.splitlines()) == len(found)
    return [(who, shlex.split(line)) for line, _, who in found]


def test_the_nine_commands(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    person, row = partners.shared_person("wallet")
    partners.file("consent.txt").write_text("I agree.", encoding="utf-8")
    for who, (program, *arguments) in commands():
        monkeypatch.chdir(partners.town.folder / who)
        typed = [person if word == "PERSON" else word for word in arguments]
        if who == "wallet" and "approve" in typed:
            typed.append("--unranked")  # of so few persons
        if typed[0] == "score":
            token = partners.file("token.txt").read_text("ascii").strip()
            partners.file("application.json").write_text(
                json.dumps(partners.town.application(person, row, tokens=[token])), encoding="utf-8"
            )
        said = partners.server(*typed) if program == "sealscore-server" else partners.node(who, *typed)
        assert said.code == 0, (typed, said.text)
        if typed[0] == "score":
            answer = json.loads(said.out)
            assert answer["signals"][0]["status"] == "used"
            keys = set(re.findall(r"^\| (`[a-z_`, ]+`) \|", PAGE.split("## The answer")[1], re.MULTILINE))
            explained = {key for cell in keys for key in re.findall(r"`([a-z_]+)`", cell)}
            assert set(answer) - {"application_id"} <= explained
    assert "1 the same, 0 differ" in said.text


def test_the_ceilings_of_the_page_are_those_of_a_node_that_says_nothing():
    import tomllib

    from sealscore.clients.setup.config import TELL_LIMITS, ServingSection

    (block,) = re.findall(r"```toml\n(\[serving\].*?)```", PAGE, re.DOTALL)
    written = ServingSection.model_validate(tomllib.loads(block)["serving"])
    assert written.limits == ServingSection().all_limits == TELL_LIMITS
