"""The whole advice on a model elsewhere: decided, priced, compared, with an answer to everything that may be asked of it."""

import functools

import msgspec
import pytest
from msgspec.structs import replace

from advisor.decide.generation.elsewhere.advise import advise_elsewhere
from advisor.errors import InputError
from advisor.files.catalog import read_acceptance_lengths
from advisor.schema.language import LanguageAdvice
from advisor.schema.workload import Lifecycle, LifeRequest, SpeculationAsked, TokenSlo, Traffic
from tests.elsewhere_models import DENSE, EXPERTS, Steps, alone, asking, chat, device, lengths, place, token_price

TABLE = read_acceptance_lengths()


def advised(workload=None, places=(), model=DENSE, spread=1.05, **asked):
    request = asking(workload, places, acceptance=TABLE, apis=(token_price(),), **asked)
    return advise_elsewhere(model, request, functools.partial(Steps, spread=spread))


def test_advice_has_everything_that_a_report_shows():
    found = advised(chat(30.0))

    assert "advice" == found.outcome
    assert found.recommended.meets_slo
    assert found.headline.startswith("Serve Llama-3.1-8B on ")
    assert "p90 TTFT within 1 s and TPOT within 50 ms at 30 /s" in found.headline
    assert found.load_curve and found.kv_curve and found.speculation and found.apis and found.risks
    assert "--tensor-parallel-size 1" in found.engine_arguments
    assert (None, None) == (found.likely, found.nearest_miss)
    assert found == msgspec.json.decode(msgspec.json.encode(found), type=LanguageAdvice)


def test_the_same_question_gives_the_same_advice_to_the_byte():
    assert msgspec.json.encode(advised()) == msgspec.json.encode(advised())


def test_a_prompt_beyond_the_context_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="context"):
        advised(model=replace(DENSE, context_tokens=512))


def test_a_cache_that_cannot_hold_one_request_is_said_to_be_too_small():
    found = advised(
        chat(brings=lengths(60_000, 100, spread=1.0)),
        (place(device(memory_bytes=20.5e9, peak_flop_per_s={"bf16": 1e14}), devices=8),),
    )

    cut = [entry for entry in found.exclusions if "tensor parallel 1" in entry.what]
    assert "the largest request needs 60,100" in cut[0].reason


def test_a_degree_that_does_not_divide_the_heads_is_left_out_with_the_reason():
    odd = replace(DENSE, attention=(replace(DENSE.attention[0], heads=28, kv_heads=4),))

    found = advised(model=odd, places=(place(devices=8),))

    assert "28" in next(entry.reason for entry in found.exclusions if entry.what == "tensor parallel 8")


def test_a_device_without_any_ground_is_left_out_and_alone_is_refused():
    bare = place(device("bare", memory_bandwidth_bytes_per_s=None))

    assert "bare" in {entry.what for entry in advised(places=(bare, place(alone(), devices=1))).exclusions}
    with pytest.raises(InputError, match=r"hardware\.allowed: .*bare"):
        advised(places=(bare,))


def test_a_model_that_nothing_holds_is_infeasible():
    found = advised(model=EXPERTS, places=(place(devices=8),))

    assert "infeasible" == found.outcome
    assert found.recommended is found.likely is found.nearest_miss is None
    assert found.headline.startswith("No device that is allowed holds Experts-671B")
    assert "memory" in found.binding_constraint
    assert found.apis and found.apis[0].break_even_requests_per_s is None


def test_a_workload_without_a_target_is_refused():
    with pytest.raises(InputError, match="no target"):
        advised(chat(slo=TokenSlo(quantile=0.9)))


@pytest.mark.parametrize("acceptance", [0.0, 1.0])
def test_an_acceptance_at_either_end_gets_a_clear_answer(acceptance):
    found = advised(chat(speculation=SpeculationAsked(acceptance=acceptance, draft_tokens=4)))

    assert [4] == [entry.choice.draft_tokens for entry in found.speculation]
    assert (acceptance == 1.0) == (found.speculation[0].advised_up_to_running_requests is not None)
    if acceptance == 0.0:
        assert found.recommended.deployment.speculation is None
        assert "no proposed token is accepted" in found.speculation[0].because


def test_without_a_word_on_speculation_it_is_shown_and_not_advised():
    found = advised(chat(2.0, slo=TokenSlo(ttft_s=1.0, tpot_s=0.0045, quantile=0.9)), (place(),))

    assert found.recommended.deployment.speculation is None
    assert found.speculation[0].speedup[0].value > 1.0


def test_agents_and_reasoning_cost_more_and_are_told():
    plain = advised(chat(4.0))
    agents = advised(chat(4.0, lifecycle=Lifecycle(request=LifeRequest(agent_multiplier=5.0, reasoning_multiplier=2.0))))

    assert 4.0 == plain.mean_requests_per_s == pytest.approx(agents.mean_requests_per_s)
    assert agents.recommended.cost_usd_per_request.value >= plain.recommended.cost_usd_per_request.value
    assert agents.apis[0].usd_per_month.value > 6 * plain.apis[0].usd_per_month.value
    assert sum("multiplier" in note for note in agents.notes) == 2


def test_clients_of_a_closed_loop_are_served_as_well():
    found = advised(chat(traffic=Traffic(clients=16, think_s=0.5)))

    assert "advice" == found.outcome
    assert found.mean_requests_per_s == pytest.approx(found.recommended.times.requests_per_s.value)


def test_what_is_hardly_known_is_inconclusive_and_says_what_would_settle_it():
    found = advised(chat(60.0, brings=lengths(200, 400)), spread=2.5)

    assert "inconclusive" == found.outcome
    assert found.recommended is None and found.likely is not None
    assert "not known yet" in found.headline
    assert found.because and any("vllm bench" in way for way in found.settled_by)


def test_where_only_the_number_of_replicas_is_open_the_headline_names_them():
    found = advised(chat(60.0, brings=lengths(200, 400)), spread=2.5)

    assert found.headline.startswith("Serve Llama-3.1-8B on ")
    assert "only how many of them keep" in found.headline
    assert "replicas to start with" in found.settled_by[0]


def test_the_fleet_that_is_paid_all_hours_is_compared_with_tokens():
    found = advised(chat(0.01))

    assert found.apis[0].usd_per_month.value < found.recommended.cost_usd_per_month.value
    assert found.apis[0].break_even_requests_per_s > found.mean_requests_per_s
