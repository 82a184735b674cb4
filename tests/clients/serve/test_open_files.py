"""What a scorer opens: releases, keys and log, and nothing of a ledger, an identity, a label secret or a table."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from homes import Said, commands
from paths import ROOT
from scorer_home import LENDER, ScorerHome, ScorerProcess, application, now, release_folder
from small_release import Pair, small_release

from sealscore.clients.commands.init import _text
from sealscore.clients.commands.serving.release import hand_over
from sealscore.clients.setup.node_dir import NodeDir, NodeDirError
from sealscore.clients.setup.serving_dir import ScorerDir, ServingDir
from sealscore.shared.ledger.entries import EndRelease
from sealscore.shared.serving.serving_keys import month_of

# Notes each file that Python or SQLite is asked to open, before anything of ours is imported.
DRIVER = """
import os, sys
noted = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def hook(event, given):
    if event in ("open", "sqlite3.connect") and isinstance(given[0], (str, bytes, os.PathLike)):
        os.write(noted, os.fsencode(given[0]) + b"\\n")
    if event in ("socket.connect", "socket.getaddrinfo"):
        os.write(noted, b"CALLED\\n")

sys.addaudithook(hook)
sys.argv = ["sealscore-node", *sys.argv[2:]]
from sealscore.clients.cli import main
main()
"""
# Becomes another user once all is imported: where the interpreter lies, that user may not look.
AS_ANOTHER = """
import os, sys
import uvicorn.lifespan.on, uvicorn.loops.auto, uvicorn.loops.uvloop
import sealscore.clients.commands.serving.serve
from sealscore.clients.cli import main
from sealscore.clients.features.dictionary.digest import dictionary_digest
dictionary_digest()
user, group, *more = map(int, sys.argv[1].split(","))
os.setgroups(more)
os.setgid(group)
os.setuid(user)
sys.argv = ["sealscore-node", *sys.argv[2:]]
main()
"""
STRANGER = 65534
# As the unit has it: of the folder's group beside that of the callers.
FOLDER, CALLERS = 20_001, 20_002
# A caller on the same machine: what it can open, and what the scorer answers it.
CALLER = f"""
import os, socket, sys
os.setgroups([])
os.setgid({CALLERS})
os.setuid(20_003)
for path in sys.argv[2:]:
    try:
        open(path).close()
        print("open", path)
    except PermissionError:
        pass
with socket.socket(socket.AF_UNIX) as one:
    one.connect(sys.argv[1])
    one.sendall(b"GET /readyz HTTP/1.1\\r\\nhost: scorer\\r\\n\\r\\n")
    print(one.recv(100).decode().split()[1])
"""
SECRETS = (
    "keys/identity",
    "keys/label-secret",
    "keys/supernode",
    "ledger.db",
    "register.db",
    "table.csv",
    "trust.json",
)
MAY = ("node.toml", "scorer.json", "callers.json", "scorer.lock", "keys/score-log", "releases/")


@pytest.fixture
def node(tmp_path: Path) -> NodeDir:
    """A lender's node with all that it has, a ledger and a table among it."""
    made = NodeDir(tmp_path / "node")
    identity = made.create(LENDER, "lender")
    made.config_file.write_text(_text(LENDER, "lender", "127.0.0.1:19"), encoding="utf-8")
    made.ledger(identity, made.config()).close()
    made.disclosure_store().close()
    made.trust()
    (made.folder / "table.csv").write_text("id,default\n1,0\n")
    return made


def noted_of(node: NodeDir, noted: Path) -> set[str]:
    lines = noted.read_text("utf-8", "replace").splitlines()
    inside = (Path(os.path.abspath(line)) for line in lines if line)
    return {str(path.relative_to(node.folder)) for path in inside if path.is_relative_to(node.folder)}


def allowed(name: str) -> bool:
    """Also the drafts of what it makes itself, and folders, whose entries it lists."""
    drafts = ("keys/.score-log.", ".scores.db.", ".scores.head.")
    return name in (".", "keys", "releases") or name.startswith(
        (*MAY, *drafts, "keys/serving-", "scores.db", "scores.head")
    )


@pytest.fixture
def served(node: NodeDir, tmp_path: Path) -> Iterator[tuple[ScorerProcess, Path]]:
    home, noted = ScorerHome(node.folder), tmp_path / "opened"
    home.use(home.approve(release_folder()))
    made = ScorerProcess(home, program=("-c", DRIVER, str(noted))).ready()
    yield made, noted
    assert made.end() == 0


