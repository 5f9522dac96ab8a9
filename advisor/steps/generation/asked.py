"""What a workload asks of a decoder's profile: lengths of prompts and contexts, how many requests run side by side, and the user's text."""

import math
from pathlib import Path
from typing import NamedTuple

from advisor.decide.generation.traffic import Room
from advisor.errors import InputError
from advisor.files.workload import requests_of, tokens_of
from advisor.measure.generation.step_timing import Lengths
from advisor.schema.generation import DecoderFacts, EncoderFacts
from advisor.schema.options import ProfileOptions
from advisor.schema.workload import GenerationWorkload, SequenceLength, Tokens
from advisor.units import counted, size

# Without a workload: what people ask an assistant, and what it answers (median and 95th percentile, about those of chats).
USUAL_TOKENS = Tokens(input=SequenceLength(p50=128, p95=512), output=SequenceLength(p50=64, p95=256))
USUAL_RUNNING, MOST_RUNNING = 8, 32  # side by side: by then a decode step on a CPU takes in proportion to how many there are
CHUNK_TOKENS = 128
Z_95, Z_999 = 1.645, 3.090  # of a normal distribution
MOST_OVER_P95 = 2.0  # of prompts that are timed: beyond it the law of the others holds, and each of them takes long
KV_SHARE = 0.25  # of the memory that is free, for one cache: several variants are open side by side
USUAL_TPOT_S, USUAL_TTFT_S = 0.2, 1.0  # of a service without such a target, to know how many requests overlap


class Asked(NamedTuple):
    """What is to be measured, and on what."""

    lengths: Lengths
    max_running: int
    max_context_tokens: int
    text: Path | None
    max_drop: float | None  # of quality; None: no floor
    input_fraction: float | None = None  # of what is cached on average, the part of an encoder; None: there is none


def asked_of(
    facts: DecoderFacts, workload: GenerationWorkload | None, options: ProfileOptions, *, free_bytes: int | None
) -> Asked:
    """Return what is to be measured of the decoder; raise InputError for requests that do not fit its context, or the memory.

    `free_bytes` is what this process and its children may still take; None: not known.
    """
    tokens = USUAL_TOKENS
    if workload is not None and options.workload is not None:
        tokens = tokens_of(workload, options.workload)
    tokens = _as_the_model_reads(tokens, facts, is_given=workload is not None)
    context = _context_tokens(facts, tokens, is_given=workload is not None)
    rows = _rows(facts, context, free_bytes)
    running = min(
        rows, options.max_batch_size, MOST_RUNNING, max(USUAL_RUNNING, _overlapping(workload, options.workload, tokens))
    )
    return Asked(
        lengths=_lengths(tokens, context, facts.encoder),
        max_running=running,
        max_context_tokens=context,
        text=_text(workload, options.workload),
        max_drop=workload.quality.max_drop if workload is not None and workload.quality is not None else None,
        input_fraction=_input_fraction(tokens) if facts.encoder is not None else None,
    )


def _text(workload: GenerationWorkload | None, path: Path | None) -> Path | None:
    """Return where the user's text lies, None where none is named."""
    if workload is None or path is None or workload.quality is None or workload.quality.data is None:
        return None
    return path.parent / workload.quality.data


def longest_of(lengths: SequenceLength) -> int:
    """Return the length that hardly any request exceeds: the limit, or where none is given the 99.9th percentile of the law."""
    if lengths.max is not None:
        return lengths.max
    spread = math.log((lengths.p95 or lengths.p50) / lengths.p50) / Z_95
    return math.ceil(lengths.p50 * math.exp(Z_999 * spread))


def _as_the_model_reads(tokens: Tokens, facts: DecoderFacts, *, is_given: bool) -> Tokens:
    """Return the lengths as an encoder and its decoder take them; raise InputError for usual ones that they do not take.

    Without an encoder they are as given.
    """
    encoder = facts.encoder
    if encoder is None:
        return tokens
    if is_given:
        Room(facts.context_tokens, encoder).check("tokens", tokens.input.p50, tokens.output.p50)
    brings = SequenceLength(p50=encoder.input_tokens) if encoder.reads == "frames" else tokens.input
    return Tokens(input=_up_to(encoder.input_tokens, brings), output=_up_to(encoder.output_tokens, tokens.output))


