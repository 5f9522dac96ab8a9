"""What an export is made of: the advised configuration, the runtime it was measured in, and the scale that the advice plans."""

import pytest
from msgspec.structs import replace

from advisor.errors import InputError
from advisor.files.catalog import read_device
from advisor.schema.advice import FleetPlan, FleetPool, RunsOn
from advisor.schema.catalog import CPU
from advisor.tell.deploy.served import ROOM, chosen, served
from tests.tell.advice_examples import BUILDERS, candidate, change

EXAMPLES = {builder.__name__: builder() for builder in BUILDERS}
OPEN = [advice for advice in EXAMPLES.values() if advice.outcome == "inconclusive"]


def of(advice, device=None):
    return served(advice, chosen(advice, most_likely=True), device)


def on(hardware, provider=CPU):
    """The advice of `change` for a device where nothing was measured, its variants measured in this runtime."""
    made = change()
    runs_on = RunsOn(provider=provider)
    return replace(
        made,
        recommended=replace(made.recommended, candidate=replace(made.recommended.candidate, hardware=hardware)),
        variants=tuple(replace(row, runs_on=runs_on) for row in made.variants),
    )


def test_what_is_recommended_is_exported_with_or_without_asking_for_the_most_likely():
    made = change()

    assert [made.recommended] * 2 == [chosen(made, most_likely=asked) for asked in (False, True)]


@pytest.mark.parametrize(
    "advice", [it for it in EXAMPLES.values() if it.outcome == "infeasible"], ids=lambda it: it.headline[:20]
)
def test_nothing_is_exported_where_nothing_keeps_the_target(advice):
    for asked in (False, True):
        with pytest.raises(InputError, match="nothing keeps the target"):
            chosen(advice, most_likely=asked)


@pytest.mark.parametrize("advice", OPEN, ids=lambda it: it.headline[:20])
def test_what_is_only_likely_is_exported_if_it_is_asked_for(advice):
    with pytest.raises(InputError) as refused:
        chosen(advice, most_likely=False)

    if advice.likely is None:
        with pytest.raises(InputError, match="most likely nothing keeps"):
            chosen(advice, most_likely=True)
    else:
        assert "--most-likely" in refused.value.hint
        assert advice.likely == chosen(advice, most_likely=True)
        assert of(advice).is_likely


def test_there_is_an_example_of_an_answer_that_is_not_known():
    assert any(advice.likely is not None for advice in OPEN)


def test_advice_from_before_runtimes_were_written_down_is_to_be_made_anew():
    old = replace(change(), variants=tuple(replace(row, runs_on=None) for row in change().variants))

    with pytest.raises(InputError) as refused:
        of(old)

    assert "advisor advise" in refused.value.hint


def test_what_was_projected_to_a_device_of_nvidia_runs_there():
    device = read_device("l4")

    assert of(on("l4"), device).on_gpu
    assert "CUDAExecutionProvider" == of(on("l4"), device).runs_on.provider


@pytest.mark.parametrize(("hardware", "provider"), [("l4", "openvino"), ("mi300x", CPU), ("tpu_v5e", CPU)])
def test_what_nothing_is_known_to_run_elsewhere_is_to_be_measured_there(hardware, provider):
    with pytest.raises(InputError) as refused:
        of(on(hardware, provider), read_device(hardware))

    assert f"--hardware {hardware}" in refused.value.hint


def test_another_processor_runs_what_was_measured():
    assert CPU == of(on("c7i.xlarge"), read_device("c7i.xlarge")).runs_on.provider


@pytest.mark.parametrize("part", ["inputs", "outputs"])
def test_a_model_whose_tensors_no_server_takes_is_refused_by_name(part):
    made = change()
    entry = getattr(made.model, part)[0]
    model = replace(made.model, **{part: (replace(entry, dtype="complex64"),)})

    with pytest.raises(InputError, match=f"{entry.name} is complex64"):
        of(replace(made, model=model))


def pool(advice, *, replicas, variant=None):
    candidate = replace(advice.recommended.candidate, replicas=max(replicas))
    return FleetPool(
        candidate=replace(candidate, variant=variant or candidate.variant),
        hardware="local",
        requests_per_s=10.0,
        lengths=None,
        spare_replicas=1,
        replicas_by_part=replicas,
        starting_replica_hours_per_day=0.0,
        terms={},
        usd_per_hour=1.0,
    )


def planned(advice, *pools):
    fleet = FleetPlan(
        name="a plan", pools=pools, usd_per_hour=1.0, peak_requests_per_s=10.0, spare_replicas=1, start_s=1.0, options=()
    )
    return of(replace(advice, fleet=fleet)).scale


def test_a_plan_of_the_fleet_says_how_many_replicas_there_are():
    scale = planned(change(), pool(change(), replicas=(9,), variant="fp32"), pool(change(), replicas=(3, 0, 7, 5)))

    assert (3, 7, 7, True) == (scale.least, scale.most, scale.replicas, scale.is_planned)


def test_without_a_plan_of_what_is_advised_there_is_room_above_it():
    for scale in (of(change()).scale, planned(change(), pool(change(), replicas=(9,), variant="fp32"))):
        assert (1, ROOM, False) == (scale.least, scale.most, scale.is_planned)


def predicted(**changes):
    made = change()
    return of(replace(made, recommended=replace(made.recommended, **changes))).scale


def about(value):
    return replace(change().recommended.utilization_fraction, value=value, low=value, high=value)


@pytest.mark.parametrize(
    ("busy", "capacity", "percent"),
    [(0.5, 72.0, 60), (0.5, None, 50), (0.5, 6000.0, 75), (0.5, 30.0, 50), (0.8, 72.0, 80), (1.4, None, 95), (0.0, 72.0, 1)],
)
def test_replicas_are_added_before_they_are_busier_than_the_target_bears(busy, capacity, percent):
    scale = predicted(utilization_fraction=about(busy), capacity_requests_per_s=None if capacity is None else about(capacity))

    assert percent == scale.busy_percent


def test_the_requests_of_a_replica_follow_from_what_it_bears_and_how_long_they_take():
    scale = predicted(
        utilization_fraction=about(0.5),
        capacity_requests_per_s=about(72.0),
        latency_p50_s=about(0.1),
        candidate=candidate("fp32"),
    )

    assert 7.2 == scale.ongoing_requests


def test_memory_that_nobody_saw_is_reckoned_from_the_file():
    made = of(change())
    unseen = replace(made, variant=replace(made.variant, peak_memory_bytes=None))

    assert made.variant.peak_memory_bytes < made.memory_bytes
    assert made.variant.bytes < unseen.memory_bytes
