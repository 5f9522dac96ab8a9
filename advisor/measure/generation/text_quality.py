"""How well a variant predicts the user's text, beside the baseline on the same windows: perplexity, bits per byte, and what comes next."""

import math
import time
from collections.abc import Callable

import numpy as np

from advisor.errors import AdvisorError
from advisor.measure.decoder.numpy_decoder import GivesLogits
from advisor.measure.generation.tokenizing import FEWEST_PIECES, Windows
from advisor.measure.quality.evaluation import BOOTSTRAP_DRAWS, LEVEL, drop_of
from advisor.measure.quality.metrics import perplexity_of
from advisor.measure.quality.scores import surprise
from advisor.schema.generation import TextQuality
from advisor.schema.profile import QualityResult
from advisor.schema.record import Estimate, NonNegative, Record, Whole

PERPLEXITY = "perplexity"
MOST_OVER = 2.0


class Scored(Record, frozen=True, kw_only=True):
    """What a decoder says of windows, as many of them as there was time for: of each how unlikely its tokens are, and which it expects."""

    surprise: tuple[NonNegative, ...]  # the negative logarithms of the tokens' probabilities, summed
    greedy: tuple[tuple[Whole, ...], ...]  # of each token that is to be predicted, the likeliest one in its place


def scored(
    decoder: GivesLogits,
    windows: Windows,
    *,
    seconds: float,
    fewest: int = FEWEST_PIECES,
    now: Callable[[], float] = time.perf_counter,
) -> Scored:
    """Return what the decoder says of the windows until the time is over, of the first one always.

    Of `fewest` it may take MOST_OVER times as long.
    Raises AdvisorError for logits that are no numbers.
    """
    began_s = now()
    sums: list[float] = []
    greedy: list[tuple[int, ...]] = []
    for tokens in windows.tokens:
        took_s = now() - began_s if sums else 0.0
        if (len(sums) >= fewest and took_s >= seconds) or (sums and took_s >= MOST_OVER * seconds):
            break
        ids = np.array(tokens, dtype=np.int64)
        logits = decoder.logits(ids[:-1])[windows.given - 1 :]
        if not np.isfinite(logits).all():
            raise AdvisorError("its logits are not finite on the text", hint="leave this scheme out")
        sums.append(float(surprise(logits, ids[windows.given :]).sum()))
        greedy.append(tuple(logits.argmax(axis=-1).tolist()))
    return Scored(surprise=tuple(sums), greedy=tuple(greedy))


def text_quality(windows: Windows, baseline: Scored, variant: Scored, *, data_sha256: str, seed: int) -> TextQuality:
    """Return the quality of the variant on the windows that both have scored, with paired bootstrap intervals over windows."""
    count = min(len(baseline.surprise), len(variant.surprise))
    tokens = np.array([len(entry) for entry in baseline.greedy[:count]], dtype=np.int64)
    before, after = np.array(baseline.surprise[:count]), np.array(variant.surprise[:count])
    scores = perplexity_of(before, tokens), perplexity_of(after, tokens)
    everything, total = np.arange(count), int(tokens.sum())
    random = np.random.default_rng(seed)
    source = f"{total:,} tokens of {count} pieces of the text, paired bootstrap of {BOOTSTRAP_DRAWS} draws over pieces"
    scored_bytes = max(1, sum(windows.scored_bytes[:count]))
    return TextQuality(
        perplexity=QualityResult(
            metric=PERPLEXITY,
            data_sha256=data_sha256,
            items=count,
            baseline=scores[0](everything),
            value=scores[1](everything),
            drop=drop_of(PERPLEXITY, *scores, everything, random, LEVEL, f"perplexity on {source}"),
        ),
        bits_per_byte=float(after.sum()) / math.log(2) / scored_bytes,
        baseline_bits_per_byte=float(before.sum()) / math.log(2) / scored_bytes,
        tokens=total,
        greedy_agreement=_agreement(baseline, variant, tokens, random, source),
    )


def _agreement(baseline: Scored, variant: Scored, tokens: np.ndarray, random: np.random.Generator, source: str) -> Estimate:
    """Return the share of places in the text where both expect the same next token."""
    pairs = zip(baseline.greedy, variant.greedy, strict=False)
    equal = np.array([sum(a == b for a, b in zip(*pair, strict=True)) for pair, _ in zip(pairs, tokens, strict=False)])
    draws = random.integers(0, len(tokens), size=(BOOTSTRAP_DRAWS, len(tokens)))
    low, high = np.quantile(equal[draws].sum(axis=1) / tokens[draws].sum(axis=1), (LEVEL, 1 - LEVEL))
    value = float(equal.sum() / tokens.sum())
    # That none differs in so many is no proof that none ever does.
    unseen = 1.0 - (2 * LEVEL) ** (1.0 / int(tokens.sum()))
    return Estimate(
        value=value,
        low=float(max(0.0, min(low, value - unseen))),
        high=float(max(high, value)),
        basis="measured",
        source=f"the likeliest next token after the same text (teacher-forced), {source}",
    )
