"""The ten commands of docs/partner.md, run as they stand there, connect a node to a server on the loopback interface.

What the test adds: a server that is set up by the commands of docs/server.md, a second lender's node, values for the
placeholders that the page names, the editor, and the word on the installed packages of this environment, so that pip
has nothing large to fetch.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import polars as pl
import pytest
from builders import small_plan, small_records
from deployment import free_ports
from operators import FINGERPRINT, NODE, SERVER, Operator, end, environment, make_plan, make_server, start_server, typed
from paths import ROOT
from wheels import SOURCE_TREE, copy_tree

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "partner.md").read_text(encoding="utf-8")
MINE, PEER = "lender-1", "lender-2"
# In place of the operator's editor: it writes into node.toml what the page says has to be written there.
EDITOR = """#!{python}
import pathlib, re, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text()
for key, value in {values!r}.items():
    text, count = re.subn(rf"^(?:# )?{{key}} = \\S+", f"{{key}} = {{value}}", text, count=1, flags=re.MULTILINE)
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
        self.fingerprints: dict[str, str] = {}
        self.partner.mkdir()
        self.source = copy_tree(SOURCE_TREE, folder / "source")
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.environment = environment(PATH=path)
        self.operator = Operator(SERVER, self.server, self.source, PATH=path)
        self.other = Operator(NODE, self.peer, self.source, PATH=path)
        # The page's python3 is the Python that runs the tests: its packages are lent below.
        python = folder / "bin" / "python3"
        python.parent.mkdir()
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o700)

    def type(self, command: str, answer: str = "", **more: str) -> str:
        """Run one command in the partner's folder with a shell; what it said."""
        return typed(["bash", "-c", command], self.environment | more, timeout=300, input=answer, cwd=self.partner)


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
    columns["consent"] = ["federation"] * len(records)
    pl.DataFrame(columns).write_parquet(path)


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
        stack.callback(place.operator.end)
        place.fingerprints["server"] = make_server(place.operator, control, partner)
        start_server(place.operator)
        said = place.other.type("init", "--name", PEER, "--role", "lender")
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
            EDITOR.format(
                python=sys.executable,
                values={
                    "file": json.dumps(str(tables)),
                    "identifier": '"id"',
                    "form": '"exact"',
                    "row_local": "true",
                    "port": str(supernode),
                },
            )
        )
        editor.chmod(0o700)
        values = {
            "SOURCE": str(place.source),
            "NAME": MINE,
            "ROLE": "lender",
            "HOST": "localhost",
            "PORT": str(partner),
            "SERVER_FINGERPRINT": place.fingerprints["server"],
            "PEER_FINGERPRINT": place.fingerprints[PEER],
        }
        assert values.keys() == placeholders()
        stack.callback(lambda: [end(pid) for pid in node_pids(place)])
        told = [step(place, filled(command, values), str(editor)) for command in commands()]
        assert any("approved: demo" in text for text in told)
        assert re.search(r"state +running", told[-1]), told[-1]
        assert re.search(r"connected +yes", told[-1]), told[-1]
        assert re.search(r"plan demo +live", told[-1]), told[-1]
        for path in (place.partner / "node", *(place.partner / "node").rglob("*"), *place.server.rglob("*")):
            public = path.name in ("ca.pem", "server.pem")
            assert public or path.is_socket() or not path.lstat().st_mode & 0o077, path
        listed = place.operator.type("nodes")
        assert re.search(rf"{MINE} +│ yes", listed), listed


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
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join(lent) + "\n")


def exchange(place: Place, said: str) -> None:
    """The server's operator enrols both cards by the fingerprints that were read to it, and makes a plan."""
    place.fingerprints[MINE] = FINGERPRINT.findall(said)[0]
    for name, home in ((MINE, place.partner / "node"), (PEER, place.peer)):
        card = str(home / "card.txt")
        place.operator.type("enrol", card, "--fingerprint", place.fingerprints[name])
    (place.partner / "plan.json").write_bytes(make_plan(place.operator, "demo", (MINE, PEER)).read_bytes())
