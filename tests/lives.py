"""Planned lives of models for the tests of the lifetime cost."""

import msgspec
from hypothesis import strategies as st

from advisor.decide.lifetime.horizon import EVEN, Course, of_rates
from advisor.decide.lifetime.inputs import Device, Life, Market, TokenPrices, life_of
from advisor.files.market import market_of
from advisor.schema.catalog import Constant
from advisor.schema.record import Source
from advisor.schema.workload import (
    Lifecycle,
    LifeData,
    LifeFineTuning,
    LifeModel,
    LifeOptions,
    LifeOwned,
    LifeRequest,
    LifeServing,
    LifeSituation,
)

MARKET = market_of(Lifecycle(model=LifeModel(parameters=8e9)))
CHATBOT = Lifecycle(
    horizon_months=24.0,
    fine_tunings_per_year=2.0,
    model=LifeModel(parameters=8e9),
    request=LifeRequest(input_tokens=1155.0, output_tokens=211.0),
    serving=LifeServing(minimum_replicas=2),
    fine_tuning=LifeFineTuning(fine_tuning_tokens=1e7),
    data=LifeData(labels_to_buy=5000.0, usd_per_label=1.0),
)


def life(planned: Lifecycle, requests_per_s: float = 10.0, market: Market = MARKET) -> Life:
    return life_of(requests_per_s, planned, market)


@st.composite
def plans(draw: st.DrawFn) -> Lifecycle:
    """Lives of models on own devices, from idle to busy, from no training to little else."""
    return Lifecycle(
        horizon_months=draw(st.floats(1, 48)),
        growth_per_month=draw(st.floats(-0.1, 0.1)),
        fine_tunings_per_year=draw(st.sampled_from([0.0, 1.0, 12.0])),
        quality_gap=draw(st.sampled_from([None, 0.0, 0.1])),
        model=LifeModel(parameters=draw(st.sampled_from([1e8, 8e9, 7e10]))),
        request=LifeRequest(
            input_tokens=draw(st.floats(1, 1e4)), output_tokens=draw(st.floats(0, 1e3)), agent_multiplier=draw(st.floats(1, 15))
        ),
        serving=LifeServing(minimum_replicas=draw(st.integers(1, 4))),
        fine_tuning=LifeFineTuning(fine_tuning_tokens=draw(st.floats(0, 1e9)), method=draw(st.sampled_from(["full", "lora"]))),
        data=LifeData(labels_to_buy=draw(st.floats(0, 1e6)), usd_per_label=draw(st.floats(0.01, 50))),
    )


TODAY = Source(what="a test", date="2026-11-22")
API = TokenPrices(id="api", input_usd=4e-7, output_usd=1.6e-6, cached_usd=1e-7, source="a test", date="2026-07-24")


def device(name: str, usd: float, *, flop_per_s: float = 1e14, memory_bytes: float = 24e9) -> Device:
    return Device(
        id=name,
        usd_per_hour=Constant(value=usd, low=usd, high=usd, source=TODAY),
        serving_flop_per_s=flop_per_s,
        training_flop_per_s=flop_per_s,
        memory_bytes=memory_bytes,
        bandwidth_bytes_per_s=3e11,
        power_watts=72.0,
        source="a test",
    )


COURSES = st.just(EVEN) | st.builds(
    of_rates, st.lists(st.floats(0.01, 10), min_size=2, max_size=48), st.floats(0.5, 10), st.just("a test")
)


@st.composite
def choices(draw: st.DrawFn) -> tuple[Lifecycle, Market, Course, float]:
    """Lives with all that levers ask for: planned life, market, course of the day, requests a second."""
    planned = draw(plans())
    serving = draw(
        st.sampled_from(
            [
                LifeServing(),
                LifeServing(minimum_replicas=3, device_usd_per_hour=2.0),
                LifeServing(devices_per_replica=8),
                LifeServing(device_requests_per_s=3.0),
                LifeServing(scale_to_zero_after_s=600.0),
                LifeServing(batch_hours_per_day=5.0),
                LifeServing(api_model="api"),
            ]
        )
    )
    owned = draw(st.none() | st.just(LifeOwned(device_price_usd=3e4, owned_years=4.0, usd_per_kwh=0.2, owned_devices=5)))
    planned = msgspec.structs.replace(
        planned,
        hardware_price_decline_per_year=draw(st.sampled_from([0.0, 0.3])),
        token_price_decline_per_year=draw(st.sampled_from([None, 0.8])),
        request=msgspec.structs.replace(planned.request, shared_prefix_tokens=planned.request.input_tokens / 2),
        serving=serving,
        owned=None if serving.api_model else owned,
        situation=LifeSituation(is_regulated=draw(st.booleans())),
        data=msgspec.structs.replace(planned.data, validation_usd_per_release=draw(st.none() | st.just(2e4))),
        options=LifeOptions(
            student_parameters=5e7, student_input_tokens=30.0, student_tokens=1e7, student_labels=1000.0, spot_discount=0.6
        ),
        ranges=draw(st.sampled_from([{}, {"parameters": (1e7, 1e11), "input_tokens": (1.0, 1e4)}])),
    )
    others = (device("cheap", 0.4), device("large", 9.0, flop_per_s=2e15, memory_bytes=2e11))
    market = msgspec.structs.replace(MARKET, others=others, alternative_api=API, api=API if serving.api_model else None)
    return planned, market, draw(COURSES), draw(st.floats(1e-4, 1e4))
