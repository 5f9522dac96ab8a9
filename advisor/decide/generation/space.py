"""The space: every way to serve a decoder that the profile can speak of, simplest first, and what is kept out of it with the reason."""

from collections.abc import Iterator, Mapping

from advisor.decide.generation.service.step_time import Setting, StepTimes
from advisor.decide.generation.traffic import TokenDemand
from advisor.decide.queue.space import NOT_TRAINED, Admission, admission_of
from advisor.schema.generation import (
    Engine,
    GenerationCandidate,
    GenerationSite,
    GenerationVariant,
    Policy,
)
from advisor.schema.profile import Machine
from advisor.schema.record import Exclusion, Record
from advisor.schema.workload import Baseline, GenerationWorkload
from advisor.units import counted, size

# Of the memory, for the system, the server itself and what a step works on; the rest is for weights and cache.
MARGIN_FRACTION = 0.15
CHUNKS = (32, 128, 512)  # tokens of a prompt that are read between two decode steps
BUDGETS = (64, 256, 1024)  # tokens of a mixed step, read and decoded
USUAL_BUDGET = 256  # of OpenVINO's pipeline
POLICIES: dict[Engine, tuple[Policy, ...]] = {"onnxruntime": ("prefill_first", "chunked"), "openvino": ("mixed",)}
# An input that an encoder reads cannot be cut: each place of it is looked at from all others.
POLICIES_OF_ENCODERS: tuple[Policy, ...] = ("prefill_first",)


class Way(Record, frozen=True, kw_only=True):
    """A candidate before the number of replicas is chosen."""

    variant: str
    intra_op_num_threads: int
    max_running_requests: int
    policy: Policy
    chunk_tokens: int | None
    kv_tokens: int

    @property
    def setting(self) -> Setting:
        """What its steps were measured under."""
        return self.variant, self.intra_op_num_threads

    @property
    def but_for_the_limit(self) -> tuple[str, int, Policy, int | None]:
        """All but how many requests may run side by side, and for how many tokens the cache is made therefore."""
        return self.variant, self.intra_op_num_threads, self.policy, self.chunk_tokens

    def replicated(self, replicas: int, hardware: str) -> GenerationCandidate:
        """Return the candidate with so many replicas on that hardware."""
        return GenerationCandidate(
            variant=self.variant,
            hardware=hardware,
            intra_op_num_threads=self.intra_op_num_threads,
            max_running_requests=self.max_running_requests,
            policy=self.policy,
            chunk_tokens=self.chunk_tokens,
            kv_tokens=self.kv_tokens,
            replicas=replicas,
        )


def of_candidate(candidate: GenerationCandidate) -> Way:
    """Return the way to serve of a candidate."""
    return Way(
        variant=candidate.variant,
        intra_op_num_threads=candidate.intra_op_num_threads,
        max_running_requests=candidate.max_running_requests,
        policy=candidate.policy,
        chunk_tokens=candidate.chunk_tokens,
        kv_tokens=candidate.kv_tokens,
    )


def as_given(site: GenerationSite) -> GenerationVariant:
    """Return the variant that the others are judged beside: the first that loses no precision, or else the first."""
    return next((variant for variant in site.variants if variant.lossless), site.variants[0])


def admission(variant: GenerationVariant, site: GenerationSite, workload: GenerationWorkload) -> Admission:
    """Return whether the variant's quality is known to hold; of a student that nobody has trained nobody asks."""
    if variant.is_untrained:
        return Admission(admitted=False, is_unknown=False, because=NOT_TRAINED)
    return admission_of(
        variant.quality.perplexity if variant.quality is not None else None,
        workload.quality,
        is_baseline=variant.id == as_given(site).id,
        is_lossless=variant.lossless,
        metric_key="quality.metric: perplexity",
    )