def test_it_opens_what_it_scores_with_and_nothing_else_of_the_node(served: tuple[ScorerProcess, Path], node: NodeDir):
    scorer, noted = served
    with scorer.client(headers=scorer.home.caller()) as client:
        score = client.post("/v1/scores", json=application()).json()["score_id"]
        assert client.post(f"/v1/replay/{score}").json()["result"] == "same"
        assert client.get("/readyz").status_code == client.get("/openapi.json").status_code == 200
    opened = noted_of(node, noted)
    # The hook sees what is opened: these must be there.
    assert {"keys/score-log", "scores.db", "scorer.json"} <= opened
    assert any(name.startswith("keys/serving-") for name in opened)
    assert {name for name in opened if not allowed(name)} == set()
    assert not opened & set(SECRETS)
    process = psutil.Process(scorer.process.pid)
    held = {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in os.listdir(f"/proc/{process.pid}/fd")}
    inside = {str(Path(name).relative_to(node.folder)) for name in held if name.startswith(f"{node.folder}/")}
    assert "scores.db" in inside
    assert {name for name in inside if not allowed(name)} == set()
    # Server and platforms may be away, since nobody is called: its connections are callers' own.
    assert "CALLED" not in noted.read_text("utf-8", "replace").split()
    assert {one.laddr.port for one in process.net_connections("inet")} == {scorer.port}
    # Nor are their libraries loaded, whose import takes seconds.
    libraries = Path(f"/proc/{process.pid}/maps").read_text()
    assert "scipy" in libraries
    assert not [name for name in ("libtorch", "grpc/_cython", "xgboost") if name in libraries]


def test_the_hook_would_see_a_secret(node: NodeDir, tmp_path: Path):
    """A command that needs the identity and the ledger opens both."""
    noted = tmp_path / "opened"
    command = [sys.executable, "-c", DRIVER, str(noted), "release", "list", "--home", str(node.folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=ROOT)
    assert {"keys/identity", "ledger.db"} <= noted_of(node, noted)
    calling = DRIVER.replace(
        "from sealscore.clients.cli",
        "import socket\nsocket.socket().connect_ex(('127.0.0.1', 9))\nfrom sealscore.clients.cli",
    )
    command[2] = calling
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=ROOT)
    assert "CALLED" in noted.read_text("utf-8", "replace").split()


