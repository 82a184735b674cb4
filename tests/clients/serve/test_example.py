"""The example of the page works as it stands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from paths import ROOT
from scorer_home import ScorerProcess, application, new_home

EXAMPLE = ROOT / "docs" / "examples" / "score_client.py"


def test_it_prints_an_answer_or_a_problem(tmp_path: Path):
    home, socket = new_home(tmp_path / "home"), tmp_path / "scorer.sock"
    token, body = tmp_path / "loans.token", tmp_path / "application.json"
    token.write_text(home.caller()["authorization"].removeprefix("Bearer ") + "\n")
    scorer = ScorerProcess(home, listen=f"unix:{socket}").ready()

    def run() -> tuple[int, dict[str, object]]:
        command = [sys.executable, str(EXAMPLE), str(socket), str(token), str(body)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, json.loads(done.stdout)

    body.write_text(json.dumps(application()))
    code, answer = run()
    assert (code, answer["version"]) == (0, 1)
    body.write_text("{}")
    code, answer = run()
    assert (code, answer["code"]) == (1, "malformed")
    assert scorer.end() == 0
