"""Write the tables of docs/plan.md from the models that read a plan: `python docs/plan_page.py`.

Type, range and default of each key come from the pydantic models, its meaning from MEANINGS below. The page's own
text stands outside the markers and is left alone. A test compares the page with what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sealscore.shared.plan.monitoring import Monitoring
from sealscore.shared.plan.plan import Group, Party, Plan
from sealscore.shared.plan.schema import (
    CategoricalFeature,
    DerivedFeature,
    Formula,
    LevelReason,
    NumericFeature,
    NumericReason,
    Sentence,
    TableSchema,
)
from sealscore.shared.plan.settings import (
    Alignment,
    Evaluation,
    Local,
    Model,
    Optimizer,
    Outcome,
    Privacy,
    ScoresFrom,
    Shares,
    SignalsFrom,
    Split,
    Training,
)
from sealscore.simulations.data.scenario import SimulationSettings

PAGE = Path(__file__).with_name("plan.md")

# A model, and the heading of its section (for links).
MODELS: dict[type[BaseModel], str] = {
    Plan: "top-level-keys",
    Outcome: "outcome",
    Privacy: "privacy",
    Shares: "privacyshares",
    Training: "training",
    Optimizer: "trainingoptimizer",
    Local: "traininglocal",
    Model: "model",
    Alignment: "alignment",
    SignalsFrom: "signals_from",
    Monitoring: "monitoring",
    ScoresFrom: "scores_from",
    Evaluation: "evaluation",
    Split: "evaluationsplit",
    Group: "groupsname",
    TableSchema: "groupsnametable",
    NumericFeature: "a-numeric-column",
    CategoricalFeature: "a-categorical-column",
    DerivedFeature: "a-derived-feature",
    Formula: "formula",
    NumericReason: "reason-of-a-number",
    LevelReason: "reason-of-a-category",
    Sentence: "sentence",
    Party: "parties",
    SimulationSettings: "simulation",
}

MEANINGS: dict[type[BaseModel], dict[str, str]] = {
    Plan: {
        "version": "Version of this format.",
        "name": "Name of the plan; run folders begin with it.",
        "purpose": "Why the parties compute together, in words; part of what they approve.",
        "purpose_code": "By what consents and ceilings know that purpose.",
        "server_card": "The server's enrolment card, one line of text. The server and every party have one, or nobody "
        "does; a node behind seals answers under no plan without cards. In simulation the launcher puts them in.",
        "expires": "Last day of the plan, by UTC. A node behind seals refuses everything later.",
        "bundle": "SHA-256 of the app bundle that carries messages in a deployment; a node's SuperNode runs no other. "
        "`sealscore-server plan sign` puts it in.",
        "seed": "Public randomness: first weights of hidden units, and in simulation how rows are dealt out. "
        "Noise, sampling and label coins of a real node never come from it.",
        "groups": "The parties by role and kind, each with its schema.",
        "parties": "Who takes part.",
        "outcome": "What bad means, and until when it was watched.",
        "alignment": "How persons of lenders and platforms are matched.",
        "signals_from": "Makes the plan one for the lenders' towers alone, on levels that platforms told under an "
        "earlier plan.",
        "monitoring": "Makes the plan one of counts only: nothing is trained, and lenders count first passages.",
        "scores_from": "Makes the plan one that trains nothing: scores of an earlier plan are calibrated and evaluated "
        "again.",
        "model": "The form of the score.",
        "privacy": "The claim, and what bounds it.",
        "training": "The algorithm of the towers.",
        "evaluation": "Who is a test person, and how the model is judged. A plan with `monitoring` leaves it out.",
    },
    SignalsFrom: {
        "plan": "Hash of the plan under which platforms told the levels.",
        "meanings": "By group of platforms, what the levels mean: a digest of tower, bins, edges and form. That plan's "
        "release has it as `meaning` under `[told.GROUP]`; `sealscore-server plan sign` says what it must be.",
        "retraining": "The purpose, as a release has it (`retraining_code`), by which consents let a lender train on "
        "the level of a token: persons of whom nothing was told then have it. Absent: no token's level is used.",
    },
    Monitoring: {
        "first_month": "First row of a table, as 2027-01.",
        "last_month": "Last row. It must be over by `outcome.cutoff`, and at most 120 months after the first.",
        "rows": "`month`: a loan is in the row of the month in which it passed. `vintage`: in that of the month in "
        "which it was opened, with passages until the cut-off day.",
        "originations": "Whether a loan is also counted when it is opened. Rates need it, and then the bands of loans "
        "opened are compared, else those of loans first 30 days past due.",
        "by": "The columns whose bands make a table each, with the inner edges of the bands (an edge belongs to the "
        "lower band); a categorical column has its levels and takes `[]`.",
        "reference_months": "The first months, with which the bands of each later one are compared.",
        "passing": "Public guess of the share of loans that are ever 30 days past due. The power of the comparison is "
        "judged by it where originations are not counted; nothing that parties compute depends on it.",
    },
    ScoresFrom: {
        "plan": "Hash of the plan whose run left the scores.",
        "towers": "By tower that scores (the lenders' group, and `fallback`), a digest of its bins, codes and weights, "
        "as `sealscore-server plan recalibrate` puts it in.",
    },
    Party: {
        "name": "Name by which all messages and errors call the party.",
        "group": "The group it belongs to: a key of `[groups]`.",
        "nominal_records": "Public number of its records. Every denominator, weight, padded size and modulus uses it; "
        "the table may hold up to twice as many.",
        "card": "The party's enrolment card, one line of text, with its name, its group's role and its signing key.",
    },
    Group: {
        "role": "Exactly one group is of lenders; each group of platforms is one kind of platform.",
        "min_parties": "A node answers no cohort that is smaller. At least `max_colluding` + 2, or 1 in a group of "
        "one party.",
        "max_colluding": "How many parties of the group may tell the server all they know. The others' noise alone "
        "carries the claim. 0 in a group of one party.",
        "table": "The columns of the group's tables.",
        "crosses": "Pairs of scored features whose products enter the tower too. At lenders `signal.<group>` is the "
        "signal of that kind of platform.",
        "clip_norm": "Clip norm of this group's tower; absent: `privacy.clip_norm`.",
    },
    TableSchema: {
        "id": "Column that names the record; no two records may share one.",
        "person": "Column that names the person; absent: each record is a person of its own. A node's data set has one "
        "such column for its whole life (`identifier` in its node.toml), and refuses plans with another.",
        "label": "Column of the outcome. Lenders need it, platforms have none.",
        "label_bad": "How the label column writes a bad loan.",
        "label_good": "How it writes a good one.",
        "date": "Column of the day of application; the performance window runs from it, a split by date needs it.",
        "consent": "Column of what the record's person consented to, separated by `;`: parties with which it may be "
        "joined, and `federation` for sums, each with a purpose and days where it has them (`lender-1 for "
        "credit-scoring from 2026-01-01 until 2027-03-31 withdrawn 2026-09-01; federation`). "
        "A real node reads consents where its own node.toml says, also where this is absent. In simulation absent "
        "means that everybody consented to everything.",
        "features": "The columns that are read.",
        "derived": "Features that each party computes from its own columns.",
        "dictionary": "SHA-256 of the feature dictionary from which all parties compute these columns, with its checks "
        "and its detector; a node with another release's dictionary, or a file of features made with another, is "
        "refused. docs/features.md names this release's.",
        "read_from_data": "Bounds, levels or flags of this table were read from records, as a draft does. They tell of "
        "those records what no budget has paid for, so a real node refuses the plan.",
        "most_rejected": "Where a party computes the columns from raw tables (`sealscore-node features`): share of the "
        "rows of a raw table that may be at fault. They are left out; above it nothing is computed.",
    },
    NumericFeature: {
        "kind": "May be left out.",
        "name": "The column.",
        "lower": "Smallest value that a table may hold.",
        "upper": "Largest value; above `lower`.",
        "scale": "With it the grid on which bins are found is uniform in asinh(x / scale), for heavy tails and "
        "negative balances; absent: uniform in x.",
        "edges": "Public edges of the bins, rising, from `lower` to below `upper`; an edge belongs to the lower bin. "
        "Empty: quantiles, found under noise.",
        "integer": "Only whole numbers are allowed.",
        "clip": "A value beyond a bound counts as that bound; else a table with one is refused.",
        "missing": "Blank cells are allowed and get a bin of their own.",
        "protected": "Never enters the score; may enter the evaluation.",
        "input_only": "Read for derived features; does not enter the score itself.",
        "weight": "Size of its units in the code, and so how fast it is learnt.",
        "reason": "What an applicant is told whose score it lowered; absent: the sentence of the feature dictionary, "
        "where the plan names one and a party scores by it, else a plain one made of the column's name.",
        "proxy": "It stands in for a protected attribute (a postal code for an origin): it enters the score and is "
        "never given as a reason. Derived features that read it must be marked too.",
    },
    CategoricalFeature: {
        "kind": "Must be given.",
        "name": "The column.",
        "levels": "The values that a table may hold. A number matches by its shortest decimal form: 2.0 is `2`.",
        "level_names": "What reports call the levels, one name for each, in order: `1` reads as what it means.",
        "ordered": "The levels rise in the order given.",
        "other": "The one of the levels that stands for every value that is none of them; absent: a table with one is "
        "refused.",
        "missing": "Blank cells are allowed and get a bin of their own.",
        "protected": "Never enters the score; may enter the evaluation.",
        "weight": "As for a numeric column.",
        "reason": "As for a numeric column.",
        "proxy": "As for a numeric column.",
    },
    DerivedFeature: {
        "formula": "How it follows from the record's own numeric columns; the result is cut off at `lower` and "
        "`upper`, and is missing where an input is.",
    },
    NumericReason: {
        "high": "Told where the value lies above the median of the training persons, by the released bins.",
        "low": "Told where it lies below.",
        "missing": "Told where there is no value; only of a column with `missing = true`.",
    },
    LevelReason: {
        "level": "Told whatever the level is.",
        "high": "Told where the level lies above the median; only of a column with `ordered = true`. Absent: `level`.",
        "low": "Told where it lies below; as `high`.",
        "missing": "Told where there is no value; only of a column with `missing = true`.",
    },
    Sentence: {
        "en": "In English: one line of visible text.",
        "zh": "In Chinese: one line of visible text.",
    },
    Formula: {
        "op": "`linear`: sum of weight times column. `max`, `min`: largest or smallest of the columns. "
        "`count-above`: how many exceed `threshold`. `ratio`: `linear` over max(sum of `per`, `floor`).",
        "of": "The columns; numeric and not protected.",
        "weights": "One for each column of `of`; absent: all 1. For `linear` and `ratio`. No sum or ratio may overflow "
        "within the bounds of the columns.",
        "threshold": "For `count-above`, which needs it.",
        "per": "For `ratio`, which needs it.",
        "floor": "For `ratio`, which needs it.",
    },
    Outcome: {
        "definition": "What bad means, in words. Released label bits are kept under it.",
        "window_days": "Length of the performance window from the day of application.",
        "cutoff": "Day until which outcomes were watched. A lender's table with a `date` may hold no loan whose "
        "window was still open then.",
        "bad_rate": "Public guess of the share of bad loans, by which a run says beforehand what its budget can reach. "
        "Absent: the worst case. Nothing that parties compute depends on it.",
        "placeholder": "Window and cut-off are nobody's yet, as in a draft; a real node refuses the plan.",
    },
    Alignment: {
        "method": "`private`: private set intersection. `exact`: comparison of digests, which shows a platform whom it "
        "does not know; for simulations, where it saves time and gives the same pairs. A real node refuses it.",
        "identifier": "Normal form in which persons are compared. `exact`: as written. `creator-id`: Unicode NFKC, "
        "case folded, without blanks around. `phone`: E.164; a number without a country's code is one of mainland "
        "China. `national-id`: a resident identity number of China, its check character verified. A node's data set "
        "has one form for its whole life, and refuses plans with another.",
        "min_overlap": "Fewest persons that a lender and a platform should share; with fewer each node tells its own "
        "operator, and nobody else. The run goes on: stopping it, or leaving the pair out, would show the number.",
    },
    Evaluation: {
        "split": "Who is a test person.",
        "groups": "Protected features by which figures are reported, each with the inner edges of its bands (an edge "
        "belongs to the lower band); `[]` for a categorical one. Who holds a feature of that name gives it the same "
        "kind and levels. Where it lies at platforms only, lenders are told the bands of test persons, of columns and "
        "within bits that the platform's operator allows.",
        "cells": "Cells of the score in the noisy table of the calibration, and in those of the evaluation where "
        "`table_cells` says no other.",
        "table_cells": "Cells of the score in each table of the evaluation. Noise is in every cell: 12 to 16 give the "
        "most certain figures; more show finer curves.",
        "overall_share": "Share of the evaluation's squared signal-to-noise budget that the table of all test persons "
        "has; the groups share the rest alike. Left out: all tables have the same, and an AUC pays for every group.",
        "fallback_share": "Share of the evaluation's budget that the table of the fallback has, where there is one.",
        "approval_rate": "Share of applicants that counts as approved in comparisons of groups.",
        "validation": "Share of the training persons whom a simulation holds out where it is judged on validation "
        "(`run --judge validation`, sweeps). Nothing else reads it.",
    },
    Split: {
        "kind": "`ids`: persons on a published list. `hash`: HMAC-SHA256 of the person under `key` is below the test "
        "fraction. `date`: persons with a record on `first_test_day` or later; two parties, or two exports of one "
        "table, may not agree on a person, so all phases compose as one part.",
        "test_fraction": "Public share of test persons, for nominal counts (and the cut of `hash`).",
        "file": "`ids`: bare name of the list, one id on a line; it lies beside the table.",
        "sha256": "`ids`: SHA-256 of that file.",
        "key": "`hash`: the key.",
        "first_test_day": "`date`: the first day of test persons.",
    },
    Model: {
        "bins": "Most bins of a numeric feature.",
        "grid_cells": "Cells of the public grid on which a feature's noisy histogram is taken.",
        "hidden": "Units of a small tanh network beside the linear part; 0 for none.",
        "cross_bins": "Most bins of a feature within a cross.",
        "cross_scale": "Size of all crosses together against that of the features.",
        "signal_levels": "Levels into which a platform's tower is cut before anything is told of it.",
        "signal_weight": "Weight of a signal among the lender's features.",
        "fallback": "Whether lenders also train a score of their own features, for applicants without a signal. A plan "
        "in TOML that has platforms and does not say so has one; without platforms there is none.",
    },
    Privacy: {
        "epsilon": "Budget of a person: bounds what all sums of the plan together tell.",
        "delta": "Delta of the claim.",
        "label_epsilon": "Randomized response of labels that go to platforms. Plans with platforms need it.",
        "signal_bits": "Most bits of a person's signal that a platform tells, over the life of its data set. The "
        "data set has a limit of its own, set by its operator (4 by default); the lower of the two holds.",
        "clip_norm": "Norm to which each record's gradient is clipped.",
        "shares": "How the budget is shared out over the phases.",
        "max_records_per_person": "Records of a person that a party keeps; the choice looks at that person's record "
        "ids only.",
        "max_parties_per_person": "Parties of a group at which one person may be; absent: all of them. It says nothing "
        "of other groups: a person may be at this many lenders and at this many platforms of each kind.",
        "spare_attempts": "Attempts beyond the rounds of a phase that are in the budget, as a share of the rounds, "
        "rounded up.",
        "reserve_block": "Answers that a node charges to its ledger at once. After a crash all of them count as given, "
        "and their rounds are skipped; blocks write the ledger less often.",
        "noise": "`none` runs the same protocol without privacy, for simulations; a real node refuses it.",
    },
    Shares: {
        "bins": "Bins, of all groups together.",
        "signal": "Edges of the signals' levels; only where there are platforms.",
        "calibration": "Calibration.",
        "evaluation": "Evaluation: a share of the test persons' own budget.",
        "fallback": "Training and calibration of the fallback, where there is one.",
    },
    Training: {
        "algorithm": "`dp-sgd`: one global step a round, noise shared by the cohort. `fedavg`, `fedprox`: local steps, "
        'all of the noise at each party. `auto` is what `training = "auto"` stands for.',
        "engine": "How clipped sums of gradients are computed: in one pass, or by Opacus (slower, the same sum).",
        "rounds": "Rounds of each tower.",
        "sample_rate": "Probability with which each record is in a step's sample.",
        "optimizer": "The server's step.",
        "local": "Local steps of `fedavg` and `fedprox`, which need it; `dp-sgd` has none.",
    },
    Optimizer: {
        "kind": "Polyak momentum, or Adam.",
        "learning_rate": "Step size against the gradient per record.",
        "momentum": "Decay of the first moment.",
        "second_moment": "Decay of Adam's second moment.",
        "schedule": "Of the learning rate over the rounds.",
        "average_last": "The weights are the mean over this last part of the rounds; 0 takes the last alone.",
    },
    Local: {
        "steps": "Noisy steps of a party in a round.",
        "learning_rate": "Of a local step.",
        "proximal": "FedProx's pull to the round's first weights; above 0 for `fedprox`, 0 for `fedavg`.",
    },
    SimulationSettings: {
        "dataset": "`uci`, `belanche`, `synthetic`, `world`, or the path of a .csv or .parquet file.",
        "tables": "Tables of their own, by group or party: the path of a file seen from this file. A party's table is "
        "its whole; a group's is dealt out among its parties. All others get theirs from `dataset`.",
        "record_numbers": "Tables from files get a column of this name with the number of each row, for those that "
        "name no records.",
        "labelled_only": "Rows of lenders whose label is neither good nor bad are left out.",
        "partition": "How lenders share the rows: equal parts at random, sizes by Dirichlet, or label shares by "
        "Dirichlet.",
        "alpha": "Concentration of the Dirichlet draws, which need it; small is uneven.",
        "seed": "Deals the rows out; absent: the plan's seed.",
        "creators": "Rows of `synthetic`, absent: 24,000; or creators of the world, absent: its config's.",
        "creators_seed": "Which invented creators; absent: 0.",
        "world": "The world's config: `default`, `small`, or a TOML file seen from this file (world.md).",
        "coverage": "By group: the share of all persons that each of its parties knows, whoever else does. The parties "
        "of a group that is not named share all persons out.",
        "consent": "Share of persons who agree to a pair of a lender and a platform, where the data set lacks the "
        "table's consent column.",
        "rewrite_ids": "Every party writes identifiers in another way, all alike in the normal form `creator-id`.",
    },
}

_MARKED = re.compile(r"(<!-- keys of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refresh(text: str) -> str:
    """The page with every table between markers rewritten; KeyError for a marker that names no model."""
    models = {model.__name__: model for model in MODELS}
    return _MARKED.sub(lambda found: found[1] + table(models[found[2]]) + found[3], text)


def table(model: type[BaseModel]) -> str:
    """The keys of a model as a Markdown table, in the order of the model."""
    schema = model.model_json_schema()
    if schema.get("$ref"):
        schema = schema["$defs"][model.__name__] | {"$defs": schema["$defs"]}
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, meaning in MEANINGS[model].items():
        entry = schema["properties"][name]
        default = "required" if name in schema.get("required", ()) else _default(entry)
        lines.append(f"| `{name}` | {_kind(entry)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(entry: dict[str, Any]) -> str:
    value = entry.get("default", {})
    if isinstance(value, dict):
        return "defaults" if value else "empty"
    return "none" if value is None else _code(value)


def _code(value: Any) -> str:
    """A value as TOML writes it."""
    return f"`{json.dumps(value)}`"


def _kind(entry: dict[str, Any]) -> str:
    """What a value may be, in words, from its JSON schema."""
    if "anyOf" in entry:
        return " or ".join(_kind(part) for part in entry["anyOf"] if part.get("type") != "null")
    if "oneOf" in entry:
        return " or ".join(_kind(part) for part in entry["oneOf"])
    if "$ref" in entry:
        name = entry["$ref"].rpartition("/")[2]
        link = next(heading for model, heading in MODELS.items() if model.__name__ == name)
        return f"[table](#{link})"
    if "const" in entry or "enum" in entry:
        return ", ".join(_code(value) for value in entry.get("enum", [entry.get("const")]))
    return _KINDS[entry["type"]](entry)


def _text(entry: dict[str, Any]) -> str:
    if entry.get("format") == "date":
        return "day, as `2025-12-31`"
    if pattern := entry.get("pattern"):
        return f"text, `{pattern}`"
    least, most = entry.get("minLength", 0), entry.get("maxLength")
    if most:
        return f"text of {least} to {most} characters"
    return f"text of at least {least} character{'s' * (least > 1)}" if least else "text"


def _number(entry: dict[str, Any]) -> str:
    word = "whole number" if entry["type"] == "integer" else "number"
    low, high = entry.get("minimum"), entry.get("maximum")
    bounds = [
        f"at least {_plain(low)}" if low is not None else "",
        f"above {_plain(entry['exclusiveMinimum'])}" if "exclusiveMinimum" in entry else "",
        f"at most {_plain(high)}" if high is not None else "",
        f"below {_plain(entry['exclusiveMaximum'])}" if "exclusiveMaximum" in entry else "",
    ]
    return ", ".join([word, *(bound for bound in bounds if bound)])


def _plain(value: float) -> str:
    return "2^63" if value == 2**63 else f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def _list(entry: dict[str, Any]) -> str:
    if "prefixItems" in entry:
        return f"pair, each: {_kind(entry['prefixItems'][0])}"
    least, most = entry.get("minItems", 0), entry.get("maxItems")
    count = f"{least} to {most}, " if most else f"at least {least}, " if least else ""
    return f"list ({count}each: {_kind(entry['items'])})"


def _tables(entry: dict[str, Any]) -> str:
    (inner,) = entry.get("patternProperties", {"": entry.get("additionalProperties")}).values()
    names = "".join(f" `{pattern}`" for pattern in entry.get("patternProperties", ()))
    return f"for each name{names}: {_kind(inner)}"


_KINDS = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": lambda entry: "`true` or `false`",
    "array": _list,
    "object": _tables,
}


if __name__ == "__main__":
    PAGE.write_text(refresh(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
