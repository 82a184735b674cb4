"""A server that makes up a tower to learn something else of creators than their risk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from partners import Partners

from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.messages.parts import edges_from_bytes, edges_to_bytes

pytestmark = pytest.mark.slow


def admitted(partners: Partners, party: str) -> int:
    """How many releases a party's ledger has."""
    return sum(entry.kind == "admit-release" for entry in read_ledger(partners.town.node(party).ledger_file))


def other_edges(partners: Partners) -> None:
    """Make the server's run hold another tower of the wallet."""
    path = partners.town.server.run_folder(partners.town.plan) / "signals" / "wallet" / "edges"
    edges = edges_from_bytes(path.read_bytes(), partners.town.plan.model.signal_levels)
    path.write_bytes(edges_to_bytes(edges + 0.25))


def test_a_tower_whose_levels_a_platform_never_told_is_not_approved(partners: Partners):
    other_edges(partners)
    folder = partners.release("crafted")
    for options in ((), ("--unranked",)):
        said = partners.node("wallet", "release", "approve", folder, "--yes", *options)
        assert (said.code, "none whose levels" in said.text) == (1, True)
    assert admitted(partners, "wallet") == 0
    # The platforms whose towers are those of training are not concerned.
    partners.good("video-1", "release", "approve", folder, "--yes")


def test_a_manifest_that_names_the_known_tower_does_not_cover_another(partners: Partners):
    honest = partners.release("honest")
    meaning = json.loads(_told(honest))["wallet"]
    other_edges(partners)
    folder = partners.release("crafted")
    text = (folder / "release.toml").read_text("utf-8")
    assert meaning not in text
    (folder / "release.toml").write_text(text.replace(json.loads(_told(folder))["wallet"], meaning), "utf-8")
    said = partners.node("wallet", "release", "approve", folder, "--yes")
    assert (said.code, "another tower" in said.text) == (2, True)
    assert admitted(partners, "wallet") == 0


def _told(folder: Path) -> str:
    from sealscore.shared.serving.manifest import Manifest

    manifest = Manifest.load(folder / "release.toml")
    return json.dumps({group: told.meaning for group, told in manifest.told.items()})


def test_a_tower_that_does_not_rank_the_labels_is_the_operators_to_weigh(partners: Partners):
    """It stands in the ledger, and by this platform's data it says nothing of risk."""
    folder = partners.release()
    path = partners.town.node("wallet").folder / "table.csv"
    table = pl.read_csv(path)
    order = np.random.default_rng(0).permutation(len(table))
    mixed = table.with_columns([table[name][order] for name in ("inflow", "refunds")])
    mixed.write_csv(path)
    said = partners.node("wallet", "release", "approve", folder, "--yes")
    assert (said.code, "--unranked" in said.text) == (1, True)
    assert admitted(partners, "wallet") == 0
    partners.good("wallet", "release", "approve", folder, "--yes", "--unranked")
    assert admitted(partners, "wallet") == 1
