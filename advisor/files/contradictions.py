"""What every command refuses in a workload: parts that contradict themselves or each other, and unknown names."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from advisor.decide.lifetime.given import given_figures
from advisor.errors import InputError
from advisor.files import ranges
from advisor.files.catalog import carbon_of, hardware_names, read_device, read_priced_device, read_token_price
from advisor.quality_floor import METRICS, is_known
from advisor.schema.catalog import LOCAL
from advisor.schema.record import LONGEST_SEQUENCE
from advisor.schema.workload import (
    ItemsPerRequest,
    Lifecycle,
    LifeModel,
    LifeOptions,
    LifeRequest,
    LifeServing,
    SequenceLength,
    SpeculationAsked,
    Tokens,
    TokenSlo,
    Traffic,
    Workload,
)
from advisor.units import counted, seconds

MAX_BURSTINESS_CV = 10.0  # beyond, even the mean rate of a whole simulated run is left to chance
MAX_QUANTILE = 0.9999
MAX_ITEMS_PER_REQUEST = 10_000  # more are a batch job
TOKENS_EXAMPLE = "tokens: {input: {p50: 100, p95: 400}, output: {p50: 40, p95: 120}}"


class Fault(NamedTuple):
    """What is wrong, its key first, and the way out."""

    what: str
    way_out: str


def contradictions(workload: Workload) -> Iterator[Fault]:
    """Yield the faults of a workload by itself: no file that it names is opened, and nothing is required of it."""
    if workload.traffic is not None:
        yield from _of_traffic(workload.traffic)
        if workload.fleet is not None and workload.traffic.trace is not None:
            yield Fault("fleet: needs traffic.requests_per_s", "give the mean rate and, with diurnal, its course over the day")
    if workload.inputs is not None and workload.inputs.sequence_length is not None:
        yield from _of_lengths("inputs.sequence_length", workload.inputs.sequence_length)
    if workload.slo is not None:
        yield from _of_targets(workload.slo)
    if workload.tokens is not None:
        yield from _of_tokens(workload.tokens, workload.slo, workload.traffic)
    elif workload.traffic is not None and workload.traffic.clients is not None:
        yield Fault(
            "traffic.clients: a closed loop of clients is simulated of generative models alone, and there are no tokens",
            f"add tokens, for example {TOKENS_EXAMPLE}, or give requests_per_s instead",
        )
    metric = workload.quality.metric if workload.quality is not None else None
    if metric is not None and not is_known(metric):
        import difflib

        near = difflib.get_close_matches(metric, METRICS, n=1)
        way_out = f"did you mean {near[0]}?" if near else f"known: {', '.join(METRICS)}, top5_accuracy, module:function"
        yield Fault(f"quality.metric: there is no {metric!r}", way_out)
    if workload.speculation is not None:
        yield from _of_speculation(workload.speculation)
    yield from _of_names(workload)
    if workload.lifecycle is not None:
        yield from _of_lifecycle(workload.lifecycle, workload.traffic)


def _of_traffic(traffic: Traffic) -> Iterator[Fault]:
    if traffic.clients is not None:
        yield from _of_closed_loop(traffic)
    elif (traffic.requests_per_s is None) == (traffic.trace is None):
        yield Fault("traffic: give either requests_per_s or trace", "for example: traffic: {requests_per_s: 40}")
    elif traffic.think_s:
        yield Fault("traffic.think_s: without clients nobody thinks", "give traffic.clients, or remove think_s")
    if traffic.columns is not None and traffic.trace is None:
        yield Fault("traffic.columns: there is no trace that they are of", "give traffic.trace, or remove columns")
    if traffic.columns is not None and traffic.columns.input_tokens is not None and traffic.columns.sequence_length is not None:
        yield _both("traffic.columns", "input_tokens", "sequence_length")
    yield from _of_items(traffic.items_per_request)
    if traffic.diurnal is not None and traffic.trace is not None:
        yield Fault("traffic.diurnal: a trace has its own course of the day", "remove diurnal, or give requests_per_s instead")
    if traffic.diurnal is not None and not any(traffic.diurnal):
        yield Fault("traffic.diurnal: no part of the day has any requests", "give at least one of them a rate above 0")
    if traffic.burstiness_cv > MAX_BURSTINESS_CV:
        way_out = "record a trace of such traffic instead"
        yield _too_much("traffic.burstiness_cv", traffic.burstiness_cv, MAX_BURSTINESS_CV, way_out)


def _of_closed_loop(traffic: Traffic) -> Iterator[Fault]:
    """Yield what makes requests beside the clients: they send the next one when the last is answered, and nobody else does."""
    others = {
        "requests_per_s": traffic.requests_per_s is not None,
        "trace": traffic.trace is not None,
        "diurnal": traffic.diurnal is not None,
        "burstiness_cv": traffic.burstiness_cv != 1.0,
    }
    for name in (name for name, is_given in others.items() if is_given):
        yield Fault(
            f"traffic: both clients and {name} are given",
            "give clients for a closed loop, in which each waits for its answer; leave them out for requests that come by themselves",
        )


def _of_items(asked: int | ItemsPerRequest) -> Iterator[Fault]:
    most = asked if isinstance(asked, int) else asked.p95
    if not isinstance(asked, int) and asked.p50 > asked.p95:
        yield Fault("traffic.items_per_request: p50 and p95 must ascend", "for example: {p50: 8, p95: 32}")
    if most > MAX_ITEMS_PER_REQUEST:
        yield _too_much("traffic.items_per_request", most, MAX_ITEMS_PER_REQUEST, "describe a batch job: offline: {items: ...}")


def _of_lengths(key: str, lengths: SequenceLength) -> Iterator[Fault]:
    given = {"p50": lengths.p50, "p95": lengths.p95, "max": lengths.max}
    said = [(name, length) for name, length in given.items() if length is not None]
    for (name, length), (other, longer) in pairwise(said):
        if longer < length:
            yield Fault(
                f"{key}: p50, p95 and max must ascend: {other} of {longer:,} is below {name} of {length:,}",
                "for example: {p50: 32, p95: 128, max: 256}",
            )
    longest = max(length for _, length in said)
    if longest > LONGEST_SEQUENCE:
        yield _too_much(key, longest, LONGEST_SEQUENCE, "give lengths in tokens or frames")


def _of_targets(slo: TokenSlo) -> Iterator[Fault]:
    if slo.quantile > MAX_QUANTILE:
        yield _too_much("slo.quantile", slo.quantile, MAX_QUANTILE, "no simulation is long enough for it")
    if slo.ttft_s is not None and slo.latency_s is not None and slo.ttft_s > slo.latency_s:
        yield Fault(
            f"slo.ttft_s: {seconds(slo.ttft_s)} until the first token, but latency_s has the last one after {seconds(slo.latency_s)}",
            "give a shorter ttft_s, a longer latency_s, or one of the two",
        )


def _of_tokens(tokens: Tokens, slo: TokenSlo | None, traffic: Traffic | None) -> Iterator[Fault]:
    yield from _of_lengths("tokens.input", tokens.input)
    yield from _of_lengths("tokens.output", tokens.output)
    prompt, answer = tokens.input, tokens.output
    if tokens.shared_prefix >= prompt.p50:
        yield Fault(
            f"tokens.shared_prefix: {counted(tokens.shared_prefix, 'token')} that all prompts share, but half of the prompts have "
            f"{prompt.p50:,} or fewer (tokens.input.p50)",
            "input counts the whole prompt, what is shared included",
        )
    if slo is not None and slo.tpot_s is not None and max(answer.p50, answer.p95 or 0, answer.max or 0) == 1:
        yield Fault(
            "slo.tpot_s: a target for each token after the first, but every answer has one token (tokens.output)",
            "give ttft_s or latency_s instead, or longer answers",
        )
    if traffic is not None and traffic.items_per_request != 1:
        yield Fault(
            "traffic.items_per_request: a request to a generative model is one prompt, and tokens are of that",
            "remove items_per_request, or give tokens of all that a request brings",
        )


def _of_speculation(asked: SpeculationAsked) -> Iterator[Fault]:
    accepted = asked.acceptance
    if isinstance(accepted, tuple) and accepted[0] > accepted[1]:
        yield Fault(
            f"speculation.acceptance: {accepted[0]:g} to {accepted[1]:g}: the ends of a range must ascend",
            "for example: [0.6, 0.8]",
        )


def _of_names(workload: Workload) -> Iterator[Fault]:
    hardware, fleet = workload.hardware, workload.fleet
    known = {"local", *hardware_names()}
    for key, names, read in (
        ("hardware.allowed", hardware.allowed if hardware else (), read_device),
        ("hardware.price_usd_per_hour", hardware.price_usd_per_hour if hardware else (), read_priced_device),
        ("fleet.reserved_usd_per_hour", fleet.reserved_usd_per_hour if fleet else (), read_priced_device),
        ("fleet.spot_usd_per_hour", fleet.spot_usd_per_hour if fleet else (), read_priced_device),
    ):
        yield from (fault for name in names if name not in known for fault in _looked_up(read, key, name))
    grid = workload.energy.grid if workload.energy else None
    if grid is not None and carbon_of(grid) is None:
        yield Fault(f"energy.grid: {grid!r} is not known", "name a country as FRA or USA, or a region of Google's cloud")


def _of_lifecycle(life: Lifecycle, traffic: Traffic | None) -> Iterator[Fault]:
    request = life.request
    if life.model is not None:
        yield from _of_model(life.model)
    if request is not None:
        yield from _of_request(request)
    if life.price_decline_per_year and life.token_price_decline_per_year is not None:
        yield _both("lifecycle", "price_decline_per_year", "token_price_decline_per_year")
    yield from _of_serving(life)
    yield from _of_the_catalog(life)
    yield from (Fault(*fault) for fault in ranges.faults(life, traffic))
    try:
        given_figures(traffic.requests_per_s if traffic else None, life)
    except InputError as error:
        yield Fault(error.fault, error.hint)


def _of_model(model: LifeModel) -> Iterator[Fault]:
    if model.config is None and model.parameters is None:
        yield Fault(
            "lifecycle.model.parameters: missing; what serving costs is counted by them", "give them, or config: config.json"
        )
    if model.config is None and model.parameters is not None and (model.active_parameters or 0) > model.parameters:
        yield Fault("lifecycle.model: more parameters are active than there are", "parameters counts all of them")
    if model.config is not None:
        usual = LifeModel(config=model.config)
        for name in ("parameters", "active_parameters", "bytes_per_parameter", "kv_bytes_per_token"):
            if getattr(model, name) != getattr(usual, name):
                yield Fault(f"lifecycle.model: both config and {name} are given", f"leave {name} out: the configuration has it")


def _of_request(request: LifeRequest) -> Iterator[Fault]:
    if request.input_tokens is not None and request.flop_per_request is not None:
        yield _both("lifecycle.request", "input_tokens", "flop_per_request")
    for key, part in (("shared_prefix_tokens", request.shared_prefix_tokens), ("cached_tokens", request.cached_tokens)):
        if part is not None and request.input_tokens is not None and part > request.input_tokens:
            yield Fault(f"lifecycle.request: {key} is more than input_tokens", "input_tokens include them")


def _of_serving(life: Lifecycle) -> Iterator[Fault]:
    serving = life.serving or LifeServing()
    for first, second in (
        ("api_model", "serving_usd_per_hour"),
        ("device_requests_per_s", "device_tokens_per_s"),
        ("scale_to_zero_after_s", "batch_hours_per_day"),
    ):
        if getattr(serving, first) is not None and getattr(serving, second) is not None:
            yield _both("lifecycle.serving", first, second)
    if life.edge is not None and life.edge.edge_units is None and life.edge.unit_growth_per_month:
        yield Fault(
            "lifecycle.edge.unit_growth_per_month: grows what edge_units gives, and that is missing",
            "give edge_units, or leave the growth to lifecycle.growth_per_month",
        )
    served = {
        "serving.api_model": serving.api_model,
        "serving.serving_usd_per_hour": serving.serving_usd_per_hour,
        "owned": life.owned,
        "edge": life.edge,
    }
    by = [key for key, value in served.items() if value is not None]
    if len(by) > 1:
        yield Fault(f"lifecycle: both {by[0]} and {by[1]} are given", "give one of the two: either serves all requests")


def _both(part: str, first: str, second: str) -> Fault:
    return Fault(f"{part}: both {first} and {second} are given", "give one of the two")


def _of_the_catalog(life: Lifecycle) -> Iterator[Fault]:
    serving, options = life.serving or LifeServing(), life.options or LifeOptions()
    known = hardware_names()
    for key, devices in (
        ("lifecycle.serving.device", (serving.device,)),
        ("lifecycle.training_device", (life.training_device,)),
        ("lifecycle.options.alternative_devices", options.alternative_devices),
    ):
        if LOCAL in devices:
            yield Fault(
                f"{key}: {LOCAL!r} is the machine of a profile, which no list has",
                "leave it out, and give the profile: --profile",
            )
        unknown = (name for name in devices if name not in (None, LOCAL) and name not in known)
        yield from (fault for name in unknown if name for fault in _looked_up(read_device, key, name))
    for key, api in (
        ("lifecycle.serving.api_model", serving.api_model),
        ("lifecycle.options.alternative_api", options.alternative_api),
    ):
        if api is not None:
            yield from _looked_up(read_token_price, key, api)


def _looked_up(read: Callable[[str], object], key: str, name: str) -> Iterator[Fault]:
    try:
        read(name)
    except InputError as error:
        yield Fault(f"{key}: {error.fault}", error.hint)


def _too_much(key: str, value: float, most: float, way_out: str) -> Fault:
    return Fault(f"{key}: {value:,} is more than {most:,}", way_out)
