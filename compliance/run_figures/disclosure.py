"""Who saw what: the phases of a plan in words, with what each party learns in it and what bounds that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sealscore.compliance.run_figures.record import RunFolder
from sealscore.shared.crypto.payloads import bits_for
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase, phases
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import planned_tower
from sealscore.shared.text.numbers import data_size, listed, percent, plural, short, whole

NOTHING = "nothing"


@dataclass(frozen=True)
class Sight:
    """What was seen in one phase: by the server, the lenders and the platforms, and what bounds it."""

    phase: str
    server: str
    lenders: str
    platforms: str
    bound: str


def phase_title(plan: Plan, phase: Phase) -> str:
    """A phase in words, with the tower whose it is where the plan has several."""
    title = phase.of.title
    return f"{title} ({phase.tower})" if len(plan.groups) > 1 else title


def sights(run: RunFolder, alone: dict[str, float]) -> list[Sight]:
    """A row for each phase of the run's plan, in order; `alone` gives the epsilon of the phases with sums by name."""
    return [_sight(run, phase, alone.get(phase.name)) for phase in phases(run.plan)]


def _sight(run: RunFolder, phase: Phase, epsilon: float | None) -> Sight:
    title = phase_title(run.plan, phase)
    if phase.paired:
        return Sight(title, *_paired(run, phase))
    what, published = _sum(run, phase)
    parties = len(run.plan.members(phase.group))
    if parties == 1:
        seen = f"{what}, from the one party of the group with all of the noise"
    elif run.protection.masked:
        seen = f"{what}, summed over {plural(parties, 'party', 'parties')}; no single contribution"
    else:
        seen = f"{what}, from each of {plural(parties, 'party', 'parties')} with its own part of the noise"
    own = phase.group == run.plan.lenders
    lenders, platforms = (published, NOTHING) if own else (NOTHING, published)
    bound = "no noise" if epsilon is None else f"{_noise(run, phase)}: epsilon {short(epsilon)} by itself"
    return Sight(title, seen, lenders, platforms, bound)


def _sum(run: RunFolder, phase: Phase) -> tuple[str, str]:
    """What is summed in a phase, and what is published from it."""
    plan = run.plan
    answers = run.answered(phase.name)
    if phase.kind is Kind.BIN:
        features = len(tower_features(plan, phase.tower))
        return f"counts of training persons over public cells of {plural(features, 'feature')}", "the bins"
    if phase.of.clips:
        kind = "steps" if plan.training.local else "gradients"
        return f"{plural(answers, 'sum')} of clipped {kind}", "the weights of every round"
    if phase.kind is Kind.EDGES:
        return "counts of training persons over cells of the tower's score", "the edges of the levels"
    if phase.kind is Kind.RATE:
        return "counts of training persons by outcome", "the rate of bad outcomes"
    if phase.kind is Kind.RESIDUALS:
        return f"{plural(answers, 'sum')} of residuals of training persons by score", "the calibration"
    if phase.kind is Kind.CALIBRATE:
        return "counts of training persons by score and label", "the calibration"
    bands = planned_tower(plan, phase.tower).bands
    by = f", all and by {listed(bands)}" if bands else ""
    return f"counts of test persons by score and label{by}", "the figures of this report"


def _noise(run: RunFolder, phase: Phase) -> str:
    events = {entry["phase"]: entry["event"] for entry in run.record["privacy"]["phases"]}
    multiplier = events.get(phase.name, {}).get("noise_multiplier")
    if phase.of.clips:
        return f"noise of {short(multiplier)} times the clip norm {short(run.plan.clip_norm(phase.group))}"
    each = "number" if phase.kind is Kind.RESIDUALS else "count"
    return f"noise of {short(multiplier)} (standard deviation) in each {each}"


def _paired(run: RunFolder, phase: Phase) -> tuple[str, str, str, str]:
    """Server, lenders, platforms, bound."""
    plan, privacy = run.plan, run.plan.privacy
    carried = "sealed payloads of a size that follows from the plan; can open none"
    if not run.protection.sealed:
        carried = "the payloads that it carried, which were not sealed in this run"
    if phase.kind is Kind.ALIGN:
        learnt = "which of its own consented applicants the platform knows"
        met = "which of its own persons applied at the lender, and a random handle for each"
        if not run.protection.private:
            met += "; salted digests of the lender's other applicants, which it can test against names it guesses"
        return carried, learnt, met, "no epsilon: learnt by consent"
    if phase.kind is Kind.LABELS:
        if privacy.label_epsilon is None:
            return carried, NOTHING, "the labels of aligned training persons", "no noise: simulation only"
        kept = 1 / (1 + math.exp(-privacy.label_epsilon))
        seen = f"one bit for each aligned training person: the label, flipped with probability {percent(1 - kept)}"
        return carried, NOTHING, seen, f"label epsilon {short(privacy.label_epsilon)}, drawn once"
    if phase.kind is Kind.SIGNAL:
        bits = plan.model.signal_bits
        seen = f"one of {plan.model.signal_levels} levels for each of its own consented, aligned applicants"
        return carried, seen, NOTHING, f"{plural(bits, 'bit')} a person, without epsilon"
    if phase.kind is Kind.REUSE:
        return carried, NOTHING, NOTHING, "nothing new: lenders had the levels under an earlier plan"
    names = plan.groups_at(phase.group)
    bits = bits_for(math.prod(len(plan.bands(name)) for name in names))
    seen = f"the bands of {listed(names)} of aligned test persons; of training persons never"
    return carried, seen, NOTHING, f"{plural(bits, 'bit')} a test person, without epsilon"


def nobody(plan: Plan) -> list[str]:
    """What no party saw of another's."""
    found = ["a raw record, or a column of one, of another party", "a gradient or score of a single person"]
    if plan.platforms:
        found += [
            "a lender's true labels, outside that lender",
            "a tower's score of a person, outside the platform: only its level leaves",
        ]
    return found


def crossed(run: RunFolder) -> list[tuple[str, str, str, str]]:
    """Sender, recipient, bytes, and bytes a nominal training applicant of the lender, of each pair that met."""
    found = []
    for payload in run.record["payloads"]:
        ends = [run.plan.party(payload[end]) for end in ("from", "to")]
        lender = next(party for party in ends if party.group == run.plan.lenders)
        each = payload["bytes"] / run.plan.nominal_training(lender)
        found.append((ends[0].name, ends[1].name, data_size(payload["bytes"]), f"{short(each)} bytes"))
    return found


def training_applicants(run: RunFolder) -> str:
    """The nominal number of training applicants of all lenders."""
    return whole(sum(run.plan.nominal_training(party) for party in run.plan.members(run.plan.lenders)))
