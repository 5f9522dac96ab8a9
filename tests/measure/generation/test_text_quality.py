"""Text quality: perplexity, bits and agreement are those of the text, compared piece by piece."""

import math

import numpy as np
import pytest

from advisor.errors import AdvisorError
from advisor.measure.generation.text_quality import Scored, scored, text_quality
from advisor.measure.generation.tokenizing import Windows
from tests.fake_decoder import FakeDecoder

SHA256 = "a" * 64


def windows_of(*tokens, given=1):
    return Windows(tokens=tokens, given=given, scored_bytes=tuple(4 * (len(entry) - given) for entry in tokens))


class Uniform(FakeDecoder):
    """Knows nothing: every token is as likely as any other."""

    def _likeliest(self, tokens):
        return np.zeros(self.vocabulary, dtype=np.float32)


WINDOWS = windows_of((1, 2, 3, 4), (5, 6, 7), (8, 9, 10, 11, 12))


def test_who_knows_nothing_has_the_perplexity_of_the_vocabulary():
    said = scored(Uniform(), WINDOWS, seconds=9.0)

    quality = text_quality(WINDOWS, said, said, data_sha256=SHA256, seed=0)

    assert pytest.approx(97.0) == quality.perplexity.value
    assert 9 == quality.tokens
    assert 3 == quality.perplexity.items
    assert pytest.approx(math.log2(97) / 4) == quality.bits_per_byte == quality.baseline_bits_per_byte
    assert (0.0, 0.0, 0.0) == (quality.perplexity.drop.low, quality.perplexity.drop.value, quality.perplexity.drop.high)
    assert 1.0 == quality.greedy_agreement.value == quality.greedy_agreement.high > quality.greedy_agreement.low


def test_what_a_variant_loses_is_the_increase_of_perplexity_with_an_interval_that_holds_it():
    before = Scored(surprise=(3.0, 2.0, 4.0), greedy=((1, 2, 3), (4, 5), (6, 7, 8, 9)))
    after = Scored(surprise=(3.3, 2.1, 4.4), greedy=((1, 2, 3), (4, 0), (6, 7, 8, 0)))

    quality = text_quality(WINDOWS, before, after, data_sha256=SHA256, seed=0)

    drop = quality.perplexity.drop
    assert pytest.approx(math.exp(0.8 / 9) - 1) == drop.value
    assert 0 < drop.low <= drop.value <= drop.high
    assert pytest.approx(7 / 9) == quality.greedy_agreement.value
    assert quality.greedy_agreement.low < 7 / 9 < quality.greedy_agreement.high
    assert "teacher-forced" in quality.greedy_agreement.source


def test_only_pieces_that_both_have_scored_are_compared():
    before = Scored(surprise=(3.0, 2.0, 4.0), greedy=((1, 2, 3), (4, 5), (6, 7, 8, 9)))
    after = Scored(surprise=(3.0,), greedy=((1, 2, 3),))

    quality = text_quality(WINDOWS, before, after, data_sha256=SHA256, seed=0)

    assert 1 == quality.perplexity.items
    assert 3 == quality.tokens
    assert 0.0 == quality.perplexity.drop.value
    assert pytest.approx(3.0 / math.log(2) / 12) == quality.bits_per_byte


def test_scoring_ends_with_its_time_but_never_before_the_fewest_pieces():
    moments = iter([0.0, 1.0, 5.0, 9.0])

    assert 2 == len(scored(Uniform(), WINDOWS, seconds=4.0, fewest=1, now=lambda: next(moments)).surprise)
    assert 1 == len(scored(Uniform(), WINDOWS, seconds=0.0, fewest=1, now=lambda: 0.0).surprise)
    assert 3 == len(scored(Uniform(), WINDOWS, seconds=1.0, fewest=9, now=lambda: 1.5).surprise)


def test_tokens_that_are_told_are_not_predicted():
    windows = windows_of((1, 2, 3, 4), given=2)

    said = scored(Uniform(), windows, seconds=1.0)

    assert pytest.approx(2 * math.log(97)) == said.surprise[0]
    assert 2 == len(said.greedy[0])


def test_the_likeliest_token_is_of_the_place_that_it_stands_for():
    decoder = FakeDecoder()

    said = scored(decoder, WINDOWS, seconds=9.0)

    expected = [int(decoder.prefill(np.array([5, 6][:count]), 0).argmax()) for count in (1, 2)]
    assert expected == list(said.greedy[1])


def test_logits_that_are_no_numbers_are_a_fault_of_the_variant():
    class Broken(FakeDecoder):
        def _likeliest(self, tokens):
            return np.full(self.vocabulary, np.nan, dtype=np.float32)

    with pytest.raises(AdvisorError, match="not finite"):
        scored(Broken(), WINDOWS, seconds=1.0)


def test_pieces_that_an_interval_needs_may_take_longer_but_not_without_end():
    moments = iter([0.0, 1.9, 2.1])

    assert 2 == len(scored(Uniform(), WINDOWS, seconds=1.0, fewest=3, now=lambda: next(moments)).surprise)
