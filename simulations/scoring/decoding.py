"""The decoding attack on UCI: of how many applicants does all that was told name every binned feature of the platform?

The attacker is a lender. It has the release, so the tower, its bins, the edges of its levels, the public edges of the
capacity band, the list of reasons and the released shares of bins, and enumerates every record that there can be.
Of those that fit what it was told of an applicant it names the most probable, and is right if all bins are. What it
holds for probable is either the product of the released shares, or, beyond what any lender could have, the counts of
the platform's own training persons.

What UCI has no column for is assumed. The limit of the card stands for the amount of the capacity band. A quarter's
watch bit says whether the state of payment of one month, another one each quarter, is a delay, and is wrong once in
ten. In later months a state follows from the two before it as in the training persons' histories; all else stays.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.data.derive import derived_columns
from sealscore.server.releases.making import strongest
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.serving.manifest import Capacity, Told
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.signal_tower import SignalTower
from sealscore.shared.serving.told_values import told_columns
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import RELEASE, run_job

PLAN, GROUP, PLATFORM, LENDER = "uci_vertical_eps2", "channel", "platform", "lender"
# Most that the default kinds may name, as a share of applicants.
BOUND = 0.15
CAPACITY = Capacity(column="LIMIT_BAL", edges=(30e3, 70e3, 120e3, 180e3, 250e3, 360e3))
# Months of a UCI record, the latest first, and the month before them, which is the lender's own column.
STATES, OWN = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5"), "PAY_6"
QUARTERS, WATCH_ERROR, MONTHS = 4, 0.1, 4
# Steps less probable than this are in nobody's months, and the attacker knows it.
_LEAST_STEP = 0.02
_EXACT: Mapping[int, float] = {0: 1.0}
# How many of the tower's features reasons may name, where fewer are tried.
_REASONS = (2, 4, 5, 6, 9)
_CHUNK, _MOST = 50_000, 20_000_000


@dataclass(frozen=True, eq=False)
class Candidates:
    """Every record that a platform can have, as far as its bins and what is told can tell records apart.

    `values` are those that each raw column can have, ascending, NaN last where it can be missing; `columns` all columns
    of each record, float64 [m] each, and `binning` the tower's bins.
    """

    table: TableSchema
    binning: Binning
    values: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, table: TableSchema, binning: Binning, cuts: Mapping[str, Sequence[float]] | None = None) -> Candidates:
        """The records by the tower's raw features and what its derived ones read; `cuts` are further edges by column.

        Raises:
            ValueError: there are too many to enumerate.
        """
        values = {part.feature.name: _values(part, (cuts or {}).get(part.feature.name, ())) for part in _raw(binning)}
        binned = {part.feature.name for part in binning.features}
        read = {
            name for one in table.derived if one.name in binned for name in (*one.formula.of, *(one.formula.per or ()))
        }
        for feature in table.features:
            if feature.name in read - values.keys():
                values[feature.name] = np.arange(feature.lower, feature.upper + 1)  # type: ignore[union-attr]
        count = math.prod(len(one) for one in values.values())
        if count > _MOST:
            raise ValueError(f"{count} records are too many to enumerate; at most {_MOST}")
        columns, inner = {}, count
        for name, one in values.items():
            inner //= len(one)
            columns[name] = np.tile(np.repeat(one, inner), count // (inner * len(one)))
        derived = derived_columns(table, columns)
        return cls(table, binning, values, {name: derived[name] for name in {**columns, **dict.fromkeys(binned)}})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @cached_property
    def target(self) -> np.ndarray:
        """What the attacker wants to name: a number for each vector of bins, int64 [m]."""
        return self.vectors()

    def vectors(self, without: str | None = None) -> np.ndarray:
        """A number for each vector of bins, of all features or of all but one: int64 [m]."""
        parts = [part for part in self.binning.features if part.feature.name != without]
        bins = Binning(tuple(parts)).quantize(self.columns).astype(np.int64)
        sizes = [part.size for part in parts]
        return _numbered(np.ravel_multi_index(tuple(bins.T), sizes))

    def places(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which candidate each record is, int64 [n]; columns as in Records."""
        found = []
        for name, values in self.values.items():
            known = values[~np.isnan(values)]
            place = np.minimum(np.searchsorted(known, columns[name]), len(known) - 1)
            found.append(np.where(np.isnan(columns[name]), len(values) - 1, place))
        return np.ravel_multi_index(tuple(found), tuple(len(values) for values in self.values.values()))

    @cached_property
    def by_shares(self) -> np.ndarray:
        """How probable each candidate is by the released shares of bins, as if independent: float64 [m] with sum 1."""
        weight = np.ones(1)
        share = {part.feature.name: _shares(part, self.values[part.feature.name]) for part in _raw(self.binning)}
        for name, values in self.values.items():
            weight = np.outer(weight, share.get(name, np.full(len(values), 1 / len(values)))).ravel()
        return np.asarray(weight / weight.sum())

    def by_persons(self, places: np.ndarray) -> np.ndarray:
        """How probable, up to a factor, by the persons who are at these places; of other places as by one record."""
        return np.asarray(np.bincount(places, minlength=len(self)) + self.by_shares)

    def told(self, tower: SignalTower, told: Told) -> dict[str, np.ndarray]:
        """What is told of each candidate by kind, int64 [m] each."""
        found: dict[str, list[np.ndarray]] = {}
        for at in range(0, len(self), _CHUNK):
            part = {name: values[at : at + _CHUNK] for name, values in self.columns.items()}
            for kind, values in told_columns(tower, told, part).items():
                found.setdefault(kind, []).append(values)
        return {kind: np.concatenate(parts) for kind, parts in found.items()}

    def logits(self, tower: SignalTower) -> np.ndarray:
        """The tower's logit of each candidate, float64 [m]."""
        parts = []
        for at in range(0, len(self), _CHUNK):
            parts.append(tower.model.logits({name: values[at : at + _CHUNK] for name, values in self.columns.items()}))
        return np.concatenate(parts)


