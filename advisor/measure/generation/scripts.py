"""Scripts: what an engine is timed by whose cache grows with each step. Every step of one that is played is a point, or a part of one."""

from collections.abc import Sequence
from typing import NamedTuple

from advisor.schema.generation import DecodePoint, MixedPoint, PrefillPoint, StepVisit
from advisor.schema.record import Count, Record, Whole

DECODED = 4  # steps in a row that only decode: one visit of a point
SHORT_TOKENS = 16  # of a prompt that costs next to nothing to read
LONG_IN_BUDGETS = 4  # of a prompt that is read in several steps, each farther behind its beginning
STEP_IN_TOKENS = 10  # of a prompt, that are read in the time of a step that decodes (a Llama of 135 M parameters: 5 to 15)


class Script(Record, frozen=True, kw_only=False, tag=True):
    """Requests of one length that run side by side, if any, and a prompt that joins them."""

    batch_size: Whole
    context_tokens: Whole  # of each of them, before its first token
    prompt_tokens: Count

    @property
    def joined(self) -> int:
        """How many requests run in the end."""
        return self.batch_size + 1

    @property
    def size(self) -> int:
        """How many tokens could be read in about the time that it takes."""
        stretches = 2 if self.batch_size else 1
        decoded = DECODED * (STEP_IN_TOKENS * stretches + self.batch_size)
        return self.batch_size * self.context_tokens + self.prompt_tokens + decoded

    def most_steps(self, budget_tokens: int) -> int:
        """Return how many steps it takes at the most: to read the batch, to decode, to read the prompt, to decode again."""
        room = budget_tokens - self.batch_size
        return -(-self.batch_size * self.context_tokens // room) - (-self.prompt_tokens // room) + 2 * DECODED + 2

    def longest(self, budget_tokens: int) -> int:
        """Return how many tokens the longest of its requests may have in the end."""
        return max(self.context_tokens, self.prompt_tokens) + self.most_steps(budget_tokens)

    def tokens(self, budget_tokens: int) -> int:
        """Return how many tokens the cache may have to hold for it."""
        each = self.most_steps(budget_tokens)
        return self.batch_size * (self.context_tokens + each) + self.prompt_tokens + each


def scripts(max_running: int, budget_tokens: int, max_tokens: int, *, longest_tokens: int | None = None) -> tuple[Script, ...]:
    """Return what tells the law of steps: prompts short and long, few and many requests at a short and a long context, and both at once.

    What is longer than a request may be, and a lone prompt that is longer than `longest_tokens`, is cut; what then still does not fit is
    left out.
    """
    beside = max_running - 1  # of a prompt that joins
    room = budget_tokens - beside
    long = LONG_IN_BUDGETS * budget_tokens if longest_tokens is None else min(longest_tokens, LONG_IN_BUDGETS * budget_tokens)
    wanted = [Script(0, 0, min(length, long)) for length in (SHORT_TOKENS, max(1, budget_tokens // 4), long)]
    if beside:
        wanted += [Script(beside, SHORT_TOKENS, 2 * room + max(1, room // 4))]
        wanted += [Script(max(1, beside // 2), 8 * SHORT_TOKENS, max(1, room // 2))]
    found = []
    for script in wanted:
        most = max_tokens - script.most_steps(budget_tokens)
        cut = Script(script.batch_size, min(script.context_tokens, most), min(script.prompt_tokens, most))
        if most > 0 and cut not in found:
            found.append(cut)
    return tuple(found)


class Content(Record, frozen=True, kw_only=True):
    """What a step reads and decodes."""

    batch_size: Whole  # requests that get a token
    context_tokens: Whole  # cached of them together
    tokens: Whole = 0  # of the prompt that is read beside
    past_tokens: Whole = 0


class Part(Content, frozen=True, kw_only=True):
    """What is one point of a script that was played: what its steps held, and how long they took."""

    visit: StepVisit


class Points(NamedTuple):
    """The steps of scripts by what they held: prompts alone, tokens alone, or both."""

    prefill: tuple[PrefillPoint, ...]
    decode: tuple[DecodePoint, ...]
    mixed: tuple[MixedPoint, ...]

    def and_also(self, other: "Points") -> "Points":
        """Return the points of both."""
        return Points(self.prefill + other.prefill, self.decode + other.decode, self.mixed + other.mixed)


NO_POINTS = Points((), (), ())


def points_of_plays(plays: Sequence[Sequence[Part]], *, variant: str, threads: int) -> Points:
    """Return the points of a script that was played several times, each with a visit of every play."""
    points = NO_POINTS
    for place, part in enumerate(plays[0] if plays else ()):
        points = points.and_also(point_of(part, tuple(parts[place].visit for parts in plays), variant=variant, threads=threads))
    return points


def point_of(part: Content, visits: tuple[StepVisit, ...], *, variant: str, threads: int) -> Points:
    """Return the point of steps with such a content: a prompt alone, tokens alone, or both."""
    if not part.tokens:
        decode = DecodePoint(
            variant=variant,
            intra_op_num_threads=threads,
            batch_size=part.batch_size,
            context_tokens=part.context_tokens,
            visits=visits,
        )
        return NO_POINTS._replace(decode=(decode,))
    if not part.batch_size:
        prefill = PrefillPoint(
            variant=variant, intra_op_num_threads=threads, tokens=part.tokens, past_tokens=part.past_tokens, visits=visits
        )
        return NO_POINTS._replace(prefill=(prefill,))
    mixed = MixedPoint(
        variant=variant,
        intra_op_num_threads=threads,
        batch_size=part.batch_size,
        context_tokens=part.context_tokens,
        tokens=part.tokens,
        past_tokens=part.past_tokens,
        visits=visits,
    )
    return NO_POINTS._replace(mixed=(mixed,))
