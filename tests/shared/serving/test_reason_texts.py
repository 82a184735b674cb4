"""What an applicant is told of a bin: its side of the median, whose sentence, and what is never told."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.plan.schema import CategoricalFeature, LevelReason, NumericFeature, NumericReason, Sentence
from sealscore.shared.serving.reason_texts import Reason, reason, reasons_of


def numeric(shares: tuple[float, ...], **keys: Any) -> FeatureBins:
    feature = NumericFeature(name="paid", lower=0, upper=100, **keys)
    return FeatureBins(feature, tuple(float(edge) for edge in range(1, len(shares) - feature.missing)), shares)


def levels(shares: tuple[float, ...], name: str = "sector", **keys: Any) -> FeatureBins:
    count = len(shares) - keys.get("missing", False)
    return FeatureBins(CategoricalFeature(name=name, levels=tuple(map(str, range(count))), **keys), (), shares)


def sentence(words: str) -> Sentence:
    return Sentence(en=words, zh=f"{words} 中文")


def codes(part: FeatureBins) -> list[str]:
    found = [reason(part, bin) for bin in range(part.size)]
    return [one.code for one in found if one is not None]


class TestDirection:
    def test_bins_beside_the_median_bin(self):
        assert codes(numeric((0.2, 0.2, 0.4, 0.1, 0.1)))[:2] == ["paid.low"] * 2
        assert codes(numeric((0.1, 0.1, 0.4, 0.2, 0.2)))[3:] == ["paid.high"] * 2

    def test_the_median_bin_is_on_the_side_where_fewer_persons_are(self):
        # Six in ten have the lowest value: it is low, as the rest lies above.
        assert codes(numeric((0.6, 0.3, 0.1))) == ["paid.low", "paid.high", "paid.high"]
        assert codes(numeric((0.1, 0.3, 0.6))) == ["paid.low", "paid.low", "paid.high"]

    def test_missing_values_do_not_move_the_median(self):
        part = numeric((0.06, 0.03, 0.01, 0.9), missing=True)
        assert codes(part) == ["paid.low", "paid.high", "paid.high", "paid.missing"]

    def test_levels_with_and_without_an_order(self):
        assert codes(levels((0.5, 0.2, 0.3), missing=True)) == ["sector.level", "sector.level", "sector.missing"]
        assert codes(levels((0.5, 0.2, 0.3), ordered=True)) == ["sector.low", "sector.high", "sector.high"]

    def test_a_scorer_may_make_all_of_a_feature_at_once(self):
        for part in (
            numeric((0.6, 0.3, 0.1)),
            levels((0.5, 0.2, 0.3), ordered=True, missing=True),
            numeric((1 / 3,) * 3),
        ):
            texts = {"paid": NumericReason(low=sentence("low"))}
            assert reasons_of(part, texts) == tuple(reason(part, bin, texts) for bin in range(part.size))
        assert reasons_of(numeric((0.5, 0.5), proxy=True)) == (None, None)

    def test_a_bin_that_is_none_is_refused_and_one_of_numpy_is_taken(self):
        part = numeric((0.5, 0.5))
        for bin in (-1, 2):
            with pytest.raises(ValueError, match="bins 0 to 1"):
                reason(part, bin)
        assert reason(part, np.int16(1)) == reason(part, 1)


class TestSentence:
    def test_the_plans_own_comes_first_then_the_texts_then_the_name(self):
        own = NumericReason(high=sentence("own high"))
        part = numeric((0.4, 0.4, 0.2), missing=True, reason=own)
        texts = {"paid": NumericReason(high=sentence("text high"), low=sentence("text low"))}
        assert reason(part, 1, texts) == Reason("paid.high", "own high", "own high 中文")
        assert reason(part, 0, texts) == Reason("paid.low", "text low", "text low 中文")
        found = reason(part, 2, texts)
        assert found is not None
        assert found.code == "paid.missing"
        assert "paid" in found.en
        assert "paid" in found.zh

    def test_one_for_whatever_level_serves_both_sides_but_not_a_missing_value(self):
        part = levels((0.3, 0.3, 0.4), ordered=True, missing=True, reason=LevelReason(level=sentence("the level")))
        assert codes(part) == ["sector.level", "sector.level", "sector.missing"]
        assert reason(part, 0) == Reason("sector.level", "the level", "the level 中文")

    def test_texts_of_another_kind_do_no_harm(self):
        part = levels((0.5, 0.5))
        assert reason(part, 0, {"sector": NumericReason(low=sentence("low"))}) == reason(part, 0)

    def test_every_default_is_in_both_languages_and_one_code_has_one(self):
        parts = [
            numeric((0.3, 0.3, 0.4), missing=True),
            levels((0.3, 0.3, 0.4), missing=True),
            levels((0.3, 0.3, 0.4), "signal.wallet", ordered=True, missing=True),
            levels((0.3, 0.3, 0.4), "signal.channel", ordered=True, missing=True),
        ]
        found = [told for part in parts for bin in range(part.size) if (told := reason(part, bin))]
        assert len(found) == sum(part.size for part in parts)
        assert len({told.code for told in found}) == len(set(found)) == len({told.en for told in found})
        for told in found:
            assert told.en.isascii()
            assert any("\u4e00" <= character <= "\u9fff" for character in told.zh)
            assert told.en == told.en.strip()
            assert told.zh == told.zh.strip()

    def test_a_name_with_codes_of_a_terminal_is_shown_by_escapes(self):
        part = FeatureBins(NumericFeature(name="a\x1b[31m", lower=0, upper=1), (0.5,), (0.5, 0.5))
        found = reason(part, 0)
        assert found is not None
        assert found.en.isprintable()
        assert found.zh.isprintable()


class TestSignal:
    def test_its_sentences_name_the_platforms_and_not_the_level(self):
        told = {}
        for group in ("short-video", "channel"):
            part = levels((0.2,) * 5, f"signal.{group}", ordered=True, missing=True)
            assert codes(part) == [f"signal.{group}.level"] * 4 + [f"signal.{group}.missing"]
            told[group] = [reason(part, 0), reason(part, 4)]
        assert all(one is not None and "short-video" in one.en for one in told["short-video"])
        assert all(one is not None and "短视频" in one.zh for one in told["short-video"])
        assert all(one is not None and "channel" in one.en and "channel" in one.zh for one in told["channel"])

    def test_a_number_of_that_name_is_a_column(self):
        part = FeatureBins(NumericFeature(name="signal.x", lower=0, upper=1), (0.5,), (0.5, 0.5))
        assert codes(part) == ["signal.x.low", "signal.x.high"]


@pytest.mark.parametrize(("what", "bin"), product(("protected", "proxy"), (0, 1)))
def test_what_is_protected_or_a_proxy_is_never_told(what: str, bin: int):
    texts = {"paid": NumericReason(high=sentence("high"), low=sentence("low"))}
    assert reason(numeric((0.5, 0.5), **{what: True}), bin, texts) is None
    assert reason(levels((0.5, 0.5), **{what: True}), bin) is None
    assert reason(levels((0.5, 0.5), "signal.x", ordered=True, **{what: True}), bin) is None