def _up_to(most: int, lengths: SequenceLength) -> SequenceLength:
    """Return lengths that end where the model does."""
    p50, p95 = min(most, lengths.p50), min(most, lengths.p95 or lengths.p50)
    return SequenceLength(p50=p50, p95=p95, max=min(most, longest_of(lengths)))


def _context_tokens(facts: DecoderFacts, tokens: Tokens, *, is_given: bool) -> int:
    """Return how many tokens a request may have, prompt and answer together: no more than the model has positions for."""
    longest = longest_of(tokens.input) + longest_of(tokens.output)
    least = tokens.input.p50 + tokens.output.p50
    if is_given and least > facts.context_tokens:
        raise InputError(
            f"tokens: a usual request has {tokens.input.p50:,} tokens to read and {tokens.output.p50:,} to write, and the model has a "
            f"context of {facts.context_tokens:,}",
            hint="give shorter prompts or answers, or another model",
        )
    return max(2, min(longest, facts.context_tokens))


def _rows(facts: DecoderFacts, context: int, free_bytes: int | None) -> int:
    """Return how many requests of the longest kind a cache has room for, as a power of two."""
    if free_bytes is None:
        return MOST_RUNNING
    row_bytes = context * facts.kv_bytes_per_token
    rows = int(KV_SHARE * free_bytes / row_bytes)
    if rows < 1:
        raise InputError(
            f"tokens: one request of {context:,} tokens takes a cache of {size(row_bytes)}, and {size(free_bytes)} of memory are free here",
            hint="give shorter prompts and answers, or use a machine with more memory",
        )
    return 1 << (rows.bit_length() - 1)  # a power of two: what is free changes from run to run, and a profile is gone on with


def _overlapping(workload: GenerationWorkload | None, path: Path | None, tokens: Tokens) -> int:
    """Return how many requests are there at once where each just keeps its target (Little's law), and as many again for bursts."""
    if workload is None or path is None:
        return USUAL_RUNNING
    traffic, slo = workload.traffic, workload.slo
    if traffic.clients is not None:
        return traffic.clients
    per_s = traffic.requests_per_s
    if per_s is None:
        arrival_s = requests_of(workload, path).arrival_s
        per_s = (len(arrival_s) - 1) / float(arrival_s[-1] - arrival_s[0])
    answer = tokens.output.p95 or tokens.output.p50
    held_s = slo.latency_s or (slo.ttft_s or USUAL_TTFT_S) + (slo.tpot_s or USUAL_TPOT_S) * answer
    return min(MOST_RUNNING, math.ceil(2 * per_s * held_s))


def _lengths(tokens: Tokens, context: int, encoder: EncoderFacts | None) -> Lengths:
    """Return the lengths that points are chosen by: within those of the workload, and what the cache has room for."""
    prompt, answer = tokens.input, tokens.output
    p95 = prompt.p95 or prompt.p50
    most = max(1, context - 1)
    longest = min(most, longest_of(prompt), max(p95, round(MOST_OVER_P95 * p95)))
    usual = min(most, prompt.p50)
    # A lognormal law is symmetric around its median on a log scale, so this is about the 5th percentile.
    shortest = min(usual, max(1, round(prompt.p50**2 / p95)))
    return Lengths(
        shortest=shortest,
        usual=usual,
        longest=max(usual, longest),
        context=min(most, p95 + (answer.p95 or answer.p50)),
        chunk=CHUNK_TOKENS,
        prompts="in chunks" if encoder is None else "alike" if encoder.reads == "frames" else "whole",
    )


def _input_fraction(tokens: Tokens) -> float:
    """Return what part of a usual cache is the input: on average half of an answer is there."""
    return tokens.input.p50 / (tokens.input.p50 + tokens.output.p50 / 2)


def in_words(asked: Asked) -> str:
    """Return what is measured, as a sentence."""
    requests = counted(asked.max_running, "request")
    return f"steps of up to {requests} side by side, each of up to {asked.max_context_tokens:,} tokens"
