"""Build a world: draw the agents, write every party's tables, the truth, and `world.json`.

The same config gives the same bytes on one machine with the same versions of numpy and polars.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.simulations.world import truth
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.channel import (
    channel_rows,
    creator_ids,
    draw_channels,
    draw_videos,
    video_rows,
)
from sealscore.simulations.world.parties.comments import comment_rows
from sealscore.simulations.world.parties.consents import WorldConsents, draw_consents, platform_rows
from sealscore.simulations.world.parties.followers import audience_rows, follower_rows
from sealscore.simulations.world.parties.lender import application_ids, lender_tables
from sealscore.simulations.world.parties.shop import order_rows
from sealscore.simulations.world.parties.wallet import account_rows, bill_rows, draw_accounts, flow_rows
from sealscore.simulations.world.people.agents import Agents, draw_agents
from sealscore.simulations.world.people.lending import Loans, draw_loans
from sealscore.simulations.world.tables import OWN_NAMES, kind_of, mapping, write, write_table

FORMAT = 1
MANIFEST = "world.json"
TRUTH = "truth"

Tell = Callable[[str], None]


class WorldFolderError(ValueError):
    """A folder into which no world can be written, or in which there is none."""


def steps(config: WorldConfig) -> int:
    """How often `build` says what it does next."""
    return 2 + 5 * len(OWN_NAMES) + 2 + len(config.lending.lenders)


def build(config: WorldConfig, folder: Path, tell: Tell = lambda _: None) -> dict[str, Any]:
    """Write a world into a folder that is absent or empty; the manifest.

    It is written beside the folder first and moved there in the end, so what is in the folder is whole.

    Raises:
        WorldFolderError: the folder holds something, or cannot be written.
    """
    with whole_folder(folder) as unfinished, naming(folder):
        return _write_all(config, unfinished, tell)


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Say which folder it is that cannot be written, of what fails in the block.

    Raises:
        WorldFolderError: in the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise WorldFolderError(f"{folder} cannot be written: {error}") from error


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into: moved to `folder`, which is absent or empty, when the block ends well, and else removed.

    An OSError of the block is its own: not all that a block does is to write into the folder.

    Raises:
        WorldFolderError: the folder holds something, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WorldFolderError(f"{folder} is not empty; name a new folder, or delete this one first")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        with naming(folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        yield unfinished
        with naming(folder):
            if folder.exists():
                folder.rmdir()
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a world.

    Raises:
        WorldFolderError: there is none, or it cannot be read.
    """
    path = folder / MANIFEST
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise WorldFolderError(f"{path}: no such file; `sealscore-sim world build` makes a world") from None
    except ValueError as error:
        raise WorldFolderError(f"{path}: not valid JSON: {error}") from None
    if found.get("format") != FORMAT:
        raise WorldFolderError(f"{path}: format {found.get('format')!r}; this version reads {FORMAT}")
    return found


def _write_all(config: WorldConfig, folder: Path, tell: Tell) -> dict[str, Any]:
    tell("agents and their months")
    agents = draw_agents(config)
    tell("loans and true PDs")
    return write_world(agents, draw_loans(agents), folder, tell)


def write_world(agents: Agents, loans: Loans, folder: Path, tell: Tell) -> dict[str, Any]:
    """Write every party's tables of these agents and loans, the truth and the manifest; gives the manifest."""
    config, consents = agents.config, draw_consents(agents, loans)
    creators, applications = creator_ids(agents), application_ids(agents, loans)
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for party, table, frame in _tables(agents, loans, consents, creators, applications, tell):
        rows[party][table] = write_table(folder, party, table, frame)
    tell("truth")
    true = {
        "creators": truth.creator_truth(agents, creators),
        "applications": truth.application_truth(agents, loans, applications, creators),
        "months": truth.month_truth(agents, creators),
    }
    counts = {name: write(folder / TRUTH / f"{name}.parquet", frame) for name, frame in true.items()}
    manifest = {
        "format": FORMAT,
        "seed": config.seed,
        "creators": config.creators,
        "parties": {
            party: {
                "kind": kind_of(party),
                "tables": {table: {"rows": count, "columns": mapping(party, table)} for table, count in tables.items()},
            }
            for party, tables in rows.items()
        },
        TRUTH: {name: {"rows": count} for name, count in counts.items()},
        "config": config.model_dump(mode="json"),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def _tables(
    agents: Agents, loans: Loans, consents: WorldConsents, creators: pl.Series, applications: pl.Series, tell: Tell
) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """Party, table and rows, one table at a time."""
    for party in OWN_NAMES:
        yield from _video(agents, party, tell)
        yield party, "consents", platform_rows(agents, loans, consents, party, creators)
    tell("wallet")
    accounts = draw_accounts(agents)
    yield "wallet", "accounts", account_rows(agents, accounts)
    yield "wallet", "flows", flow_rows(agents, accounts)
    yield "wallet", "bills", bill_rows(agents, accounts)
    yield "wallet", "consents", platform_rows(agents, loans, consents, "wallet", creators)
    lenders, told = agents.config.lending.lenders, -1
    for place, table, frame in lender_tables(agents, loans, consents, creators, applications):
        if place != told:
            tell(lenders[place].name)
            told = place
        yield lenders[place].name, table, frame


def _video(agents: Agents, party: str, tell: Tell) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """The tables of a short-video platform. Its part of what the config counts is that of its memberships."""
    config, member = agents.config, agents.creators.member[:, :2]
    part = len(agents.creators.on(party)) / max(1, int(member.sum())) * config.creators
    tell(f"{party}: channels")
    channels = draw_channels(agents, party)
    yield party, "creators", channel_rows(agents, channels)
    tell(f"{party}: videos")
    videos = draw_videos(agents, channels, part * config.channel.videos_per_creator)
    yield party, "videos", video_rows(channels, videos)
    tell(f"{party}: comments")
    yield party, "comments", comment_rows(agents, channels, videos, part * config.comments.texts_per_creator)
    tell(f"{party}: followers and audience")
    yield party, "followers", follower_rows(agents, channels)
    yield party, "audience", audience_rows(agents, channels)
    tell(f"{party}: orders")
    yield party, "orders", order_rows(agents, channels, part * config.shop.orders_per_creator)
