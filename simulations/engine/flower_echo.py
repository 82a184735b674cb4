"""The server app of benchmarks: times rounds of nodes that only echo."""

from __future__ import annotations

import json
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from sealscore.server.app import FlowerExchange
from sealscore.shared.bundle import courier_app
from sealscore.simulations.engine.echo import time_rounds

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Time the rounds that the JSON object in the file `plan` names and leave them in `output`/run.json."""
    plan = json.loads(Path(str(context.run_config["plan"])).read_bytes())
    output = Path(str(context.run_config["output"]))
    output.mkdir(parents=True)
    record = time_rounds(FlowerExchange(grid), plan["parties"], plan["rounds"], plan["bytes"])
    (output / "run.json").write_text(json.dumps(record), encoding="utf-8")


def echo_app() -> dict[str, bytes]:
    """The files of the Flower app with this server app and the project's couriers."""
    return courier_app(f"{__name__}:app")
