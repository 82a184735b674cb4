"""Flower's own executor with the server's way of starting a task: the command line shows no token."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from flwr.supercore.constant import TaskType
from flwr.supercore.superexec.executor import SubprocessExecutor, subprocess_executor
from flwr.supercore.superexec.executor.types import ExecutionSpec

from sealscore.server.deploy.executor import TokenByFile, hide_tokens

TOKEN = "ab" * 128
# A task's program that writes down its words and what Flower's own function takes for its token.
PROGRAM = """#!{python}
import argparse, json, pathlib, sys
from flwr.common.args import add_args_flwr_app_common, try_obtain_flwr_app_token
parser = argparse.ArgumentParser()
parser.add_argument("--runtime-api-address")
add_args_flwr_app_common(parser)
token = try_obtain_flwr_app_token(parser.parse_args())
seen = pathlib.Path(__file__).with_name("seen")
seen.with_suffix(".new").write_text("\\n".join([token, *sys.argv]))
seen.with_suffix(".new").rename(seen)
"""


@pytest.mark.parametrize("quiet", [False, True])
def test_a_task_gets_its_token_and_its_command_line_does_not_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool
):
    program = tmp_path / "flwr-serverapp"
    program.write_text(PROGRAM.format(python=sys.executable), "utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(subprocess_executor, "subprocess", subprocess_executor.subprocess)
    hide_tokens()
    spec = ExecutionSpec(
        task_type=TaskType.SERVER_APP,
        runtime_api_address="127.0.0.1:1",
        token=TOKEN,
        insecure=False,
        root_certificates_path="ca.pem",
        parent_pid=1,
        runtime_dependency_install=False,
        suppress_output=quiet,
        task_id=1,
    )
    SubprocessExecutor().launch(spec)
    seen, deadline = tmp_path / "seen", time.monotonic() + 60
    while not seen.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    token, _, *words = seen.read_text("utf-8").splitlines()
    assert token == TOKEN
    assert not [word for word in words if TOKEN in word]
    assert words[:2] == ["--runtime-api-address", "127.0.0.1:1"]
    assert words[-4:] == ["--root-certificates", "ca.pem", "--parent-pid", "1"]


@pytest.mark.parametrize("command", [["flwr-serverapp", f"--token={TOKEN}"], ["a", "--token", "b", "--token", "c"]])
def test_a_command_of_another_form_is_not_started(command: list[str]):
    with pytest.raises(ValueError, match="--token once"):
        TokenByFile.Popen(command)
