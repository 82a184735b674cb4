"""`sealscore-node`: what a partner's operator types."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

# Flower reports its use to its makers unless told not to; it reads this when it is imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

if TYPE_CHECKING:
    import typer

    app: typer.Typer


def main() -> None:
    """Run the command line: exit codes are 1 (failed), 2 (bad input) and 130 (interrupted)."""
    from sealscore.clients.commands.terminal import EXPECTED
    from sealscore.clients.commands.together import COMMANDS, together
    from sealscore.shared.text.terminal import run_app

    # What is typed starts within a second or two, without what other commands import.
    run_app(
        together(*(word for word in sys.argv[1:2] if word in COMMANDS)),
        lambda: EXPECTED,
        "interrupted; nothing is left half done",
    )


def __getattr__(name: str) -> Any:
    """`app`, the whole of the command line."""
    if name == "app":
        from sealscore.clients.commands.together import together

        return together()
    raise AttributeError(name)


if __name__ == "__main__":
    main()
