"""The prompts that prompt lookup is tried on, beside the user's: of some the answers copy, from others they go on freely."""

from pathlib import Path

import numpy as np

from advisor.errors import InputError
from advisor.measure.generation.openvino.engine import Lookup
from advisor.measure.generation.openvino.speculation import (
    ASK_TO_COPY,
    BEGUN_TOKENS,
    COPY_BEGINS,
    MOST_ROUNDS,
    copying_prompts,
    free_prompts,
)
from advisor.measure.generation.tokenizing import encoded
from advisor.schema.record import Count, Record, Whole

PIECE_TOKENS = 52  # of a text that is copied or gone on from
# Of an answer: beside a short one its prompt would be most of the time, and of many requests short ones show as much.
OUTPUT_TOKENS, OUTPUT_TOKENS_OF_MANY = 44, 20
FEWEST_PIECE_TOKENS = BEGUN_TOKENS + 4
OUTPUT_SHARE = 4  # of what a request may have, an answer takes one part in so many
# Prose that hardly repeats itself: in what goes on from it lookup finds little.
SAMPLE = """\
The harbor woke before the town did. At four the lamps along the quay went out one by one, and the first boats came round the point with
their engines throttled down, gulls trailing behind them like torn paper. Marta kept the ledger in a shed that smelled of diesel and cold
coffee. She wrote down every crate: cod, ling, two boxes of crab, a skate so large that it hung over both ends of the scale. Her pencil was
never longer than a thumb, because her brother stole the new ones for his carpentry.

Further inland, where the road leaves the river, stands a mill that has not turned since the dry summer. Its owner, a retired surveyor,
measures rainfall instead. He has eleven notebooks of numbers and a theory about the moon which nobody in the valley wishes to hear again.
On Sundays he walks to the chapel ruins, counts the swallows under the arch, and subtracts last year's figure with visible satisfaction.

A library van visits both places on Thursdays. It carries detective stories, three shelves of travel, one atlas whose borders are out of
date, and a basket of picture books that children return sticky. The driver trained as an opera singer in another country; when the van
climbs the steep bend above the quarry, passengers at the bus stop hear a low note rise together with the gears. Nobody has ever asked him
why he stopped performing, though everyone has an explanation ready.

Electricity arrived late here. Older people still say that someone "lights the evening" when a switch is pressed, and the inspector who
reads the meters is offered soup at every second door. His route takes six days, longer if there is a wedding. What he likes best, he once
told the surveyor, is the hour after a storm: cables humming, gutters running, dogs shaking themselves dry, and on each roof some man with a
hammer, looking up at the sky as though it owed him money.
"""


class Prompts(Record, frozen=True, kw_only=True):
    """Prompts of tokens, enough for the most rounds of so many requests, and how long answers are."""

    output_tokens: Count  # of a request alone
    output_tokens_of_many: Count
    piece_tokens: Count
    copying: tuple[tuple[Whole, ...], ...]
    free: tuple[tuple[Whole, ...], ...]


def read_prompts(model: Path, *, vocabulary: int, max_tokens: int, most_running: int, seed: int) -> Prompts:
    """Return prompts by the tokenizer of the model, for requests of at most `max_tokens`, so many of them at once.

    Raises InputError where there is no tokenizer, or no room for a prompt and an answer.
    """
    given = encoded(model, (SAMPLE, ASK_TO_COPY, COPY_BEGINS), vocabulary=vocabulary, purpose="prompt lookup could not be tried")
    sample, *asked = given.texts
    output = max(2, min(OUTPUT_TOKENS, max_tokens // OUTPUT_SHARE))
    around = len(given.prefix) + sum(map(len, asked)) + BEGUN_TOKENS + output + Lookup().tokens
    piece = min(PIECE_TOKENS, max_tokens - around)
    if piece < FEWEST_PIECE_TOKENS:
        raise InputError(
            f"requests of up to {max_tokens:,} tokens leave no room to try prompt lookup in",
            hint="ask for longer prompts or answers",
        )
    document, count = np.array(sample, dtype=np.int64), MOST_ROUNDS * most_running
    words = dict(zip((ASK_TO_COPY, COPY_BEGINS), asked, strict=True))
    order = np.random.default_rng(seed).permutation(count)  # neighbors overlap, and shall not run side by side
    copying = copying_prompts(document, words.__getitem__, count=count, tokens=piece)
    free = free_prompts(document, count=count, tokens=piece)
    prefix = list(given.prefix)
    return Prompts(
        output_tokens=output,
        output_tokens_of_many=min(output, OUTPUT_TOKENS_OF_MANY),
        piece_tokens=piece,
        copying=tuple((*prefix, *copying[place].tolist()) for place in order),
        free=tuple((*prefix, *free[place].tolist()) for place in order),
    )
