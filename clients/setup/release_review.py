"""What an operator sees of a release before approving it, and what is in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sealscore.clients.data import DataError
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.plan_data import loaded
from sealscore.clients.setup.serving_dir import ServingDir, today
from sealscore.shared.ledger.entries import AdmitRelease, TellLimit
from sealscore.shared.ledger.serving_state import signals_under, told_meanings
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.serving.manifest import Kind, Manifest, WatchRule
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.watch import WATCH, period_name
from sealscore.shared.text.terminal import grouped

# Standard errors by which a tower must rank the platform's own noisy labels better than chance.
_CLEARLY = 2.0
_QUARTER_DAYS = 90
NEW = "not approved"


@dataclass(frozen=True)
class ReleaseReview:
    """A release in words, and what is in the way of its approval.

    `unranked` says why a platform's tower is not shown to rank its labels: the operator may approve it all the same.
    """

    release: Release
    lines: tuple[tuple[str, str], ...]
    obstacles: tuple[str, ...]
    unranked: str = ""
    state: str = NEW


def review(node_dir: NodeDir, release: Release, state: LedgerState) -> ReleaseReview:
    """Look at a release as the operator of a node does; a platform's data are read for its check of the tower."""
    manifest, config = release.manifest, node_dir.config()
    lines = [
        ("release", f"{manifest.name}, {grouped(release.hash)}"),
        ("plan", f"{release.plan.name}, {grouped(manifest.plan)}"),
        ("purpose", manifest.purpose_code),
        ("purpose of retraining", manifest.retraining_code or "none: no level of a token enters a training"),
        ("lenders", ", ".join(manifest.lenders)),
        ("valid", f"{manifest.issued} to {manifest.expires}"),
        ("models", ", ".join(release.content.models)),
        ("golden vectors", "the same here as where it was made"),
    ]
    obstacles, unranked = [], ""
    if manifest.expires < today():
        obstacles.append(f"it has expired on {manifest.expires}; ask for a newer one")
    known = state.plans.get(manifest.plan)
    name = config.node.name
    if known is None:
        obstacles.append("its plan was never approved at this node, so nothing of it can be used here")
    elif config.node.role == "lender":
        if name not in manifest.lenders:
            obstacles.append(f"{name} is none of its lenders")
        signals = [f"{group}: {', '.join(told.bits)}" for group, told in manifest.told.items()]
        lines.append(("platforms tell", "; ".join(signals) or "nothing: the plan has none"))
        if manifest.cutoffs:
            lines.append(("approves the plan's share at", f"{manifest.cutoffs.champion} points (champion)"))
    else:
        group = release.plan.party(name).group
        told = manifest.told[group]
        kinds = ", ".join(f"{kind} ({bits} bits)" for kind, bits in told.bits.items())
        lines.append(("it tells", kinds))
        if told.capacity:
            edges = ", ".join(f"{edge:g}" for edge in told.capacity.edges)
            lines.append(("capacity is", f"the band of {told.capacity.column} between {edges}"))
            read = told.capacity.column in {feature.name for feature in release.plan.groups[group].table.scored}
            if read and len(told.capacity.edges) > 1:
                words = "its tower reads this column, too: with the level, more than two bands name much of the channel"
                lines.append(("mind", words))
        if told.flag:
            lines.append(("flag is", f"whether {told.flag.column} is above {told.flag.above:g}"))
        lines.append(("a day", f"of at most {manifest.most_a_day} persons for each lender"))
        if told.watch is not None:
            lines += watch_lines(told.watch, manifest)
        for kind, bits in told.bits.items():
            words, wrong = _ceiling(kind, bits, config.serving.all_limits.get(kind), told.watch)
            lines.append((f"ceiling of {kind}", words))
            obstacles += wrong
        told_most = ServingDir(node_dir).store().most_bits() if ServingDir(node_dir).store_file.exists() else {}
        used = ", ".join(f"{kind} {bits}" for kind, bits in told_most.items())
        lines.append(("told so far, most bits of a person", used or "nothing"))
        if told.meaning not in told_meanings(signals_under(known, state.plans)):
            obstacles.append(
                "its tower is none whose levels this node told in training; a server could have made it up"
            )
        else:
            words, wrong, unranked = _ranking(node_dir, config, release)
            lines.append(("its tower on our noisy labels", words))
            obstacles += wrong
    approved = state.serving.releases.get(release.hash)
    lines.append(("state", approved.state if approved else NEW))
    return ReleaseReview(release, tuple(lines), tuple(obstacles), unranked, approved.state if approved else NEW)