def cache_tokens(machine: Machine, variant: GenerationVariant) -> int:
    """Return for how many tokens of keys and values the machine has memory beside the weights, below 0 where not even these fit."""
    free_bytes = (1 - MARGIN_FRACTION) * machine.memory_bytes - variant.weight_bytes
    return int(free_bytes // variant.kv_bytes_per_token)


def too_small(site: GenerationSite, variant: GenerationVariant, demand: TokenDemand) -> Exclusion | None:
    """Return why the cache cannot hold the largest request of the workload, None if it can."""
    room, needed = cache_tokens(site.machine, variant), demand.largest_tokens
    if room >= needed:
        return None
    left = f"room for {room:,} tokens of the cache" if room > 0 else "no room for the cache"
    return Exclusion(
        what=variant.id,
        reason=(
            f"memory: its weights take {size(variant.weight_bytes)} of {size((1 - MARGIN_FRACTION) * site.machine.memory_bytes)} that "
            f"may be used, which leaves {left}, and the largest request needs {needed:,} ({size(variant.kv_bytes_per_token)} each)"
        ),
    )


def today_way(site: GenerationSite, times: Mapping[Setting, StepTimes], baseline: Baseline | None, demand: TokenDemand) -> Way:
    """Return what runs today; by default what a plain server does: one request at a time with a thread on every core."""
    baseline = baseline or Baseline()
    fitting = [entry for entry in (as_given(site), *site.variants) if too_small(site, entry, demand) is None]
    variant = next((entry for entry in site.variants if entry.id == baseline.variant), (*fitting, as_given(site))[0])
    name = baseline.variant or variant.id
    measured = [threads for known, threads in times if known == name]
    threads = baseline.intra_op_num_threads
    if threads is None:
        threads = site.machine.cores if site.machine.cores in measured or not measured else max(measured)
    policy = POLICIES[variant.engine][0]
    return Way(
        variant=name,
        intra_op_num_threads=threads,
        max_running_requests=baseline.max_batch_size,
        policy=policy,
        chunk_tokens=USUAL_BUDGET if policy == "mixed" else None,
        kv_tokens=_kv_tokens(site, variant, baseline.max_batch_size, demand),
    )


def _kv_tokens(site: GenerationSite, variant: GenerationVariant, running: int, demand: TokenDemand) -> int:
    """Return for how many tokens the cache is made: as many as the memory holds and so many requests can use."""
    return max(1, min(cache_tokens(site.machine, variant), running * demand.context_tokens + demand.shared_prefix))


def ways(
    site: GenerationSite,
    times: Mapping[Setting, StepTimes],
    demand: TokenDemand,
    today: Way,
    variants: set[str],
    *,
    is_home: bool,
) -> list[Way]:
    """Return every way to serve one of these variants here, today's first, then by how much would have to change.

    Never more requests side by side than a measured step had: beyond it nothing is known.
    """
    by_name = {variant.id: variant for variant in site.variants}
    found = set()
    if is_home and today.variant in variants and today.setting in times and not too_small(site, by_name[today.variant], demand):
        found.add(today)
    for (name, threads), laws in times.items():
        variant = by_name[name]
        if name not in variants or too_small(site, variant, demand) is not None:
            continue
        largest = laws.largest_batch
        for running in sorted({1 << power for power in range(largest.bit_length())} | {largest}):
            if not _all_fit(site, variant, running, demand):
                continue
            for policy, chunk in _policies(variant.engine, running, demand):
                found.add(
                    Way(
                        variant=name,
                        intra_op_num_threads=threads,
                        max_running_requests=running,
                        policy=policy,
                        chunk_tokens=chunk,
                        kv_tokens=_kv_tokens(site, variant, running, demand),
                    )
                )
    order = [variant.id for variant in site.variants]
    return sorted(found, key=lambda way: (len(changes(today, way)), *_order(way, order)))


def _all_fit(site: GenerationSite, variant: GenerationVariant, running: int, demand: TokenDemand) -> bool:
    """Return whether so many requests keep their places in the cache, where one that lost its own could not be read again as a prompt."""
    is_read_again = demand.room.encoder is None
    return is_read_again or running * demand.largest_tokens <= cache_tokens(site.machine, variant)


def _policies(engine: Engine, running: int, demand: TokenDemand) -> Iterator[tuple[Policy, int | None]]:
    for policy in POLICIES_OF_ENCODERS if demand.room.encoder is not None else POLICIES[engine]:
        if policy == "prefill_first":
            yield policy, None
        elif policy == "mixed":
            # Decoded requests count in the budget: a smaller one would read nothing while all places are taken.
            yield from ((policy, budget) for budget in BUDGETS if budget > running)
        elif running > 1:
            # Alone, there is nobody to decode between two chunks.
            yield from ((policy, chunk) for chunk in CHUNKS if chunk < demand.longest_tokens)


def _order(way: Way, order: list[str]) -> tuple[int, int, str, int, int]:
    return (
        order.index(way.variant),
        way.max_running_requests,
        "" if way.policy == "prefill_first" else way.policy,
        -(way.chunk_tokens or 0),
        way.intra_op_num_threads,
    )


def changes(today: Way, other: Way) -> tuple[str, ...]:
    """Describe what differs from what runs today; empty if nothing does."""
    found = []
    if other.variant != today.variant:
        found.append(f"serve {other.variant} instead of {today.variant}")
    if other.intra_op_num_threads != today.intra_op_num_threads:
        found.append(f"{counted(other.intra_op_num_threads, 'thread')} instead of {today.intra_op_num_threads}")
    if other.max_running_requests != today.max_running_requests:
        found.append(
            f"up to {counted(other.max_running_requests, 'request')} side by side instead of {today.max_running_requests}"
        )
    if (other.policy, other.chunk_tokens) != (today.policy, today.chunk_tokens):
        found.append(f"{describe_policy(other)} instead of {describe_policy(today)}")
    return tuple(found)


def describe_policy(way: Way | GenerationCandidate) -> str:
    """Return in words how prompts and decode steps take turns."""
    if way.policy == "prefill_first":
        return "prompts read whole"
    if way.policy == "chunked":
        return f"prompts in chunks of {way.chunk_tokens:,} tokens"
    return f"mixed steps of up to {way.chunk_tokens:,} tokens"
