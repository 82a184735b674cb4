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
    from sealscore.shared.text.terminal import run_app

    if sys.argv[1:2] == ["serve"]:
        # A scorer starts within a second or two, without torch and Flower, which other commands import.
        from sealscore.clients.commands.serving.serve import app as chosen
    else:
        from sealscore.clients.commands.together import app as chosen
    run_app(chosen, lambda: EXPECTED, "interrupted; nothing is left half done")


def __getattr__(name: str) -> Any:
    """`app`, the whole of the command line."""
    if name == "app":
        from sealscore.clients.commands.together import app

        return app
    raise AttributeError(name)


if __name__ == "__main__":
    main()
