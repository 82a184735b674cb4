"""The serving part of a node's folder: keys by month, releases by role, and what a lender goes back to."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_release import crafted, serving_keys, small_folder, small_plan, small_release

from sealscore.clients.setup.node_dir import NodeDir, NodeDirError
from sealscore.clients.setup.serving_dir import Pointer, ServingDir
from sealscore.shared.crypto.sealing import CertificateError
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.serving_keys import month_of


@pytest.fixture
def node(tmp_path: Path) -> NodeDir:
    node = NodeDir(tmp_path / "node")
    node.create("lender-1", "lender")
    return node


def test_a_key_is_destroyed_thirty_days_after_its_last_token(node: NodeDir):
    serving, identity = ServingDir(node), node.identity()
    for month in ("2030-01", "2030-02", "2030-03"):
        serving.serving_key(identity, month)
    last = date(2030, 1, 31) + timedelta(days=30 + 30)
    assert serving.destroy_keys(last, 30) == []
    assert serving.destroy_keys(last + timedelta(days=1), 30) == ["2030-01"]
    assert [keys.month for keys in serving.serving_keys(identity)] == ["2030-02", "2030-03"]
    # A key that is there stays the same one.
    assert serving.serving_key(identity, "2030-02").certificate == serving.serving_key(identity, "2030-02").certificate


def test_a_copy_of_a_key_is_no_month_and_goes_with_it(node: NodeDir):
    serving, identity = ServingDir(node), node.identity()
    for month in ("2030-01", "2030-02"):
        serving.serving_key(identity, month)
        for end in (".bak", "~", "-old"):
            shutil.copy(serving.keys / f"serving-{month}", serving.keys / f"serving-{month}{end}")
    for name in ("serving-2030-13", "serving-old-keys"):
        shutil.copy(serving.keys / "serving-2030-01", serving.keys / name)
    (serving.keys / "serving-2030-03").mkdir()
    assert [keys.month for keys in serving.opening_keys("lender-1")] == ["2030-01", "2030-02"]
    assert [keys.month for keys in serving.serving_keys(identity)] == ["2030-01", "2030-02"]
    assert serving.destroy_keys(date(2030, 4, 2), 30) == ["2030-01"]
    left = {path.name for path in serving.keys.glob("serving-2030-0[12]*")}
    assert left == {f"serving-2030-02{end}" for end in ("", ".bak", "~", "-old")}


@given(st.dates(date(2029, 1, 1), date(2032, 1, 1)), st.integers(1, 90), st.integers(0, 90))
def test_no_key_goes_before_its_tokens_do(made: date, days: int, later: int):
    """By the rule alone: a token's key is there on its last day, and for thirty more."""
    last = made + timedelta(days=days)
    looked = last + timedelta(days=min(later, 30))
    oldest = month_of(looked - timedelta(days=days + 30))
    assert not month_of(made) < oldest


def test_keys_of_lenders_are_kept_by_month_and_read_by_their_card(node: NodeDir):
    serving, cards = ServingDir(node), small_plan().cards
    lenders = {name: cards[name] for name in ("lender-1", "lender-2")}
    for lender in lenders:
        serving.keep_peer(serving_keys(lender, "2030-03").certificate, cards[lender])
    assert set(serving.peers(lenders, "2030-03")) == set(lenders)
    assert serving.peers(lenders, "2030-04") == {}
    with pytest.raises(CertificateError):
        serving.keep_peer(serving_keys("lender-1", "2030-03").certificate, cards["lender-2"])
    folder = node.folder / "serving-keys"
    shutil.copyfile(folder / "lender-1-2030-03.txt", folder / "lender-2-2030-03.txt")
    with pytest.raises(CertificateError):
        serving.peers(lenders, "2030-03")


def test_a_release_in_the_place_of_another_is_not_used(node: NodeDir):
    serving, folder = ServingDir(node), small_folder()
    release = Release.load(folder)
    shutil.copytree(folder, serving.release_folder(release.hash))
    assert serving.release(release.hash).hash == release.hash
    other = crafted(small_release(), name="other").hash
    shutil.copytree(folder, serving.release_folder(other))
    with pytest.raises(ReleaseError, match="another release"):
        serving.release(other)


def test_a_log_without_its_key_is_not_begun_anew(node: NodeDir):
    serving = ServingDir(node)
    serving.log().close()
    (node.folder / "keys" / "score-log").unlink()
    with pytest.raises(NodeDirError, match="restore"):
        serving.log()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"live": 1}', "no json"])
def test_a_pointer_that_cannot_be_read_is_named(node: NodeDir, text: str):
    serving = ServingDir(node)
    serving.point(Pointer("a"))
    (serving.releases / "state.json").write_text(text, "utf-8")
    with pytest.raises(NodeDirError, match=r"state\.json"):
        _ = serving.pointer


@pytest.mark.parametrize(
    ("approved", "expected"), [('["b", "a"]', {"a": None, "b": None}), ('{"a": "again"}', {"a": "again"})]
)
def test_what_an_earlier_node_handed_over_is_read(node: NodeDir, approved: str, expected: dict[str, str | None]):
    serving = ServingDir(node)
    serving.scorer_file.write_text(f'{{"lender": "lender-1", "approved": {approved}}}', "utf-8")
    assert serving.handed_over == ("lender-1", expected)


@pytest.mark.parametrize("approved", ["7", '"ab"', "null"])
def test_what_was_never_handed_over_is_named(node: NodeDir, approved: str):
    serving = ServingDir(node)
    serving.scorer_file.write_text(f'{{"lender": "lender-1", "approved": {approved}}}', "utf-8")
    with pytest.raises(NodeDirError, match=r"scorer\.json"):
        _ = serving.handed_over


STEPS = st.lists(st.tuples(st.sampled_from(["use", "withdraw"]), st.sampled_from("abcd")), max_size=12)


@given(STEPS)
def test_a_rollback_goes_to_a_release_that_was_live_and_was_not_withdrawn(steps: list[tuple[str, str]]):
    pointer, gone, was_live = Pointer(), set(), []
    for what, name in steps:
        if what == "use" and name not in gone:
            pointer = pointer.going_live(name)
            was_live.append(name)
        elif what == "withdraw":
            pointer, gone = pointer.without(name), gone | {name}
        assert pointer.live not in gone
        assert pointer.before not in gone
        assert pointer.before is None or (pointer.before in was_live and pointer.before != pointer.live)
        if pointer.live:
            assert pointer.role(pointer.live) == "live"
            assert pointer.live not in pointer.retired


def test_a_release_that_is_withdrawn_leaves_the_one_before_it_to_go_back_to():
    pointer = Pointer().going_live("a").going_live("b").without("b").going_live("c")
    assert (pointer.live, pointer.before) == ("c", "a")