def watch_lines(watch: WatchRule, manifest: Manifest) -> list[tuple[str, str]]:
    """What the watch bit says, what it costs, and of how many persons a quarter has room for it, in words."""
    room = manifest.batch_places * _QUARTER_DAYS
    return [
        ("watch is", f"whether a quarter's score is where the worst {watch.worst:.0%} of the training persons were"),
        ("its purpose", f"{manifest.monitoring_code}, a consent of its own"),
        ("watch costs", f"1 bit a quarter, 4 a year; of one consent at most {watch.quarters}, told to its last day"),
        (
            "watch has room for",
            f"{room} persons of a lender a quarter, in {manifest.batch_places} places a day; more wait",
        ),
    ]


def _ceiling(kind: Kind, bits: int, limit: TellLimit | None, watch: WatchRule | None) -> tuple[str, list[str]]:
    """A ceiling in words, and what is in the way of a kind of so many bits."""
    period = period_name(kind)
    # All that one consent lets be told has to fit, or it would end before its last day.
    wanted = {"month": bits, "life": watch.quarters * bits if kind == WATCH and watch else bits}
    if limit is None:
        written = f"{kind} = {{ {period} = {wanted['month']}, life = {wanted['life']} }}"
        return "none: it may not be told", [
            f"{kind} has {bits} bit{'' if bits == 1 else 's'} a {period}, and node.toml allows none: write {written} "
            "under [serving.limits], or ask for a release without it"
        ]
    wrong = [
        f"{kind} has {least} bits{' of one consent' if kind == WATCH and which == 'life' else ''}, and node.toml "
        f"allows {getattr(limit, which)}: raise {period if which == 'month' else which} of serving.limits.{kind} to "
        f"{least} or more, or ask for a release without it"
        for which, least in wanted.items()
        if getattr(limit, which) < least
    ]
    return f"{limit.month} bits a person and {period}, {limit.life} ever", wrong


def admit(release: Release, config: NodeConfig) -> AdmitRelease:
    """The entry of an approval; the operator's limits of today go with it at a platform."""
    manifest = release.manifest
    party = release.plan.party(config.node.name)
    kinds = manifest.told[party.group].bits if party.group in manifest.told else {}
    limits = {kind: config.serving.all_limits[kind] for kind in kinds}
    text = manifest.canonical()
    return AdmitRelease(release=release.hash, plan=manifest.plan, text=text, limits=limits)


def _ranking(node_dir: NodeDir, config: NodeConfig, release: Release) -> tuple[str, list[str], str]:
    """Whether the tower ranks the noisy labels that lenders released to this platform.

    In words; what is in the way; and why it is not shown to rank them, where it is not.

    A tower that a server made up to tell something else than risk does not; one that ranks can still be crafted.
    """
    name, plan = config.node.name, release.plan
    try:
        records = loaded(node_dir, config, plan).records
    except DataError as error:
        return "not looked at", [f"the data cannot be read under its plan: {error}"], ""
    store = node_dir.disclosure_store()
    source = plan.signals_from
    received = store.received(source.plan if source else plan.hash, "label")
    store.close()
    row = {person: at for at, person in reversed(list(enumerate(records.person)))}
    pairs = [(row[person], bit) for told in received.values() for person, bit in told.items() if person in row]
    bad = np.array([bit == 1 for _, bit in pairs], dtype=bool)
    if not bad.any() or bad.all():
        words = "there are no labels of its plan here any more"
        return words, [], f"{words}, so nothing shows that it ranks persons by risk"
    rows = np.array([at for at, _ in pairs])
    tower = release.content.towers[plan.party(name).group]
    scores = tower.model.logits({column: values[rows] for column, values in records.columns.items()})
    auc, deviation = ranking(scores, bad)
    words = f"AUC {auc:.3f}, standard error {deviation:.3f}, of {len(bad)} labels with their noise"
    if auc - 0.5 < _CLEARLY * deviation:
        what = "its tower ranks our noisy labels no better than chance: it may tell something else than risk"
        return words, [], what
    return words, [], ""


def ranking(scores: np.ndarray, bad: np.ndarray) -> tuple[float, float]:
    """AUC of scores [n] against outcomes bool [n], and its standard error where nothing is known of it (Hanley and
    McNeil 1982, at AUC 0.5).
    """
    order = np.argsort(scores, kind="stable")
    _, first, inverse, counts = np.unique(scores[order], return_index=True, return_inverse=True, return_counts=True)
    ranks = (first + (counts + 1) / 2)[inverse]
    most, least = int(bad.sum()), int((~bad).sum())
    auc = (ranks[bad[order]].sum() - most * (most + 1) / 2) / (most * least)
    return float(auc), math.sqrt((most + least + 1) / (12 * most * least))
