"""An application as a lender's system sends it: checked before anything is computed, and without a value in a message.

Values are those of the plan's schema. The rules are those of a table's cells (`sealscore.clients.data.checks`), for
typed values: what a table's reader would refuse is refused here, with the name of the key.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

from sealscore.clients.data.cells import decimal
from sealscore.clients.data.derive import derived_values
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature, TableSchema
from sealscore.shared.text.foreign import encodable, plain

_KEYS = {"application_id", "as_of", "person", "product", "purpose", "features", "tokens"}
_NEEDED = ("application_id", "as_of", "person", "purpose", "features")
_MOST_TOKENS, _MOST_TOKEN_BYTES, _MOST_TEXT = 16, 16_384, 200
# A plan has at most 1000 features; looking for names that are close takes time.
_MOST_KEYS = 1000
STRANGE = "unknown key; leave it out"
"""How a line ends that is of a key which is like none of ours."""


class ApplicationError(ValueError):
    """An application that cannot be scored; `code` names the kind of fault, `problems` have one line each."""

    def __init__(self, code: str, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.code, self.problems = code, problems

    @property
    def answerable(self) -> list[str]:
        """The problems without keys that are like none of ours: such a key may be anything, a person's name too."""
        return [STRANGE if line.endswith(STRANGE) else line for line in self.problems]


@dataclass(frozen=True)
class Application:
    """A checked application. `values` has each unprotected column of the lenders' table, and the derived ones, as
    `Records.columns` has them: the index of a level where it is categorical, NaN where it is missing.

    `person` is the identifier in the plan's normal form; `digest` is over all of it. Its `repr` shows no value.
    """

    id: str
    as_of: date
    person: str
    product: str
    purpose: str
    values: dict[str, float] = field(repr=False)
    tokens: tuple[bytes, ...] = field(repr=False)
    digest: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"Application(purpose={self.purpose!r})"

    @classmethod
    def parse(cls, data: Any, plan: Plan, today: date) -> Application:
        """Check plain data, as JSON gives it.

        Raises:
            ApplicationError: keys that are unknown or missing, values of the wrong type or out of their bounds, a day
                that is none or is to come, or an identifier without a normal form.
        """
        if not isinstance(data, dict):
            raise ApplicationError("malformed", ["an application is a JSON object"])
        problems = [_unknown(key, _KEYS) for key in islice(data, _MOST_KEYS) if key not in _KEYS]
        problems += [f"{key}: missing" for key in _NEEDED if key not in data]
        for key in ("application_id", "as_of", "person", "product", "purpose"):
            value = data.get(key, "")
            if key in data and not (isinstance(value, str) and 1 <= len(value) <= _MOST_TEXT and encodable(value)):
                problems.append(f"{key}: must be text of 1 to {_MOST_TEXT} characters")
        tokens, wrong = _tokens(data.get("tokens", []))
        problems += wrong
        if not isinstance(data.get("features"), dict):
            problems += ["features: must be an object of values by their names"] if "features" in data else []
        if problems:
            raise ApplicationError("malformed", problems)
        as_of = _day(str(data["as_of"]), today)
        person = NORMAL_FORMS[plan.alignment.identifier](str(data["person"]).strip())
        if not person:
            raise ApplicationError(
                "person", [f"person: has no normal form as {plan.alignment.identifier!r}; correct it"]
            )
        values = feature_values(data["features"], plan.groups[plan.lenders].table)
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
        digest = hashlib.sha256(text.encode()).digest()
        product, purpose = str(data.get("product", "")), str(data["purpose"])
        return cls(str(data["application_id"]), as_of, person, product, purpose, values, tokens, digest)


def feature_values(given: Mapping[str, Any], table: TableSchema) -> dict[str, float]:
    """Values by name as JSON has them -> those of one record, derived ones among them.

    Protected features are no part of a score and are refused like any unknown key.

    Raises:
        ApplicationError: see `Application.parse`.
    """
    wanted = {feature.name: feature for feature in table.features if not feature.protected}
    problems = [f"features.{_unknown(name, wanted)}" for name in islice(given, _MOST_KEYS) if name not in wanted]
    if len(given) > _MOST_KEYS:
        problems.append(f"features: have at most {_MOST_KEYS} keys")
    values = {}
    for name, feature in wanted.items():
        value = given.get(name)
        try:
            number = _level(value, feature) if isinstance(feature, CategoricalFeature) else _number(value, feature)
        except ValueError as error:
            problems.append(f"features.{name}: {error}")
            continue
        values[name] = number
    if problems:
        raise ApplicationError("features", problems)
    return derived_values(table, values)


def _number(value: Any, feature: NumericFeature) -> float:
    """A number, NaN where it may be missing and is; ValueError in words without the value."""
    if value is None:
        return _missing(feature)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    number = _float(value)
    if not math.isfinite(number):
        raise ValueError("must be a finite number; leave it out or give null where there is no value")
    if feature.clip:
        number = min(max(number, feature.lower), feature.upper)
    if not feature.lower <= number <= feature.upper:
        raise ValueError(f"is outside its bounds, {decimal(feature.lower)} to {decimal(feature.upper)}")
    if feature.integer and number != round(number):
        raise ValueError("must be a whole number")
    return number


def _float(value: int | float) -> float:
    """A number as a float; infinite where it is an integer beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _level(value: Any, feature: CategoricalFeature) -> float:
    if value is None:
        return _missing(feature)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be one of its levels")
    written = value if isinstance(value, str) else decimal(found) if math.isfinite(found := _float(value)) else ""
    if written in feature.levels:
        return float(feature.levels.index(written))
    if feature.other is not None:
        return float(feature.levels.index(feature.other))
    shown = ", ".join(feature.levels[:12]) + (", ..." if len(feature.levels) > 12 else "")
    raise ValueError(f"is none of its levels: {shown}")


def _missing(feature: NumericFeature | CategoricalFeature) -> float:
    if not feature.missing:
        raise ValueError("missing; the plan's schema needs it")
    return math.nan


def _day(text: str, today: date) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ApplicationError("malformed", ["as_of: must be a day such as 2027-03-31"]) from None
    if found.isoformat() != text:
        raise ApplicationError("malformed", ["as_of: must be a day such as 2027-03-31"])
    if found > today:
        raise ApplicationError("clock", [f"as_of: is after today, {today}; set the clock that is wrong"])
    return found


def _tokens(given: Any) -> tuple[tuple[bytes, ...], list[str]]:
    if not (isinstance(given, list) and len(given) <= _MOST_TOKENS and all(isinstance(one, str) for one in given)):
        return (), [f"tokens: must be a list of at most {_MOST_TOKENS} texts"]
    try:
        found = tuple(base64.b64decode(one.encode("ascii"), altchars=b"-_", validate=True) for one in given)
    except (binascii.Error, UnicodeEncodeError):
        return (), ["tokens: must be in URL-safe base64, as the platform gave them"]
    if any(len(one) > _MOST_TOKEN_BYTES for one in found):
        return (), [f"tokens: have at most {_MOST_TOKEN_BYTES} bytes"]
    return found, []


def _unknown(key: Any, known: Any) -> str:
    close = difflib.get_close_matches(str(key)[:80], [str(one) for one in known], n=1)
    return f"{plain(str(key), 80)}: " + (f"unknown key; did you mean {close[0]!r}?" if close else STRANGE)