def _raw(binning: Binning) -> list[FeatureBins]:
    return [part for part in binning.features if not hasattr(part.feature, "formula")]


def _values(part: FeatureBins, cuts: Sequence[float]) -> np.ndarray:
    """One value of each bin of a raw feature: the edge that belongs to it, and the upper bound for the last."""
    if part.feature.kind == "categorical":
        found = np.arange(len(part.feature.levels), dtype=np.float64)
    else:
        inside = [cut for cut in cuts if part.feature.lower <= cut < part.feature.upper]
        found = np.unique([*part.edges, *inside, part.feature.upper])
    return np.append(found, np.nan) if part.feature.missing else found


def _shares(part: FeatureBins, values: np.ndarray) -> np.ndarray:
    """The released share of the bin of each value, in equal parts where a bin has several."""
    bins = Binning((part,)).quantize({part.feature.name: values})[:, 0]
    return np.asarray(np.array(part.reference)[bins] / np.bincount(bins)[bins])


@dataclass(frozen=True, eq=False)
class Attack:
    """An attack on persons, each of whom is one of the candidates.

    `target` int64 [m] is what is to be named of each candidate, `weight` float64 [m] how probable the attacker holds
    it, and `persons` int64 [n] the attacked, as places among the candidates.
    """

    target: np.ndarray
    weight: np.ndarray
    persons: np.ndarray

    def named(self, shown: np.ndarray, told: np.ndarray | None = None, errors: Mapping[int, float] = _EXACT) -> float:
        """Share of the persons who are named.

        `shown` int64 [m] is what would be told of each candidate, and `told` [n] what was told of the persons, by
        default without an error. `errors` has the chance of each pattern of flipped bits.
        """
        told = shown[self.persons] if told is None else told
        # One sort by value and target is most of the work; of 64 bits both need few.
        order = np.argsort(shown * (int(self.target.max()) + 1) + self.target)
        starts = np.flatnonzero(_news(shown[order], self.target[order]))
        values, targets = shown[order][starts], self.target[order][starts]
        mass = np.add.reduceat(self.weight[order], starts)
        groups = np.flatnonzero(_news(values))
        top = np.maximum.reduceat(mass, groups)
        likely = np.flatnonzero(mass == np.repeat(top, np.diff(np.append(groups, len(mass)))))
        best = likely[_news(values[likely])]
        values, targets, mass = values[best], targets[best], mass[best]
        guess, belief = np.full(len(told), -1), np.zeros(len(told))
        for flipped, chance in errors.items():
            place = np.minimum(np.searchsorted(values, told ^ flipped), len(values) - 1)
            here = np.where(values[place] == told ^ flipped, chance * mass[place], 0.0)
            guess = np.where(here > belief, targets[place], guess)
            belief = np.maximum(belief, here)
        return float(np.mean(guess == self.target[self.persons]))


