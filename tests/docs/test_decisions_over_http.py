"""The commands of "Over HTTP" in docs/decisions.md, typed as they stand there, get the answers that stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deciding_home import check_decisions, deciding_home
from paths import ROOT
from policies import page_policy, policy_text
from scorer_home import ScorerProcess, now

from docs.decisions_page import PAGE, SHOWN_DAY, refresh
from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.file import load_policy
from sealscore.clients.serve.decisions.api import DecisionApi

TEXT = PAGE.read_text(encoding="utf-8")
SECTION = TEXT.split("\n## Over HTTP\n")[1].split("\n## ")[0]


def walked(folder: Path) -> list[dict[str, Any]]:
    """What curl prints for each command of the section that has a place for its answer."""
    home = deciding_home(folder / "home", page_policy())
    (application,) = re.findall(r"```json\n(\{\n  \"application_id\": \"A-4711\".*?)```", TEXT, re.DOTALL)
    (invoice,) = re.findall(r"```json\n(\{\n  \"application_id\": \"I-88\".*?)```", SECTION, re.DOTALL)
    for name, text in (("application.json", application), ("invoice.json", invoice)):
        body = json.loads(text.replace(str(SHOWN_DAY), str(now()))) | {"tokens": []}
        # As the page says of it.
        body["inputs"] |= {"identity_verified": False} if name == "application.json" else {}
        (home.dir.folder / name).write_text(json.dumps(body), encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```(?=(.*?)(?:```sh|\Z))", SECTION, re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    scorer = ScorerProcess(home, listen=f"unix:{home.dir.folder}/scorer.sock").ready()
    answers: list[dict[str, Any]] = []
    before = ""
    try:
        for block, after in blocks:
            typed = re.sub(r"^sealscore-node serve.*$", "", block, flags=re.MULTILINE)
            if "ask()" in typed:
                before = typed
                continue
            if answers:
                typed = typed.replace("DECISION-1", str(answers[0]["decision_id"]))
            done = subprocess.run(
                ["bash", "-ec", f"{before}\n{typed}"], capture_output=True, text=True, check=True, timeout=120,
                cwd=home.dir.folder, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            if "<!-- answer -->" in after:
                answers.append(json.loads(done.stdout))
    finally:
        assert scorer.end() == 0
    decided = [one for one in answers if "proposal" in one and "reserved" not in one]
    assert check_decisions(home, decided) == len(decided)
    return answers


@pytest.mark.slow
def test_the_commands_of_the_page_get_its_answers(tmp_path: Path):
    answers = walked(tmp_path)
    (tmp_path / "answers.json").write_text(json.dumps({"today": str(now()), "answers": answers}), encoding="utf-8")
    if target := os.environ.get("SEALSCORE_ANSWERS"):
        Path(target).write_bytes((tmp_path / "answers.json").read_bytes())
    assert refresh(TEXT, answers, now()) == TEXT


def test_every_path_of_decisions_is_on_the_page_with_its_rights():
    routes = DecisionApi(None, None, None).routes()  # type: ignore[arg-type]
    rows = dict(re.findall(r"^\| `(\w+ /v1/[^`?]+)(?:\?[^`]*)?` \| ([^|]+) \|", SECTION, re.MULTILINE))
    assert rows == {f"{one.method} {one.path}": " or ".join(f"`{right}`" for right in one.rights) for one in routes}


def test_what_the_policy_of_the_page_leaves_out_can_be_put_in(tmp_path: Path):
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", policy_text(), flags=re.MULTILINE)
    # As the page says of random approvals.
    text = text.replace('{ name = "basic", start = 500,', '{ name = "basic", start = 460,')
    (tmp_path / "policy.toml").write_text(text, encoding="utf-8")
    policy = load_policy(tmp_path / "policy.toml")
    assert faults(policy) == []
    assert policy.automatic_declines is not None
    assert "many-applications" in {rule.event for rule in policy.products["starter"].rules}
