"""Planned lives of models for the tests of the lifetime cost."""

from hypothesis import strategies as st

from advisor.decide.lifetime.inputs import Life, Market, life_of
from advisor.files.market import lifetime_model
from advisor.schema.workload import Lifecycle, LifeData, LifeFineTuning, LifeModel, LifeRequest, LifeServing

MARKET = Market(model=lifetime_model())
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