def _news(*columns: np.ndarray) -> np.ndarray:
    """Where a sorted table has another row than before, bool [n]."""
    changed = np.zeros(len(columns[0]) - 1, dtype=bool)
    for column in columns:
        changed |= column[1:] != column[:-1]
    return np.asarray(np.r_[True, changed])


def _numbered(values: np.ndarray) -> np.ndarray:
    """Each value as its number among all that there are, int64."""
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)


def joined(*parts: np.ndarray) -> np.ndarray:
    """Several things told as one number, int64 [m]."""
    found = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        found = found * (int(part.max()) + 1) + part
    return found


def flips(bits: int, error: float) -> dict[int, float]:
    """The chance of each pattern of wrong bits, where each is wrong with that chance."""
    count = {pattern: pattern.bit_count() for pattern in range(2**bits)}
    return {pattern: error**wrong * (1 - error) ** (bits - wrong) for pattern, wrong in count.items()}


def watched(attack: Attack, told: np.ndarray, bits: np.ndarray, count: int, error: float, seed: int = 0) -> float:
    """Share named by what was told, and `count` watch bits [m] (0 .. 2**count - 1) of which each is wrong by chance."""
    random = np.random.default_rng(seed)
    shown = (told << count) | bits
    wrong = random.random((len(attack.persons), count)) < error
    return attack.named(shown, shown[attack.persons] ^ (wrong @ (1 << np.arange(count))), flips(count, error))


def _watch_bits(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether the payment is late, another month each quarter: four bits of each record, int64 [m]."""
    return (np.stack([columns[name] for name in STATES[:QUARTERS]]) > 0).T @ (1 << np.arange(QUARTERS))


@dataclass(frozen=True, eq=False)
class DecodedWorld:
    """A release and the platform's records: rows of training, and of test, which are attacked."""

    table: TableSchema
    tower: SignalTower
    training: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]

    def candidates(self, *others: SignalTower) -> Candidates:
        """All records, told apart by this tower, by the capacity band and by other towers."""
        cuts = {CAPACITY.column: list(CAPACITY.edges)}
        for other in others:
            for part in _raw(other.model.binning):
                cuts.setdefault(part.feature.name, []).extend(part.edges)
        return Candidates.of(self.table, self.tower.model.binning, cuts)

    def told(self, reasons: int = 0) -> Told:
        """Capacity, and reasons that may name so many features."""
        named = tuple(strongest(self.tower.model, reasons)) if reasons else ()
        return Told(meaning=self.tower.meaning, signal_bits=4, capacity=CAPACITY, reasons=named)

    def with_levels(self, levels: int) -> SignalTower:
        """The tower with edges that cut the training rows into so many levels."""
        logits = self.tower.model.logits(self.training)
        return replace(self.tower, edges=np.quantile(logits, np.arange(1, levels) / levels))