class TestFolderOfTheScorer:
    """`[serving] folder`: what the node hands over is for a group, and all that another user gets."""

    @pytest.fixture
    def shared(self, tmp_path: Path) -> Path:
        folder = tmp_path / "scorer"
        folder.mkdir()
        folder.chmod(0o2770)
        return folder

    @pytest.fixture
    def apart(self, node: NodeDir, shared: Path) -> NodeDir:
        text = node.config_file.read_text("utf-8")
        assert "[serving]" not in text
        node.config_file.write_text(f'{text}\n[serving]\nfolder = "{shared}"\n', encoding="utf-8")
        return node

    def test_all_of_it_is_for_the_group_and_has_no_secret(self, apart: NodeDir, shared: Path):
        serving = ServingDir(apart)
        assert serving.folder == shared
        assert serving.shared
        serving.hand_over(LENDER, {"0" * 64: "again"})
        serving.point(serving.pointer.going_live("0" * 64))
        serving.serving_key(apart.identity(), month_of(now()))
        with serving.log().commit() as batch:
            batch.write({"score_id": "x"}, "a", "p", 1, b"d")
        modes = {
            str(path.relative_to(shared)): stat.S_IMODE(path.stat().st_mode)
            for path in shared.rglob("*")
            if not path.name.startswith(".")
        }
        folders = {name for name, mode in modes.items() if (shared / name).is_dir()}
        assert {modes[name] for name in folders} == {0o2770}
        assert {mode for name, mode in modes.items() if name.startswith("scores.")} == {0o660}
        rest = {mode for name, mode in modes.items() if name not in folders and not name.startswith("scores.")}
        assert rest == {0o640}
        assert not {Path(name).name for name in modes} & {Path(name).name for name in SECRETS}
        # The scorer reads it without the node: keys that open, and no identity.
        found = ScorerDir(shared)
        lender, approved = found.handed_over
        assert (lender, approved) == (LENDER, {"0" * 64: "again"})
        (keys,) = found.opening_keys(lender)
        assert keys.month == month_of(now())

    def test_a_scorer_serves_from_it(self, apart: NodeDir, shared: Path):
        home = ScorerHome(shared)
        home.use(home.approve(release_folder()))
        scorer = ScorerProcess(home).ready()
        with scorer.client(headers=home.caller()) as client:
            assert client.post("/v1/scores", json=application()).status_code == 200
        assert scorer.end() == 0
        assert stat.S_IMODE((shared / "scores.db").stat().st_mode) == 0o660
        # The node's own commands find the log there.
        log = ServingDir(apart).log()
        assert len(list(log.lines())) == 1
        log.close()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a process of another user")
    def test_another_user_serves_from_it_and_cannot_read_the_node(self, node: NodeDir):
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            Path(name).chmod(0o711)
            folder = Path(name) / "scorer"
            folder.mkdir()
            os.chown(folder, STRANGER, STRANGER)
            folder.chmod(0o2770)
            home = ScorerHome(folder)
            home.use(home.approve(release_folder()))
            header = home.caller()
            scorer = ScorerProcess(home, program=("-c", AS_ANOTHER, f"{STRANGER},{STRANGER}")).ready()
            with scorer.client(headers=header) as client:
                assert client.post("/v1/scores", json=application()).status_code == 200
                # The node's user writes in the same log, beside it.
                log = home.dir.log()
                with log.commit() as batch:
                    assert batch.erase("p1", "asked for it")
                log.close()
                assert client.post("/v1/scores", json=application()).json()["code"] == "withdrawn"
                assert client.post("/v1/scores", json=application("p2")).status_code == 200
            assert psutil.Process(scorer.process.pid).uids().real == STRANGER
            assert scorer.end() == 0
        lines = f"import os; os.setuid({STRANGER}); open({str(node.folder / 'keys' / 'identity')!r})"
        done = subprocess.run([sys.executable, "-c", lines], capture_output=True, check=False)
        assert b"PermissionError" in done.stderr

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a process of another user")
    def test_a_caller_on_the_host_reaches_the_socket_and_reads_no_file(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            Path(name).chmod(0o711)
            folder, run = Path(name) / "scorer", Path(name) / "run"
            for made, group, mode in ((folder, FOLDER, 0o2770), (run, CALLERS, 0o750)):
                made.mkdir()
                os.chown(made, STRANGER, group)
                made.chmod(mode)
            home = ScorerHome(folder)
            home.use(home.approve(release_folder()))
            home.caller()
            place, listen = run / "scorer.sock", f"unix:{run / 'scorer.sock'}"
            user = f"{STRANGER},{CALLERS},{FOLDER}"
            scorer = ScorerProcess(home, listen=listen, program=("-c", AS_ANOTHER, user)).ready()
            files = [path for path in folder.rglob("*") if path.is_file()]
            assert {"callers.json", "score-log", "scores.db"} <= {path.name for path in files}
            assert {path.stat().st_gid for path in files} == {FOLDER}
            assert (place.stat().st_gid, stat.S_IMODE(place.stat().st_mode)) == (CALLERS, 0o660)
            asked = [sys.executable, "-S", "-E", "-c", CALLER, str(place), *map(str, files)]
            done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
            assert (done.stdout.split(), done.stderr) == (["200"], "")
            assert scorer.end() == 0

    def test_keys_that_others_may_read_are_refused_there_too(self, apart: NodeDir, shared: Path):
        serving = ServingDir(apart)
        serving.log().close()
        (shared / "keys" / "score-log").chmod(0o644)
        with pytest.raises(ValueError, match="0644"):
            serving.log()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    from sealscore.clients.cli import main
    from sealscore.clients.commands.terminal import console, errors

    return commands("sealscore-node", main, [console, errors], monkeypatch, capsys)


def test_the_scorer_hears_of_approvals_from_the_ledger_and_of_their_end(node: NodeDir):
    pair = Pair(small_release())
    release, ledger = pair.release.hash, pair.lender_ledger
    with pytest.raises(NodeDirError):
        _ = ServingDir(node).handed_over
    hand_over(node, ledger)
    assert ServingDir(node).handed_over == (LENDER, {release: None})
    ledger.append(lambda state: EndRelease(release=release, why="a test"))
    hand_over(node, ledger)
    assert ServingDir(node).handed_over == (LENDER, {})
    pair.close()


def test_callers_are_added_listed_and_removed(node: NodeDir, call: Callable[..., Said]):
    home = ["--home", node.folder]
    token = call("caller", "add", "loans", "--right", "score", "--right", "batch", *home).out.strip()
    assert token.startswith("sealscore-caller-1.")
    assert call("caller", "add", "other", "--right", "metrics", "--subject", "CN=other", *home).code == 0
    said = call("caller", "list", *home).out
    assert "loans" in said
    assert "CN=other" in said
    assert token not in said
    assert call("caller", "add", "loans", "--right", "score", *home).code == 2
    assert call("caller", "add", "third", "--right", "all", *home).code == 2
    assert call("caller", "remove", "loans", *home).code == 0
    assert call("caller", "remove", "loans", *home).code == 2
    assert "loans" not in call("caller", "list", *home).out


@pytest.mark.parametrize(
    "options",
    [
        ["--listen", "0.0.0.0:80"],
        ["--listen", "localhost:80"],
        ["--listen", "127.0.0.1:0", "--certificate", "x.pem"],
        ["--log", "xml"],
    ],
)
def test_what_serve_does_not_take(node: NodeDir, options: list[str], call: Callable[..., Said]):
    ScorerHome(node.folder)
    assert call("serve", *options, "--home", node.folder).code == 2


def test_a_folder_without_a_lender_has_nothing_to_serve(tmp_path: Path, call: Callable[..., Said]):
    assert call("serve", "--home", tmp_path).code == 2


def test_serve_does_not_begin_with_a_log_that_was_put_back(node: NodeDir, call: Callable[..., Said]):
    home = ScorerHome(node.folder)
    home.use(home.approve(release_folder()))
    for name in "ab":
        with closing(home.dir.log()) as log, log.commit() as batch:
            batch.write({"score_id": name}, name, "p", 1, b"d")
        if name == "a":
            copy = home.dir.log_file.read_bytes()
    home.dir.log_file.write_bytes(copy)
    said = call("serve", "--home", node.folder, "--listen", "127.0.0.1:0")
    assert said.code == 1
    assert "scores.db" in said.text
    assert "restore" in said.text
