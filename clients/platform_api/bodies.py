"""What a platform's back end sends and gets, as checked types; the API's description is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from sealscore.clients.http.bodies import ApiBody
from sealscore.shared.serving.watch import MOST_QUARTERS

_HEX = r"^[0-9a-f]{64}$"
Hash = Annotated[str, Field(pattern=_HEX, description="64 lower-case hexadecimal digits")]
Person = Annotated[str, Field(min_length=1, max_length=200, description="the creator's identifier, as was verified")]
LenderName = Annotated[str, Field(min_length=1, max_length=63, description="a lender of the release")]


class ConsentBody(ApiBody):
    """A creator agreed, just now, that a lender may be told of her. Sent again with the same key it is the same one."""

    key: Annotated[str, Field(min_length=1, max_length=200, description="idempotency key of this consent")]
    person: Person
    lender: LenderName
    release: Annotated[Hash, Field(description="the release, by its hash; its purpose is that of the consent")]
    kinds: Annotated[
        list[Literal["signal", "capacity", "flag", "reasons"]],
        Field(max_length=4, description="what the consent names beside the signal, which a token always tells"),
    ] = Field(default_factory=list)
    text: Annotated[Hash, Field(description="SHA-256 of the text that was shown")]
    language: Annotated[str, Field(min_length=2, max_length=20, description="the language of that text, as zh or en")]
    retraining: Annotated[bool, Field(description="whether the consent names retraining, too")] = False


class WatchBody(ApiBody):
    """A creator agreed to be watched for a lender, by the token whose consent had that key."""

    key: Annotated[str, Field(min_length=1, max_length=200, description="the key of the consent to the token")]
    person: Person
    lender: LenderName
    release: Hash
    quarters: Annotated[int, Field(ge=1, le=MOST_QUARTERS, description="for so many quarters after this one")]
    text: Annotated[Hash, Field(description="SHA-256 of the text that was shown")]
    language: Annotated[str, Field(min_length=2, max_length=20, description="the language of that text, as zh or en")]


class WithdrawalBody(ApiBody):
    """A creator withdraws from a lender, or ends what she agreed to be told of her."""

    person: Person
    lender: LenderName


class PersonBody(ApiBody):
    """A creator asks what was told of her."""

    person: Person


class FactorsBody(ApiBody):
    """A creator asks what moves her level, before she applies."""

    person: Person
    release: Hash


class FeaturesBody(ApiBody):
    """Raw rows of one creator, by table as docs/features.md names tables and columns, as of a day."""

    release: Hash
    as_of: Annotated[str, Field(min_length=10, max_length=10, description="the day, as 2026-03-31")]
    tables: Annotated[dict[str, list[dict[str, Any]]], Field(description="[] where the creator has no row")]


class TokenAnswer(BaseModel):
    """The token, base64 for URLs, which the creator gives to the lender; `expires` is its last day."""

    token: str
    release: str
    lender: str
    expires: str


class WithdrawalAnswer(BaseModel):
    """How many tokens the lender will be told not to use any more."""

    lender: str
    tokens: int


class WatchAnswer(BaseModel):
    """The first and the last quarter, as 2027-q1, of which a bit is told."""

    lender: str
    release: str
    first: str
    last: str


class WatchEndAnswer(BaseModel):
    """How many watches were ended."""

    lender: str
    watches: int


class ToldRow(BaseModel):
    """One value that was told for scoring. `bits` are those that were new: the same value costs once a month.
    `corrected` is the cause where it took the place of a wrong one.
    """

    kind: str
    month: str
    value: int
    bits: int
    lender: str
    release: str
    day: str | None
    withdrawn: str | None
    corrected: str | None = None


class ToldAnswer(BaseModel):
    """All that was told of a creator for scoring, in order."""

    told: list[ToldRow]


class Factor(BaseModel):
    """A feature that moves the score behind the level: a code, and a sentence in English and in Chinese."""

    code: str
    en: str
    zh: str


class FactorsAnswer(BaseModel):
    """What lowered and what raised the score behind the level, the most first, at most four each."""

    lowered: list[Factor]
    raised: list[Factor]


class ApplicantFlag(BaseModel):
    """A flag for who decides; no score counts it."""

    code: str
    reason_en: str
    reason_zh: str


class FeaturesAnswer(BaseModel):
    """The features of the release's table for this kind of platform, None where missing, and the flags raised."""

    features: dict[str, float | int | str | None]
    flags: list[ApplicantFlag]


class OfferedRelease(BaseModel):
    """A release for which tokens are made: what it tells, to whom, for which purpose, and until when."""

    release: str
    name: str
    purpose: str
    lenders: list[str]
    kinds: dict[str, int]
    expires: str


class ReleasesAnswer(BaseModel):
    """The live releases. `kinds` has the bits of each."""

    releases: list[OfferedRelease]
