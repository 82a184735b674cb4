"""`sealscore-node serve`: a lender's scorer as a service. It imports no torch and no Flower, so it starts at once."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import Annotated

import typer

from sealscore.clients.commands.terminal import BAD_INPUT, FAILED, HERE, Folder, fail
from sealscore.clients.http.binding import Binding, BindingError, TlsFiles
from sealscore.clients.serve.process import ScorerError, run_scorer
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.serving_dir import ScorerDir, ServingDir
from sealscore.shared.text.logs import log_to_stderr

SOCKET = "scorer.sock"


def serve(
    listen: Annotated[
        str | None, typer.Option(help="unix:PATH, 127.0.0.1:PORT or, with certificates, ADDRESS:PORT.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="The service's certificate, in PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="The key of the certificate, in PEM.")] = None,
    callers_ca: Annotated[Path | None, typer.Option(help="The authority of callers' certificates, in PEM.")] = None,
    most_a_second: Annotated[
        float | None,
        typer.Option(min=0.01, help="Applications a second that each caller may send; any where not given."),
    ] = None,
    logs: Annotated[str, typer.Option("--log", help="text, or json: one object a line.")] = "text",
    folder: Folder = HERE,
) -> None:
    """Serve scores over HTTP until SIGTERM or Ctrl-C; by default on a Unix socket in the scorer's folder."""
    if logs not in ("text", "json"):
        raise typer.BadParameter(f"{logs!r}: logs are text or json", param_hint="--log")
    scorer = scorer_dir_at(folder)
    log_to_stderr("sealscore", "json" if logs == "json" else "text")
    # What is loaded by now stays: the collector need not look at it with each request.
    gc.freeze()
    try:
        tls = TlsFiles.given(certificate, key, callers_ca)
        binding = Binding.parse(listen or f"unix:{scorer.folder / SOCKET}", tls)
        run_scorer(scorer, binding, _listening, most_a_second=most_a_second)
    except BindingError as error:
        fail(str(error), BAD_INPUT)
    except ScorerError as error:
        fail(str(error), FAILED)


def scorer_dir_at(folder: Path) -> ScorerDir:
    """What a scorer opens: of a lender's node, or a folder that a node has handed over."""
    found = folder.resolve()
    if (found / "node.toml").exists():
        node_dir = NodeDir(found)
        if node_dir.config().node.role != "lender":
            fail("this is a platform's node; lenders score", BAD_INPUT)
        return ServingDir(node_dir)
    if not ScorerDir(found).scorer_file.exists():
        fix = "name a lender's node, or the folder of its node.toml's [serving] after release use"
        fail(f"{found}: there is nothing to score with; {fix}", BAD_INPUT)
    return ScorerDir(found)


def _listening(place: str) -> None:
    logging.getLogger("sealscore.scorer").info("listening at %s", place)
