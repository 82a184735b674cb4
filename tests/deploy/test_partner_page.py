"""The ten commands of docs/partner.md, run as they stand there, connect a node to a server on the loopback interface.

What the test adds: a server that is set up by the commands of docs/server.md, a second lender's node, values for the
placeholders that the page names, the editor, and the word on the installed packages of this environment, so that pip
has nothing large to fetch.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import polars as pl
import pytest
import tomli_w
from builders import small_plan, small_records
from deployment import ROOT, free_ports, until

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "partner.md").read_text(encoding="utf-8")
FINGERPRINT = re.compile(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){7}")
NODE, PEER = "lender-1", "lender-2"
# In place of the operator's editor: it writes into node.toml what the page says has to be written there.
EDITOR = """#!{python}
import pathlib, re, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text()
for key, value in {values!r}.items():
    text, count = re.subn(rf"^{{key}} = \\S+", f"{{key}} = {{value}}", text, flags=re.MULTILINE)
    assert count == 1, key
path.write_text(text)
"""


def commands() -> list[str]:
    """The commands of the first shell block, which are numbered at their ends."""
    (block,) = re.findall(r"## Ten commands.*?```sh\n(.*?)```", PAGE, re.DOTALL)
    found = re.findall(r"^(.+?) +# (\d+)$", block, re.MULTILINE)
    assert [int(number) for _, number in found] == list(range(1, len(found) + 1))
    assert len(block.splitlines()) == len(found)
    return [command for command, _ in found]


def placeholders() -> set[str]:
    """The words in capitals that the table below the block explains."""
    return set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))


class Place:
    """A folder in which commands are typed: the partner's, with the server's and the peer's beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partner, self.server, self.peer = folder / "partner", folder / "server", folder / "peer"
        self.source = folder / "source"
        self.fingerprints: dict[str, str] = {}
        self.partner.mkdir()
        self.source.mkdir()
        for name in ("server", "clients", "shared", "simulations"):
            shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.source / name)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SEALSCORE_", "PYTHON"))},
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        # The page's python3 is the Python that runs the tests: its packages are lent below.
        python = folder / "bin" / "python3"
        python.parent.mkdir()
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o700)

    def type(self, command: str, answer: str = "", **more: str) -> str:
        """Run one command in the partner's folder with a shell; what it said."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.partner,
            env=self.environment | more,
            input=answer,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def ours(self, module: str, home: Path, *words: str) -> str:
        """A command of the server's operator or of the peer's, by this environment's own installation."""
        done = subprocess.run(
            [sys.executable, "-m", module, *words, "--home", str(home)],
            env=self.environment | {"PYTHONPATH": str(self.source)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{module} {words}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def serving(place: Place, ports: tuple[int, int]) -> Iterator[None]:
    """A server that runs, as docs/server.md has it."""
    said = place.ours("server.cli", place.server, "init", "--host", "localhost")
    config = place.server / "server.toml"
    text = config.read_text().replace("9480", str(ports[0])).replace("9481", str(ports[1]))
    config.write_text(text)
    log = place.folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli", "start", "--home", str(place.server)],
            env=place.environment | {"PYTHONPATH": str(place.source)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        ready = until(lambda: "partners connect" in log.read_text() or process.poll() is not None)
        assert ready, log.read_text()
        assert process.poll() is None, log.read_text()
        place.fingerprints["server"] = FINGERPRINT.findall(said)[0]
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def table(path: Path) -> None:
    """A lender's table that fits the small plan."""
    schema, records = small_plan().groups["lender"].table, small_records(seed=1)
    columns: dict[str, list[object]] = {schema.id: list(records.ids), schema.label: [str(x) for x in records.label]}
    for feature in schema.features:
        cells = records.columns[feature.name].tolist()
        if feature.kind == "categorical":
            columns[feature.name] = [None if cell != cell else feature.levels[int(cell)] for cell in cells]
        else:
            columns[feature.name] = [None if cell != cell else cell for cell in cells]
    pl.DataFrame(columns).write_parquet(path)


def plan_for_both(place: Place) -> None:
    """The server's operator makes and signs a plan, and gives its file to the partner."""
    data = small_plan().model_dump(mode="json", exclude_none=True)
    data["privacy"]["epsilon"] = 2.0
    like = place.folder / "like.toml"
    like.write_text(tomli_w.dumps(data))
    counts = [word for name in (NODE, PEER) for word in ("--records", f"{name}=400")]
    place.ours("server.cli", place.server, "plan", "new", "demo", "--like", str(like), *counts)
    place.ours("server.cli", place.server, "plan", "sign", "demo")
    (place.partner / "plan.json").write_bytes((place.server / "plans" / "demo.json").read_bytes())


def end(pids: Iterator[int]) -> None:
    """End the node by its process id, and wait until it is gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not until(lambda pid=pid: not running(pid), 40):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def running(pid: int) -> bool:
    """Whether a process of that id runs (one that has ended and waits to be collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def node_pids(place: Place) -> Iterator[int]:
    """The id of the node that was started in the partner's folder: the last shell's word, or the node's own."""
    with suppress(OSError, ValueError):
        yield int((place.partner / "node.pid").read_text())
    with suppress(OSError, ValueError, KeyError):
        yield int(json.loads((place.partner / "node" / "status.json").read_text())["pid"])


def test_the_page_has_ten_commands_and_explains_their_placeholders():
    found = commands()
    assert len(found) == 10
    words = {word for command in found for word in re.findall(r"(?<![$\w.-])[A-Z][A-Z_]+\b", command)}
    assert words == placeholders()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the page is for Linux")
def test_ten_commands_lead_from_nothing_to_a_connected_node():
    control, partner, supernode = free_ports(3)
    # the path of a socket is short, that of pytest's folders is not
    with tempfile.TemporaryDirectory(prefix="seal-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        place = Place(Path(name))
        stack.enter_context(serving(place, (control, partner)))
        said = place.ours("clients.cli", place.peer, "init", "--name", PEER, "--role", "lender")
        place.fingerprints[PEER] = FINGERPRINT.findall(said)[0]
        tables = place.folder / "loans.parquet"
        table(tables)
        for file, source in (
            ("ca.pem", place.server / "certificates" / "ca.pem"),
            ("server-card.txt", place.server / "card.txt"),
            ("peer-card.txt", place.peer / "card.txt"),
        ):
            (place.partner / file).write_bytes(source.read_bytes())
        editor = place.folder / "editor"
        editor.write_text(
            EDITOR.format(python=sys.executable, values={"file": json.dumps(str(tables)), "port": str(supernode)})
        )
        editor.chmod(0o700)
        values = {
            "SOURCE": str(place.source),
            "NAME": NODE,
            "ROLE": "lender",
            "HOST": "localhost",
            "PORT": str(partner),
            "SERVER_FINGERPRINT": place.fingerprints["server"],
            "PEER_FINGERPRINT": place.fingerprints[PEER],
        }
        assert values.keys() == placeholders()
        stack.callback(lambda: end(node_pids(place)))
        told = [step(place, filled(command, values), str(editor)) for command in commands()]
        assert any("approved: demo" in text for text in told)
        assert re.search(r"state +running", told[-1]), told[-1]
        assert re.search(r"connected +yes", told[-1]), told[-1]
        assert re.search(r"plan demo +live", told[-1]), told[-1]
        listed = place.ours("server.cli", place.server, "nodes")
        assert re.search(rf"{NODE} +│ yes", listed), listed


def filled(command: str, values: Mapping[str, str]) -> str:
    """A command with the placeholders' values in their places."""
    return re.sub(r"(?<![$\w.-])[A-Z][A-Z_]+\b", lambda found: values[found[0]], command)


def step(place: Place, command: str, editor: str) -> str:
    """Type one command, and do what the page says happens elsewhere between it and the next."""
    said = place.type(command, answer="y\n", EDITOR=editor)
    after: dict[str, Callable[[], None]] = {
        "-m venv": lambda: lend_packages(place.partner / "venv"),
        "sealscore-node init": lambda: exchange(place, said),
    }
    for part, action in after.items():
        if part in command:
            action()
    return said


def lend_packages(venv: Path) -> None:
    """Let the new environment see this one's packages: pip finds all but Sealscore itself installed."""
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")


def exchange(place: Place, said: str) -> None:
    """The server's operator enrols both cards by the fingerprints that were read to it, and makes a plan."""
    place.fingerprints[NODE] = FINGERPRINT.findall(said)[0]
    for name, home in ((NODE, place.partner / "node"), (PEER, place.peer)):
        card = str(home / "card.txt")
        place.ours("server.cli", place.server, "enrol", card, "--fingerprint", place.fingerprints[name])
    plan_for_both(place)
