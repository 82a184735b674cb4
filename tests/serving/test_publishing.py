"""A release over the connection: sent to those whom it concerns, kept for their operators, and nothing else is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from doubles import DirectExchange
from partners import Partners, routers
from serving_town import ServingTown
from vertical_builders import PARTIES

import sealscore.clients.inbox.releases as release_inbox
import sealscore.server.commands.releases as releases
import sealscore.server.run.deployed as deployed
from sealscore.clients.inbox.releases import ReleaseInbox
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.roles.errors import Refused
from sealscore.server.run.deployed import publish_release
from sealscore.server.transport.exchange import wait_for
from sealscore.shared.crypto.sealing import open_signed, sign_message
from sealscore.shared.identity.identity import Identity
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import ProposeRelease, Ready, Refusal
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.plan.toml import load_toml
from sealscore.shared.serving.manifest import Manifest
from sealscore.shared.serving.parcel import MOST_BYTES, MOST_FILES, check_parcel, pack, recipients
from sealscore.shared.serving.release import Release, ReleaseError

pytestmark = pytest.mark.slow

Files = Mapping[str, bytes]


@pytest.fixture
def published(partners: Partners, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`sealscore-server release publish` with the nodes in this process; `more` is for the exchange."""

    def publish(name: str = "first", **more: Any) -> Any:
        town = partners.town
        with routers(town) as hosts:
            exchange = DirectExchange(hosts, **more)

            def carried(server_dir: Any, plan: Any, action: str, release: str) -> None:
                assert (plan.hash, action, release) == (town.plan.hash, "publish-release", name)
                publish_release(server_dir, release, exchange)

            monkeypatch.setattr(releases, "run_action", carried)
            monkeypatch.setattr(deployed, "wait_for", lambda *given, **often: wait_for(*given[:2], 0.0))
            return partners.server("release", "publish", name)

    return publish


def kept(town: ServingTown, name: str) -> list[str]:
    """What lies in a node's folder of proposed releases."""
    return sorted(path.name for path in town.serving(name).proposed.glob("*"))


def test_a_release_comes_to_those_whom_it_concerns_and_is_approved_by_name(
    partners: Partners, published: Callable[..., Any]
):
    partners.release("first", "--lender", "lender-1")
    town, hash = partners.town, partners.town.release().hash
    heads = {name: town.ledger(name).head.seq for name in PARTIES}
    said = published()
    assert said.code == 0, said.text
    concerned = [name for name in PARTIES if name != "lender-2"]
    assert {name: kept(town, name) for name in PARTIES} == {name: [hash] for name in concerned} | {"lender-2": []}
    # Nothing is approved by it.
    assert {name: town.ledger(name).head.seq for name in PARTIES} == heads
    assert partners.token("video-1", "p00001").code == 2
    assert "not approved" in partners.good("lender-1", "release", "list").text
    assert published().code == 0
    assert kept(town, "lender-1") == [hash]

    for name, wanted in (("lender-1", "first"), ("video-1", hash[:8]), ("wallet", f"{hash[:8]} {hash[8:16]}")):
        assert partners.node(name, "release", "show", wanted).code == 0
        partners.good(name, "release", "approve", wanted, "--yes", "--unranked")
        assert kept(town, name) == []
        assert town.serving(name).release(hash).hash == hash
    partners.good("lender-1", "release", "use", "first")
    partners.exchange_keys(("video-1", "wallet"))
    person, row = partners.shared_person("video-1", "wallet")
    for name in ("video-1", "wallet"):
        assert partners.token(name, person).code == 0
    tokens = partners.tokens("video-1-k1", "wallet-k1")
    assert partners.scored(town.application(person, row, tokens=tokens))["model"]["role"] == "champion"
    # One that is approved is not kept for approval again.
    assert published().code == 0
    assert {name: kept(town, name) for name in ("lender-1", "video-1")} == {"lender-1": [], "video-1": []}


def test_who_did_not_take_it_is_named(partners: Partners, published: Callable[..., Any]):
    partners.release()
    old: list[bytes] = []

    def spoil(party: str, request: bytes, answer: bytes) -> bytes:
        old.append(answer)
        return answer[:-1] if party == "video-1" else answer

    said = published(spoil=spoil, away={"lender-2"})
    assert said.code == 1
    assert "lender-2, video-1 did not take the release" in said.text
    assert partners.town.release().hash[:8] in said.text
    # Somebody on the way answers to a second release as a node answered to the first.
    partners.release("second")
    answers = dict(zip(("lender-1", "video-1", "video-2", "wallet"), old, strict=True))
    said = published("second", spoil=lambda party, request, answer: answers.get(party, answer))
    assert "lender-1, video-1, video-2, wallet did not take the release" in said.text
    assert partners.server("release", "publish", "third").code == 2
    assert partners.server("release", "publish", "..").code == 2