def _kinds(world: DecodedWorld, candidates: Candidates) -> dict[str, Any]:
    """Shares named, by levels, prior and kinds that are told."""
    places = candidates.places(world.training)
    persons = candidates.places(world.test)
    priors = {"released shares": candidates.by_shares, "persons": candidates.by_persons(places)}
    attacks = {name: Attack(candidates.target, prior, persons) for name, prior in priors.items()}
    features = len(world.tower.model.features)
    watch = _watch_bits(candidates.columns)
    nothing = np.zeros(len(candidates), dtype=np.int64)
    told = candidates.told(world.tower, world.told(features))
    found: dict[str, Any] = {
        way: {name: attack.named(shown) for name, attack in attacks.items()}
        for way, shown in {"nothing": nothing, "capacity": told["capacity"]}.items()
    }
    fine = candidates.told(world.with_levels(16), world.told())["signal"]
    for levels, signal in ((len(world.tower.edges) + 1, told["signal"]), (16, fine)):
        capacity = joined(signal, told["capacity"])
        ways = {
            "signal": signal,
            "signal + capacity": capacity,
            "signal + reasons": joined(signal, told["reasons"]),
            "signal + capacity + reasons": joined(capacity, told["reasons"]),
        }
        for way, shown in ways.items():
            found[f"{levels} levels: {way}"] = {name: attack.named(shown) for name, attack in attacks.items()}
            found[f"{levels} levels: {way} + watch"] = {
                name: watched(attack, shown, watch, QUARTERS, WATCH_ERROR) for name, attack in attacks.items()
            }
        way = "signal + capacity + reasons + watch without errors"
        found[f"{levels} levels: {way}"] = {
            name: watched(attack, ways["signal + capacity + reasons"], watch, QUARTERS, 0.0)
            for name, attack in attacks.items()
        }
    # The consent names the amount; what else is named of the person is what the band gives away beside it.
    beside = replace(attacks["persons"], target=candidates.vectors(without=CAPACITY.column))
    for way in ("nothing", "signal", "signal + capacity"):
        shown = {"nothing": nothing, "signal": told["signal"]}.get(way, joined(told["signal"], told["capacity"]))
        found[f"all but {CAPACITY.column}: {way}"] = {"persons": beside.named(shown)}
    return found


