"""`python -m sealscore.server.deploy.executor`: Flower's executor, which starts the server app of a run.

Flower 1.41 writes the token of the run's task on the command line of `flwr-serverapp`, which every user of the machine
can read; with it one speaks to the control port in the server app's name. Here the token goes in a file that has no
name and that only the new process has open. What is used of Flower is `flower-superexec` as it is, but for the
`subprocess` of the module that starts a task.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

import flwr.supercore.superexec.executor.subprocess_executor as subprocess_executor
from flwr.supercore.cli import flower_superexec

_TOKEN, _TOKEN_FILE = "--token", "--token-file"


class TokenByFile:
    """In place of `subprocess` where Flower starts a task: the token goes by a file that the process inherits."""

    DEVNULL = subprocess.DEVNULL

    @staticmethod
    def Popen(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: N802
        """Start the command; ValueError where it has not one token to be taken off, so that nothing is shown."""
        if command.count(_TOKEN) != 1:
            raise ValueError(f"the command of a task must have {_TOKEN} once; this needs the Flower of pyproject.toml")
        place = command.index(_TOKEN)
        with tempfile.TemporaryFile() as file:
            file.write(command[place + 1].encode("ascii"))
            file.seek(0)
            kept = file.fileno()
            named = [*command[:place], _TOKEN_FILE, f"/dev/fd/{kept}", *command[place + 2 :]]
            return subprocess.Popen(named, pass_fds=(kept,), **options)


def hide_tokens() -> None:
    """Have Flower start tasks through `TokenByFile`."""
    module: Any = subprocess_executor
    module.subprocess = TokenByFile


if __name__ == "__main__":
    hide_tokens()
    flower_superexec()