def test_a_release_too_large_for_a_message_is_said_before_anything_is_sent(
    partners: Partners, published: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    import sealscore.shared.serving.parcel as parcel

    partners.release()
    monkeypatch.setattr(parcel, "MOST_BYTES", 1000)
    said = published()
    assert (said.code, "send its folder instead" in said.text) == (2, True)
    assert kept(partners.town, "lender-1") == []


class Server:
    """The trusted server, which sends what it likes to one node."""

    def __init__(self, town: ServingTown, host: PlanRouter) -> None:
        self.town, self.host, self.identity = town, host, town.server.identity()
        folder = town.server.releases / "first"
        self.release = Release.load(folder)
        self.files = pack(folder, self.release)

    def send(self, files: Files, hash: str | None = None, identity: Identity | None = None) -> str:
        """What the node says to a release: "ready", or the code of its refusal."""
        header = Address(hash or self.release.hash, "", "", 0, 0, SERVER, self.host.name)
        answer = self.host.answer(sign_message(ProposeRelease(header, dict(files)), identity or self.identity))
        found = open_signed(answer, {self.host.name: self.town.node(self.host.name).identity().card}, Ready, Refusal)
        return "ready" if isinstance(found, Ready) else found.code

    def resigned(self, **changed: bytes | None) -> tuple[Files, str]:
        """The release with other files (names with __ for the slash, _ for the dot) under a manifest that fits them."""
        files = dict(self.files)
        for name, data in changed.items():
            place = name.replace("__", "/").replace("_", ".")
            if data is None:
                del files[place]
            else:
                files[place] = data
        return self.manifested(files)

    def manifested(self, files: Files, **fields: Any) -> tuple[Files, str]:
        """Files with a manifest made for them, and its hash."""
        rest = {name: data for name, data in files.items() if name != "release.toml"}
        plain = load_toml(self.town.server.releases / "first" / "release.toml") | fields
        plain["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in rest.items()}
        return rest | {"release.toml": tomli_w.dumps(plain).encode()}, Manifest.parse(plain).hash


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.parent.rglob("*") if not path.name.endswith(("-wal", "-shm"))}


def test_what_is_no_release_is_refused_by_a_code_and_leaves_nothing(
    partners: Partners, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    partners.release("first", "--lender", "lender-1")
    town = partners.town
    with routers(town) as hosts:
        server = Server(town, hosts["lender-1"])
        node, files = town.node("lender-1").folder, server.files
        town.serving("lender-1").proposed.mkdir(mode=0o700, parents=True)
        before = everything(node)

        def refused(code: str, files: Files, hash: str | None = None, identity: Identity | None = None) -> None:
            assert server.send(files, hash, identity) == code
            assert everything(node) == before
            assert list(tmp_path.iterdir()) == []

        for name in (
            *("../evil", "../../trust.json", "model/../../evil", "..", ".", "", str(tmp_path / "evil")),
            *("model", "model/", "model/card.json/x", "signals", "signals/video", "signals/../tower", "signals//tower"),
            *(".release.toml", "Release.toml", "release.toml\n", "release.toml\0", "releaseXtoml", "model\\card.json"),
            *("signals/video/link", "signals/-x/tower", "signals/" + "x" * 41 + "/tower", "model/release.toml", "é"),
        ):
            refused("bad-release", {**files, name: b"x"})
        many = {f"signals/kind-{number}/tower": b"" for number in range(MOST_FILES + 1)}
        refused("bad-release", many)
        refused("seal", {f"signals/kind-{number}/tower": b"" for number in range(5000)})
        refused("bad-release", {**files, "fallback/card.json": b"\0" * MOST_BYTES})
        refused("bad-release", {})
        # Too few, too many, altered, cut; announced as another.
        for name, data in files.items():
            refused("bad-release", {other: data for other, data in files.items() if other != name})
            refused("bad-release", {**files, name: data[:-1] + bytes((data[-1] ^ 1,))})
            refused("bad-release", {**files, name: b""})
        refused("bad-release", {**files, "signals/other/tower": b"x"})
        refused("bad-release", files, "ab" * 32)
        # Under a manifest that fits.
        deep = b"[" * 100_000
        for changed in (
            {"model__card_json": deep},
            {"golden_json": deep},
            {"plan_json": deep},
            {"plan_json": b"{}"},
            {"golden_json": None},
            {"model__model_safetensors": b"\xff" * 64},
            {"signals__wallet__tower": None},
            {"signals__wallet__bins": b"\0" * 9},
            {"golden_json": json.dumps(shifted(json.loads(files["golden.json"]))).encode()},
        ):
            refused("bad-release", *server.resigned(**changed))
        refused("bad-release", *server.manifested(files, lenders=["video-1"]))
        refused("bad-release", *server.manifested(files, purpose_code=town.plan.purpose_code))
        # Of others, and by others.
        refused("other-release", *server.manifested(files, lenders=["lender-2"]))
        refused("seal", files, identity=Identity.generate(SERVER, "server"))
        stranger = ReleaseInbox(town.serving("lender-1"), "bank-9", tuple, lambda words: None)
        header = Address(server.release.hash, "", "", 0, 0, SERVER, "bank-9")
        with pytest.raises(Refused, match="other-release"):
            stranger.take(ProposeRelease(header, dict(files)))
        assert everything(node) == before
        # A disk without room.
        with monkeypatch.context() as patch:
            patch.setattr(release_inbox, "unpack", full)
            refused("unavailable", files)

        # What a crash left half written goes with the next one.
        (town.serving("lender-1").proposed / ".draft-x" / "model").mkdir(parents=True)
        assert server.send(files) == "ready"
        assert kept(town, "lender-1") == [server.release.hash]
        assert Release.load(town.serving("lender-1").proposed / server.release.hash).hash == server.release.hash
        # A refused one does not touch the one that waits; one that was altered on the disk is replaced.
        assert server.send({**files, "plan.json": b"{}"}) == "bad-release"
        altered = town.serving("lender-1").proposed / server.release.hash / "plan.json"
        altered.write_bytes(b"{}")
        assert partners.node("lender-1", "release", "approve", "first", "--yes").code == 2
        assert server.send(files) == "ready"
        assert Release.load(altered.parent).hash == server.release.hash


def test_a_second_manifest_is_one_file_too_many(partners: Partners):
    folder = partners.release()
    (folder / "model" / "release.toml").write_bytes(b"")
    with pytest.raises(ReleaseError):
        Release.load(folder)


def shifted(golden: dict[str, Any]) -> dict[str, Any]:
    """Golden vectors of a model that says something else."""
    golden["champion"]["logits"] = golden["champion"]["logits"][::-1]
    return golden


def full(files: Files, folder: Path) -> None:
    (folder / "release.toml").write_bytes(files["release.toml"])
    raise OSError(28, "No space left on device")


def test_no_more_than_the_operator_can_look_at(partners: Partners, monkeypatch: pytest.MonkeyPatch):
    partners.release()
    town = partners.town
    assert release_inbox.MAX_PROPOSED == 20
    monkeypatch.setattr(release_inbox, "MAX_PROPOSED", 2)
    with routers(town) as hosts:
        server = Server(town, hosts["wallet"])
        made = [server.manifested(server.files, name=name) for name in ("one", "two", "three")]
        assert [server.send(*one) for one in made] == ["ready", "ready", "too-many-releases"]
        assert server.send(*made[0]) == "ready"
        assert kept(town, "wallet") == sorted(hash for _, hash in made[:2])
        assert partners.node("wallet", "release", "refuse", "three").code == 2
        partners.good("wallet", "release", "refuse", "one")
        assert server.send(*made[2]) == "ready"
        # Two of one name are told apart by their hashes.
        monkeypatch.setattr(release_inbox, "MAX_PROPOSED", 3)
        again = server.manifested(server.files, name="two", token_days=7)
        assert server.send(*again) == "ready"
        assert partners.node("wallet", "release", "show", "two").code == 2
        assert partners.node("wallet", "release", "show", again[1]).code == 0


def test_a_parcel_holds_what_a_plan_may_need():
    """Fifty kinds of platforms with four parts each, two models, three texts."""
    parts = [f"signals/kind-{number}/{part}" for number in range(50) for part in ("bins", "codes", "edges", "tower")]
    models = [f"{model}/{name}" for model in ("model", "fallback") for name in ("card.json", "model.safetensors")]
    whole = dict.fromkeys((*parts, *models, "release.toml", "plan.json", "golden.json"), b"x")
    check_parcel(whole)
    with pytest.raises(ReleaseError):
        check_parcel(whole | {f"signals/kind-{number}/tower": b"x" for number in range(50, 100)})


def test_the_largest_release_fits_into_a_message():
    from sealscore.clients.frames import MAX_BODY

    header = Address("ab" * 32, "", "", 0, 0, SERVER, "x" * 63)
    files = {f"signals/{'x' * 36}{number:04}/tower": b"" for number in range(MOST_FILES)}
    first = min(files)
    message = sign_message(
        ProposeRelease(header, files | {first: b"x" * MOST_BYTES}), Identity.generate(SERVER, "server")
    )
    assert len(message) < MAX_BODY


def test_whom_a_release_concerns(partners: Partners):
    partners.release("first", "--lender", "lender-2")
    assert recipients(partners.town.release()) == tuple(name for name in PARTIES if name != "lender-1")
