"""A release as a folder: what a lender scores with and platforms make tokens by, every file under the manifest's hash.

release.toml       the manifest (`shared.serving.manifest`)
plan.json          the plan, canonical
model/             the champion; fallback/ the model for applicants without a signal, where the plan trains one
signals/GROUP/     the published parts of each kind of platform: bins, tower, edges, codes
sentences.json     sentences of reasons that the plan does not have, where it brings some
golden.json        invented applicants and what the models say of them
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from sealscore.shared.files import write_whole
from sealscore.shared.model.score_model import ModelFileError, ScoreModel
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.golden import GoldenError, check_golden, golden
from sealscore.shared.serving.manifest import MANIFEST, Manifest
from sealscore.shared.serving.sentences import SENTENCES, Sentences, read_sentences, written_sentences
from sealscore.shared.serving.signal_tower import SignalTower

PLAN, GOLDEN, MODEL, FALLBACK, SIGNALS = "plan.json", "golden.json", "model", "fallback", "signals"
CHAMPION = "champion"
MODEL_FILES = ("card.json", "model.safetensors")
_MOST_BYTES = 64 * 2**20


class ReleaseError(ValueError):
    """A release that cannot be used; the message names the folder or file, and the fix."""


@dataclass(frozen=True, eq=False)
class ReleaseContent:
    """What a release is made of: the plan, the models, the tower of each kind of platform, and sentences of reasons."""

    plan: Plan
    model: ScoreModel
    fallback: ScoreModel | None
    towers: Mapping[str, SignalTower]
    sentences: Sentences = field(default_factory=dict)

    @property
    def models(self) -> dict[str, ScoreModel]:
        """All models by the names that golden vectors have for them."""
        found = {CHAMPION: self.model} | ({FALLBACK: self.fallback} if self.fallback else {})
        return found | {f"tower of {group}": tower.model for group, tower in self.towers.items()}

    @classmethod
    def read(cls, folder: Path) -> ReleaseContent:
        """The content of a run's folder or of a release's; nothing is compared with a manifest.

        Raises:
            ReleaseError: a file is missing or holds none of the plan's.
        """
        try:
            plan = Plan.from_canonical((folder / PLAN).read_bytes())
            model = ScoreModel.load(folder / MODEL)
            fallback = ScoreModel.load(folder / FALLBACK) if (folder / FALLBACK).is_dir() else None
            towers = {
                group: SignalTower.of(
                    plan, group, {path.name: path.read_bytes() for path in sorted((folder / SIGNALS / group).iterdir())}
                )
                for group in plan.platforms
            }
            path = folder / SENTENCES
            sentences = read_sentences(path.read_bytes(), plan.groups[plan.lenders].table) if path.exists() else {}
        except (OSError, PlanError, ModelFileError, ValueError) as error:
            raise ReleaseError(f"{folder}: holds no models of a finished run ({error})") from None
        for one in filter(None, (model, fallback)):
            if one.card.get("plan") != plan.hash:
                raise ReleaseError(f"{folder}: the model in it is of another plan than {PLAN}")
        return cls(plan, model, fallback, towers, sentences)


@dataclass(frozen=True, eq=False)
class Release:
    """A release that was read whole: every file is what the manifest names, and the golden vectors hold here."""

    manifest: Manifest
    content: ReleaseContent

    @property
    def hash(self) -> str:
        """That of the manifest."""
        return self.manifest.hash

    @property
    def plan(self) -> Plan:
        """The plan that trained it."""
        return self.content.plan

    @classmethod
    def load(cls, folder: Path) -> Release:
        """Read a release and check all of it.

        Raises:
            ReleaseError: a file is missing, altered or one too many, or the golden vectors do not hold on this machine.
            PlanError: the manifest cannot be used.
        """
        manifest = Manifest.load(folder / MANIFEST)
        present = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()} - {MANIFEST}
        wanted = set(manifest.files)
        if present != wanted:
            name = min(present ^ wanted)
            what = "is missing" if name in wanted else "is no file of the release"
            raise ReleaseError(f"{folder / name}: {what}; get the whole folder from the server's operator again")
        for name, digest in manifest.files.items():
            if hashlib.sha256(_bytes(folder / name)).hexdigest() != digest:
                raise ReleaseError(f"{folder / name}: was altered; get the release from the server's operator again")
        content = ReleaseContent.read(folder)
        _check(folder, manifest, content)
        try:
            check_golden(_bytes(folder / GOLDEN).decode(), content.models)
        except (GoldenError, UnicodeDecodeError) as error:
            raise ReleaseError(f"{folder}: {error}; this release cannot be used on this machine") from None
        return cls(manifest, content)


def write_release(folder: Path, content: ReleaseContent, source: Path, fields: Mapping[str, object]) -> Manifest:
    """Write a release folder from a run's; `fields` are those of the manifest that are no digests.

    Raises:
        ReleaseError: the folder exists and is not empty.
        PlanError: the fields make no manifest.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseError(f"{folder}: is not empty; name another folder")
    files = {PLAN: content.plan.canonical(), GOLDEN: golden(content.models, content.plan.hash).encode()}
    for name in (MODEL, FALLBACK) if content.fallback else (MODEL,):
        files |= {f"{name}/{file}": _bytes(source / name / file) for file in MODEL_FILES}
    for group in content.plan.platforms:
        for path in sorted((source / SIGNALS / group).iterdir()):
            files[f"{SIGNALS}/{group}/{path.name}"] = path.read_bytes()
    if content.sentences:
        files[SENTENCES] = written_sentences(content.sentences)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = Manifest.parse({**fields, "plan": content.plan.hash, "files": digests})
    _check(folder, manifest, content)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, data)
    # Last: a folder without it is no release.
    plain = manifest.model_dump(mode="python", exclude_none=True)
    write_whole(folder / MANIFEST, tomli_w.dumps(plain))
    return manifest


