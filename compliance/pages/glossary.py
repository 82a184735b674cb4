"""The words of reports, for readers who are no engineers."""

from __future__ import annotations

from collections.abc import Iterable

from sealscore.shared.text.catalogue import marked, tr

_WORDS = {
    marked("AUC"): marked(
        "How well a score ranks: the chance that a random bad loan gets a riskier score than a random good "
        "one. 0.5 is guessing, 1 is perfect."
    ),
    marked("KS"): marked(
        "The largest distance, over all cut-offs, between the share of bad loans and the share of good loans "
        "that would be refused (Kolmogorov and Smirnov). 0 is guessing, 1 is perfect."
    ),
    marked("Brier score"): marked(
        "The mean squared distance between the predicted probability and what happened. Lower is better; "
        "saying the average bad rate of everybody gives the bad rate times one less it."
    ),
    marked("Calibration error"): marked(
        "How far predicted probabilities are from bad rates, on average over ten groups of applicants with "
        "like scores. 0.01 means that where 20 % are predicted, 19 or 21 % go bad."
    ),
    marked("PD"): marked(
        "Probability of default: the predicted chance that the outcome is bad, as the plan defines bad."
    ),
    marked("Score points"): marked(
        "The PD on a scale: 600 points where 20 loans repay for one that does not; 20 points more double "
        "these odds. Higher is safer."
    ),
    marked("Epsilon"): marked(
        "The limit on what all that was released says about any one person. An observer who is unsure whether"
        " a person was among the records can have the odds moved by a factor of at most e to the epsilon."
    ),
    marked("Delta"): marked("A small probability for which the limit of epsilon need not hold."),
    marked("Noise"): marked(
        "Random numbers that parties add before anything leaves them, just enough for epsilon to hold. It is "
        "why figures here carry a ±."
    ),
    marked("Label epsilon"): marked(
        "The limit on what a noisy label shows a platform of the true one. Each label is flipped with a "
        "stated probability, once, before it is sent."
    ),
    marked("Signal"): marked(
        "What a platform sends a lender of a consented applicant: one of a few levels, worth a stated number "
        "of bits, and nothing finer."
    ),
    marked("Bit"): marked("The answer to one question of yes or no. Four bits choose one of 16 levels."),
    marked("Handle"): marked("A random number by which a lender and a platform speak of an applicant without a name."),
    marked("Tower"): marked("The part of the model that one kind of party trains: a weighted sum over bins."),
    marked("Bin"): marked("A range of a feature's values that all count alike, as in a scorecard."),
    marked("Clip norm"): marked("The most that one record may pull at the model in one step."),
    marked("Phase, round, attempt"): marked(
        "A plan is a fixed order of phases. Training takes many rounds. If a party fails, the round is tried "
        "again, and every attempt that was answered is charged."
    ),
    marked("Nominal records"): marked(
        "The public number that a plan states for a party. All that is computed from counts uses it, so the "
        "true number stays private."
    ),
    marked("Training and test persons"): marked(
        "The plan sends each person into one part. The model learns from training persons and is judged on "
        "test persons."
    ),
    marked("Collude"): marked(
        "To put together, in secret, what each has seen. The plan states how many parties may do so before "
        "the limit fails."
    ),
    marked("Exact figure"): marked(
        "Computed on all test rows in one place. Only a simulation can do that; in deployment no party has all rows."
    ),
    marked("Four-fifths rule"): marked(
        "A group's approval rate below four fifths of that of the group with the highest rate is a usual sign"
        " that a practice should be looked into."
    ),
    marked("Anchor"): marked(
        "A party's signed statement of its ledger at some moment, kept by somebody else. It shows later "
        "whether the ledger was cut or rewritten."
    ),
    marked("Ceiling"): marked(
        "The most epsilon that the operator lets be spent of a person, over the life of a data set or for one"
        " purpose; a plan has its own beside it."
    ),
    marked("Ledger"): marked(
        "An append-only file in which a party records, signed, every plan that it approved and every release "
        "before it happens."
    ),
    marked("Set aside"): marked(
        "What approved plans that have not ended may still answer. It is not spent, and not free either."
    ),
    marked("Equal opportunity"): marked("Among loans that turn out good, all groups are approved equally often."),
}
_PLATFORMS = frozenset({"Label epsilon", "Signal", "Bit", "Handle"})
_LEDGERS = frozenset({"Anchor", "Ceiling", "Ledger", "Set aside"})
_MODELS = frozenset(
    {
        *("AUC", "KS", "Brier score", "Calibration error", "PD", "Score points", "Four-fifths rule"),
        *("Equal opportunity", "Exact figure"),
    }
)


def glossary(platforms: bool, exact: bool, model: bool = True, ledgers: bool = False) -> Iterable[tuple[str, str]]:
    """Terms and their meanings, in order, without those of what the report does not speak of."""
    left_out = set[str]()
    for spoken, words in ((platforms, _PLATFORMS), (model, _MODELS), (ledgers, _LEDGERS), (exact, {"Exact figure"})):
        left_out |= set() if spoken else words
    for word in sorted(_WORDS.keys() - left_out, key=str.casefold):
        yield tr(word), tr(_WORDS[word])
