"""What an entry of a ledger says, as a sentence for the party's operator."""

from __future__ import annotations

from collections.abc import Mapping

from sealscore.shared.dp.events import Disclosure, Event, Gaussian, NoNoise, RandomizedResponse, SampledGaussian
from sealscore.shared.ledger import entries
from sealscore.shared.ledger.entries import Ceilings, Entry
from sealscore.shared.text.numbers import listed, plural


def sentence(entry: Entry, names: Mapping[str, str], releases: Mapping[str, str]) -> str:
    """One entry in words; `names` are those of plans by hash, `releases` those of releases.

    Texts of an operator, a peer or a plan are in it as they are: a terminal shows them escaped.
    """
    plan = names.get(getattr(entry, "plan", ""), getattr(entry, "plan", "")[:8])
    release = releases.get(getattr(entry, "release", ""), getattr(entry, "release", "")[:8])
    match entry:
        case entries.Open():
            return f"The ledger of the data set {entry.data_set} was opened; {_ceilings(entry.ceilings)}."
        case entries.Identify():
            return f"Persons are named by the column {entry.column}, in the form {entry.form}."
        case entries.Limit():
            return f"The operator set other ceilings: {_ceilings(entry.ceilings)}; because: {entry.why}."
        case entries.Approve():
            return f"The operator approved plan {plan}."
        case entries.Reserve():
            answers = plural(entry.count, "answer")
            return f"{answers} of {_place(entry, plan)} reserved: each {_event(entry.event)}, of {entry.part} records."
        case entries.Answer():
            if entry.peer:
                return f"{plural(entry.count, 'payload')} for {entry.peer} left, of {_place(entry, plan)}."
            return f"{plural(entry.count, 'answer')} left, of {_place(entry, plan)}, under entry {entry.reserve}."
        case entries.Abort():
            return f"{plural(entry.count, 'answer')} of entry {entry.reserve} will never be given ({entry.why})."
        case entries.Disclose():
            told = f"{entry.peer} is told of {plural(entry.persons, 'person')}, of {entry.fresh} of them first"
            return f"{told}: {_event(entry.event)}, in {_place(entry, plan)}."
        case entries.Refuse():
            why = f": {entry.why}" if entry.why else ""
            return f"A request of {_place(entry, plan)} was refused by the code {entry.code}{why}."
        case entries.Settle():
            return f"Plan {plan} has ended here ({entry.why}); what it had set aside and not used is free."
        case entries.Revoke():
            return f"The operator took back the approval of plan {plan}, because: {entry.why}."
        case entries.Withdraw():
            whom = f"{entry.direction} {'on to' if entry.direction == 'passed' else 'from'} {entry.peer}"
            return f"Withdrawn consents of {plural(entry.persons, 'person')} were {whom}, under plan {plan}."
        case entries.AdmitRelease():
            return f"The operator approved release {release} of plan {plan}."
        case entries.EndRelease():
            return f"The operator withdrew release {release}, because: {entry.why}."
        case entries.ServeDay():
            return (
                f"For scoring, {entry.peer} may be told of up to {plural(entry.most, 'person')} on {entry.day}, under "
                f"release {release}: {_bits(entry.bits)} each."
            )
        case entries.ServeCorrect():
            return (
                f"{entry.peer} is told of one person once more on {entry.day}, from corrected data, under release "
                f"{release}: {_bits(entry.bits)} ({entry.cause}: {entry.why})."
            )
        case entries.ServeWithdraw():
            whom = f"{entry.direction} {'on to' if entry.direction == 'passed' else 'from'} {entry.peer}"
            of = plural(entry.persons, "person")
            return f"Withdrawn consents to scoring of {of} were {whom}, in batch {entry.batch}."
        case entries.LogDay():
            return f"The log of scores ended the day {entry.day} at the head {entry.head[:8]}."


def _place(entry: entries.Reserve | entries.Answer | entries.Disclose | entries.Refuse, plan: str) -> str:
    again = f", attempt {entry.attempt}" if entry.attempt > 1 else ""
    at = f", round {entry.round}{again}" if entry.round else ""
    return f"{entry.phase}{at} of plan {plan}"


def _event(event: Event) -> str:
    match event:
        case SampledGaussian():
            sampled = f"a sum over a sample of {event.sample_rate:g}"
            return f"{sampled} with noise of {event.noise_multiplier:.3g} times what a record moves"
        case Gaussian():
            return f"a sum with noise of {event.noise_multiplier:.3g} times what a record moves"
        case RandomizedResponse():
            return f"a label by noisy coins of epsilon {event.epsilon:g}"
        case Disclosure():
            return f"{plural(event.bits * event.count, 'bit')} of each"
        case NoNoise():
            return "a sum without noise"


def _bits(bits: Mapping[str, int]) -> str:
    return listed([f"{kind} {plural(count, 'bit')}" for kind, count in bits.items()])


def _ceilings(ceilings: Ceilings) -> str:
    most = "no ceiling on epsilon" if ceilings.epsilon is None else f"epsilon at most {ceilings.epsilon:g}"
    words = [f"{most} at delta {ceilings.delta:g}"]
    words += [f"{purpose} at most {epsilon:g}" for purpose, epsilon in ceilings.purposes.items()]
    if ceilings.label_epsilon is not None:
        words.append(f"labels at most {ceilings.label_epsilon:g}")
    return ", ".join(words)