def _lowered(world: DecodedWorld, candidates: Candidates) -> dict[str, float]:
    """What fewer levels, fewer bands and fewer features that reasons may name leave; by the persons' counts."""
    attack = Attack(
        candidates.target,
        candidates.by_persons(candidates.places(world.training)),
        candidates.places(world.test),
    )
    found = {}
    logits, own = candidates.logits(world.tower), world.tower.model.logits(world.training)
    bands = {bands: _bands(candidates, bands) for bands in (1, 2, 4, 7)}
    for levels in (2, 4, 6, 8, 10, 12, 16):
        signal = np.searchsorted(np.quantile(own, np.arange(1, levels) / levels), logits)
        for count, band in bands.items():
            what = f"{levels} levels" + (f" + {count} bands" if count > 1 else "")
            found[what] = attack.named(joined(signal, band))
    signal = np.searchsorted(world.tower.edges, logits)
    for places in _REASONS:
        reasons = candidates.told(world.tower, world.told(places))["reasons"]
        found[f"signal + two reasons of {places}"] = attack.named(joined(signal, reasons))
        found[f"signal + one reason of {places}"] = attack.named(joined(signal, reasons // 16))
        found[f"signal + 2 bands + two reasons of {places}"] = attack.named(joined(signal, bands[2], reasons))
    return found


def _bands(candidates: Candidates, count: int) -> np.ndarray:
    """The capacity band of each candidate where there are so many, by every so manieth of the edges."""
    edges = {1: (), 2: CAPACITY.edges[2:3], 4: CAPACITY.edges[::2], 7: CAPACITY.edges}[count]
    return np.searchsorted(np.array(edges), candidates.columns[CAPACITY.column])


def _with_own_column(world: DecodedWorld, candidates: Candidates, own: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The same with a column of the lender's own, by the counts of the persons who have that value."""
    places, persons = candidates.places(world.training), candidates.places(world.test)
    told = candidates.told(world.tower, world.told(len(world.tower.model.features)))
    capacity = joined(told["signal"], told["capacity"])
    ways = {
        "nothing": np.zeros(len(candidates), dtype=np.int64),
        "signal": told["signal"],
        "signal + capacity": capacity,
        "signal + capacity + reasons": joined(capacity, told["reasons"]),
    }
    found = dict.fromkeys(ways, 0.0)
    for value in np.unique(own["test"]):
        here = own["test"] == value
        weight = candidates.by_persons(places[own["training"] == value])
        attack = Attack(candidates.target, weight, persons[here])
        for way, shown in ways.items():
            found[way] += float(here.mean()) * attack.named(shown)
    return found


def _pooled(world: DecodedWorld, other: SignalTower) -> dict[str, float]:
    """Two lenders that pool what they were told: of two towers in one month, and over four months."""
    candidates = world.candidates(other)
    places, persons = candidates.places(world.training), candidates.places(world.test)
    weight = candidates.by_persons(places)
    first = candidates.told(world.tower, world.told(len(world.tower.model.features)))
    second = candidates.told(other, world.told())["signal"]
    attack = Attack(candidates.target, weight, persons)
    both = joined(first["signal"], second)
    found = {
        "one month, one tower": attack.named(first["signal"]),
        "one month, two towers": attack.named(both),
        "one month, two towers + capacity": attack.named(joined(both, first["capacity"])),
        "one month, two towers + capacity + reasons": attack.named(joined(both, first["capacity"], first["reasons"])),
    }
    months = Months.of(world, candidates, places, persons)
    shown = {
        "one tower": [first["signal"]],
        "two towers": [first["signal"], second],
        "one tower + capacity": [first["signal"], first["capacity"]],
        "one tower + capacity + reasons": [first["signal"], first["capacity"], first["reasons"]],
    }
    for way, parts in shown.items():
        for count in (1, MONTHS):
            told = months.told(parts, count)
            found[f"{count} month{'s' * (count > 1)}, {way}, months drawn"] = months.attack.named(told)
    for levels in (4, 6, 8):
        coarse = candidates.told(world.with_levels(levels), world.told())["signal"]
        found[f"{MONTHS} months, one tower of {levels} levels, months drawn"] = months.attack.named(
            months.told([coarse], MONTHS)
        )
    # Where the columns stay as they are, a tower says the same each month.
    found[f"{MONTHS} months, one tower, columns unchanged"] = found["one month, one tower"]
    return found


@dataclass(frozen=True, eq=False)
class Months:
    """Histories of some months: `places` int64 [months, m] of which candidate a record is in each month of a history.

    The first month is the one whose bins are to be named. `attack` has the histories in place of the candidates.
    """

    places: np.ndarray
    attack: Attack

    @classmethod
    def of(
        cls, world: DecodedWorld, candidates: Candidates, known: np.ndarray, persons: np.ndarray, seed: int = 0
    ) -> Months:
        """Histories that start as a known person does, or as one of those attacked, who is held for rare."""
        starts = np.unique(np.r_[known, persons])
        weight = candidates.by_persons(known)[starts]
        steps = _steps(candidates, world.training)
        states = [_state(candidates, starts, name) for name in STATES]
        path, places = np.arange(len(starts)), [starts]
        for _ in range(MONTHS - 1):
            chance = steps[states[0], states[1]]
            row, new = np.nonzero(chance)
            weight, path = weight[row] * chance[row, new], path[row]
            states = [new, *(state[row] for state in states[:-1])]
            places = [*(place[row] for place in places), _moved(candidates, places[-1][row], states)]
        # Whoever is attacked has one of the histories that start like this, drawn by how probable it is.
        random, total = np.random.default_rng(seed), np.cumsum(weight)
        begin = np.searchsorted(path, np.arange(len(starts)))
        end = np.append(begin[1:], len(path)) - 1
        start = np.searchsorted(starts, persons)
        low = total[begin[start]] - weight[begin[start]]
        drawn = low + random.random(len(persons)) * (total[end[start]] - low)
        chosen = np.clip(np.searchsorted(total, drawn), begin[start], end[start])
        return cls(np.stack(places), Attack(candidates.target[places[0]], weight, chosen))

    def told(self, parts: Sequence[np.ndarray], months: int) -> np.ndarray:
        """What is told of each history in its first months, of what `parts` tell of each candidate: int64 [m]."""
        found = np.zeros(self.places.shape[1], dtype=np.int64)
        for place in self.places[:months]:
            # What was told so far gets a small number, as months of much that is told have no room in 64 bits.
            found = _numbered(joined(found, *(part[place] for part in parts)))
        return found


def _state(candidates: Candidates, places: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(np.searchsorted(candidates.values[name], candidates.columns[name][places]))


def _moved(candidates: Candidates, places: np.ndarray, states: Sequence[np.ndarray]) -> np.ndarray:
    """The candidates at these places with other states of payment."""
    columns = {name: candidates.columns[name][places] for name in candidates.values}
    columns |= {name: candidates.values[name][state] for name, state in zip(STATES, states, strict=True)}
    return candidates.places(columns)


def _steps(candidates: Candidates, training: Mapping[str, np.ndarray]) -> np.ndarray:
    """The chance of each next state of payment after the last and the one before it: float64 [last, before, next]."""
    new, last, before = (
        np.minimum(np.searchsorted(candidates.values[name], training[name]), len(candidates.values[name]) - 1)
        for name in STATES[:3]
    )
    size = max(len(candidates.values[name]) for name in STATES)
    counts = np.zeros((size, size, size))
    np.add.at(counts, (last, before, new), 1.0)
    # Of two states that nobody had, the state stays.
    counts[counts.sum(axis=2) == 0] = np.repeat(np.eye(size)[:, None], size, axis=1)[counts.sum(axis=2) == 0]
    chance = counts / counts.sum(axis=2, keepdims=True)
    chance[chance < _LEAST_STEP] = 0.0
    return np.asarray(chance / chance.sum(axis=2, keepdims=True))


def run(runs: Sequence[Path] = ()) -> dict[str, Any]:
    """All shares. `runs` are folders of two finished runs of the plan, under two seeds; made where none is given.

    Raises:
        ValueError: there are not two of them.
    """
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    if not runs:
        with tempfile.TemporaryDirectory() as folder:
            seeds = (scenario.plan.seed, scenario.plan.seed + 1)
            made = [run_job(scenario.with_seed(seed), baselines=False, runs=Path(folder)) for seed in seeds]
            return run([one.folder for one in made])
    if len(runs) != 2:
        raise ValueError("give two runs of the plan, with seeds of their own")
    releases = [Release.load(folder / RELEASE) for folder in runs]
    records = load_parties(scenario)
    platform, lender = records[PLATFORM], records[LENDER]
    parts = {"training": ~platform.test, "test": platform.test}
    split = {part: {name: values[rows] for name, values in platform.columns.items()} for part, rows in parts.items()}
    tower, other = (release.content.towers[GROUP] for release in releases)
    world = DecodedWorld(releases[0].plan.groups[GROUP].table, tower, split["training"], split["test"])
    state = dict(zip(lender.person, lender.columns[OWN].tolist(), strict=True))
    known = np.array([state[person] for person in platform.person])
    return figures(world, other, {part: known[rows] for part, rows in parts.items()})


def figures(world: DecodedWorld, other: SignalTower, own: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """All shares of one world.

    `other` is the tower of another release for the same records, and `own` has a column of the lender's own by part,
    "training" and "test".
    """
    candidates = world.candidates()
    return {
        "applicants": len(own["test"]),
        "candidates": len(candidates),
        "kinds": _kinds(world, candidates),
        "lowered": _lowered(world, candidates),
        f"with {OWN}": _with_own_column(world, candidates, own),
        "pooled": _pooled(world, other),
    }


def show(result: Mapping[str, Any], before: str = "") -> str:
    """The figures, one a line."""
    lines = []
    for name, value in result.items():
        where = f"{before}{name}"
        lines.append(show(value, f"{where} | ") if isinstance(value, Mapping) else f"{where:<90}  {value:.4g}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.scoring.decoding", description=__doc__)
    parser.add_argument("--run", type=Path, action="append", default=[], help="a finished run's folder; give two")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    given = parser.parse_args(arguments)
    result = run(given.run)
    print(json.dumps(result) if given.json else show(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
