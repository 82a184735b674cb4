"""What the names of columns say of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

from sealscore.shared.plan.errors import PlanError

_PROTECTED_WORDS = (
    "sex gender male female age race racial ethnicity ethnic black white hispan hispanic asian "
    "married marital marriage single divorced nationality citizenship foreign immigrant religion "
    "disability disabled pregnant birth birthday"
)
_PROTECTED = frozenset(_PROTECTED_WORDS.split())
_PROTECTED_SIGNS = ("性别", "年龄", "民族", "种族", "婚姻", "国籍", "宗教", "出生", "残疾")
_LABEL_WORDS = (
    "default defaulted defaults label target bad outcome delinquent delinquency creditability churn y "
    "chargeoff reject rejected status repaid approve approved"
)
_LABEL = frozenset(_LABEL_WORDS.split())
_LABEL_SIGNS = ("违约", "逾期", "坏账", "标签")
_GOOD_LABEL_WORDS = "good approve approved repaid paid creditworthy"
_GOOD_LABEL = frozenset(_GOOD_LABEL_WORDS.split())
_ID_WORDS = "id ids uuid rownames rowname rownumber index key unnamed no number"
_ID = frozenset(_ID_WORDS.split())
_ID_SIGNS = ("编号", "序号", "身份证", "客户号", "合同号", "账号")
_PERSON_WORDS = "person customer client user member borrower applicant creator holder"
_PERSON = frozenset(_PERSON_WORDS.split())
_PERSON_SIGNS = ("身份证", "客户")


def words(name: str) -> list[str]:
    """The words of a column's name, in lower case: "customerID" and "CUSTOMER_ID" are customer and id."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z]+", apart.lower())


def _says(name: str, known: Iterable[str], signs: Sequence[str]) -> bool:
    return not set(words(name)).isdisjoint(known) or any(sign in name for sign in signs)


def seems_protected(name: str) -> bool:
    """Whether the law may forbid the column in a score: sex, age, race, family, origin, religion."""
    return _says(name, _PROTECTED, _PROTECTED_SIGNS)


def seems_label(name: str) -> bool:
    """Whether the column may be the outcome."""
    return _says(name, _LABEL, _LABEL_SIGNS)


def seems_good_label(name: str) -> bool:
    """Whether a 1 in the column means a good loan."""
    return _says(name, _GOOD_LABEL, ())


def seems_id(name: str) -> bool:
    """Whether the column may name records or persons; one without a name is a data frame's index."""
    return not name or _says(name, _ID, _ID_SIGNS)


def seems_person(name: str) -> bool:
    """Whether the column may name persons."""
    return _says(name, _PERSON, _PERSON_SIGNS)


def resolve(wanted: str, columns: Sequence[str], option: str) -> str:
    """The column that an option means: its name, or the only one that begins with it or holds it, in any case.

    Raises:
        PlanError: none fits, or several do.
    """
    folded = wanted.casefold()
    for fits in (
        lambda name: name == wanted,
        lambda name: name.casefold() == folded,
        lambda name: name.casefold().startswith(folded),
        lambda name: folded in name.casefold(),
    ):
        if found := [name for name in columns if fits(name)]:
            if len(found) == 1:
                return found[0]
            break
    what = f"several columns fit: {', '.join(found)}" if found else f"no column fits; there are {', '.join(columns)}"
    raise PlanError(f"{option} {wanted}", [what])


def resolve_all(wanted: str, columns: Sequence[str], option: str) -> list[str]:
    """The columns that a list like "LIMIT_BAL, PAY_*" means, in the table's order; PlanError for a part without any."""
    found: set[str] = set()
    for part in filter(None, (part.strip() for part in wanted.split(","))):
        matching = [name for name in columns if fnmatch.fnmatchcase(name, part)] if re.search(r"[*?\[]", part) else []
        found.update(matching or [resolve(part, columns, option)])
    return [name for name in columns if name in found]