def _check(folder: Path, manifest: Manifest, content: ReleaseContent) -> None:
    """That manifest and content belong together."""
    plan = content.plan
    wrong = []
    if manifest.plan != plan.hash:
        wrong.append("it names another plan than it holds")
    if unknown := set(manifest.lenders) - {party.name for party in plan.members(plan.lenders)}:
        wrong.append(f"lenders: {', '.join(sorted(unknown))} is no lender of the plan")
    if manifest.purpose_code == plan.purpose_code:
        wrong.append("purpose_code is that of training; consents to training are none to scoring")
    if manifest.retraining_code == plan.purpose_code:
        wrong.append("retraining_code is that of training; consents to training are none to training on what is scored")
    if manifest.monitoring_code is not None and manifest.monitoring_code == plan.purpose_code:
        wrong.append("monitoring_code is that of training; consents to training are none to being watched")
    if manifest.told.keys() != set(plan.platforms):
        wrong.append("told must have each kind of platform of the plan")
    for group, told in manifest.told.items():
        if group in content.towers:
            wrong += _told_problems(plan, group, content.towers[group].meaning, manifest)
            if told.signal_bits != plan.model.signal_bits:
                wrong.append(f"told.{group}.signal_bits: the plan's levels have {plan.model.signal_bits}")
    if wrong:
        raise ReleaseError(f"{folder}: {'; '.join(wrong)}; make the release again")


def _told_problems(plan: Plan, group: str, meaning: str, manifest: Manifest) -> list[str]:
    told, table = manifest.told[group], plan.groups[group].table
    wrong = [] if told.meaning == meaning else [f"told.{group}.meaning is of another tower"]
    numeric = {
        feature.name
        for feature in (*table.features, *table.derived)
        if feature.kind == "numeric" and not feature.protected
    }
    scored = {feature.name for feature in table.scored}
    for key in ("capacity", "flag"):
        given = getattr(told, key)
        if given is not None and given.column not in numeric:
            wrong.append(
                f"told.{group}.{key}.column = {given.column!r}: no numeric column of the plan's table, or protected"
            )
    if told.flag is not None and told.flag.column in scored:
        wrong.append(f"told.{group}.flag.column = {told.flag.column!r}: enters the score; a flag must not")
    least = 1 / plan.model.signal_levels
    if told.watch is not None and not least <= told.watch.worst <= 1 - least:
        what = f"the edges of the plan's levels cut between {least:g} and {1 - least:g}"
        wrong.append(f"told.{group}.watch.worst = {told.watch.worst:g}: {what}")
    if unknown := set(told.reasons) - scored:
        wrong.append(f"told.{group}.reasons: {', '.join(sorted(unknown))} is no feature of its tower")
    return wrong


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ReleaseError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > _MOST_BYTES:
        raise ReleaseError(f"{path}: has more than {_MOST_BYTES} bytes, so it is no file of a release")
    return data
