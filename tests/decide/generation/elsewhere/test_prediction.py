"""Predictions of deployments: each figure with its interval, on the ground that steps stand on."""

import pytest

from advisor.decide.generation.elsewhere.prediction import predict
from advisor.decide.generation.elsewhere.speculation import choices
from advisor.decide.generation.projection.memory import kv_bytes_per_token, weight_bytes_per_device
from advisor.decide.generation.search import Chosen
from advisor.schema.workload import SpeculationAsked, TokenSlo
from tests.elsewhere_models import DENSE, chat, offers_of


def replica_of(workload=None, drafts=(), degree=1):
    replicas = offers_of(workload).replicas((), drafts)
    wanted = drafts[0] if drafts else None
    return next(each for each in replicas if each.setting.tensor_parallel == degree and each.setting.speculation == wanted)


def predicted(replica, replicas=1, **asked):
    return predict(Chosen(replica, replica.space[0], replicas), 1.0, **asked).prediction


def test_a_prediction_is_of_its_deployment_on_its_ground():
    found = predicted(replica_of(degree=2), 3)

    assert (2, 3, 6) == (found.deployment.tensor_parallel, found.deployment.replicas, found.deployment.devices)
    assert "roofline" == found.ground
    assert weight_bytes_per_device(DENSE, "bf16", 2) == found.weight_bytes_per_device
    assert kv_bytes_per_token(DENSE, "bf16", 2)[0] == found.kv_bytes_per_token
    assert "the rates of the device alone" in found.times.ttft_s.slo.source
    assert "projected" == found.times.ttft_s.slo.basis


def test_times_have_an_interval_as_wide_as_steps_may_be_off():
    tpot = predicted(replica_of(chat(0.5))).times.tpot_s.p50

    assert tpot.low < tpot.value < tpot.high
    assert 1.05**1.5 < tpot.high / tpot.low < 1.2


def test_targets_are_kept_at_the_upper_end_and_missed_at_the_lower():
    tpot = predicted(replica_of()).times.tpot_s.slo
    kept, open_, missed = (
        predicted(replica_of(chat(slo=TokenSlo(tpot_s=target, quantile=0.9))))
        for target in (1.05 * tpot.high, tpot.value, 0.9 * tpot.low)
    )

    assert (True, False) == (kept.meets_slo, kept.misses_slo)
    assert (False, False) == (open_.meets_slo, open_.misses_slo)
    assert (False, True) == (missed.meets_slo, missed.misses_slo)


def test_what_is_carried_is_what_keeps_the_targets():
    found = predicted(replica_of(chat(5.0)), with_capacity=True)

    assert found.capacity_requests_per_s.low >= 5.0
    assert found.capacity_requests_per_s.low <= found.capacity_requests_per_s.value <= found.capacity_requests_per_s.high


def test_tokens_of_a_draft_come_several_at_a_time():
    drafts = choices(DENSE, SpeculationAsked(acceptance=0.8, draft_tokens=3), ())
    plain, drafted = predicted(replica_of(chat(0.5))), predicted(replica_of(chat(0.5), drafts))

    assert drafted.times.tpot_s.p50.value < 0.7 * plain.times.tpot_s.p50.value
    assert drafted.times.itl_s.p50.value > 2.9 * drafted.times.tpot_s.p50.value
    assert drafted.deployment.speculation == drafts[0]


def test_calls_of_an_agent_cost_together():
    replica = replica_of()
    chosen = Chosen(replica, replica.space[0], 1)

    one, five = (predict(chosen, calls).prediction.cost_usd_per_request.value for calls in (1.0, 5.0))

    assert 5 * one == pytest.approx(five)
