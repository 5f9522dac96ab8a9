"""What the ranges of single fields leave open: each is found where the record is read, with its key and value."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.decide.advice.advise import advise
from advisor.errors import InputError
from advisor.files.records import read_json, to_json
from advisor.schema.advice import Advice, OfflineAdvice
from advisor.schema.checks import CHECKS, first_fault
from advisor.schema.generation import GenerationAdvice, GenerationProfile
from advisor.schema.language import LanguageAdvice
from advisor.schema.profile import Profile
from tests import generation_profiles
from tests.damage import measured, with_value
from tests.profiles import power_law, profile, request, variant, workload
from tests.tell.documents import DOCUMENTS

TREE = msgspec.json.decode(to_json(measured()))
ADVICE = msgspec.json.decode(to_json(DOCUMENTS["served"]))
SITE = ("sites", 0)
VISIT = (*SITE, "measurements", 0, "visits", 0)


def refusal_of(tree, tmp_path, record=Profile):
    path = tmp_path / "record.json"
    path.write_bytes(msgspec.json.encode(tree))
    with pytest.raises(InputError) as refusal:
        read_json(path, record, made_by="advisor profile")
    return refusal.value.fault


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ((*VISIT, "latency_s"), [], "sites[0].measurements[0].visits[0].latency_s: "),
        ((*VISIT, "latency_s", 0), 0, "visits[0].latency_s[0]: 0: "),
        ((*VISIT, "latency_s", 0), 1e308, "visits[0].latency_s[0]: 1e+308: "),
        ((*VISIT, "waited_s"), [0.1], "visits[0].waited_s: 1: entries, where latency_s has 8"),
        ((*VISIT, "waited_s", 0), 1.0, "visits[0].waited_s[0]: 1.0: as long as the call itself"),
        ((*VISIT, "order"), -1, "visits[0].order: -1: "),
        ((*SITE, "measurements", 1, "variant"), "ghost", "sites[0].measurements[1].variant: 'ghost': no variant of this site"),
        ((*SITE, "measurements", 1, "batch_size"), 1, "sites[0].measurements: 'fp32, batch 1, 1 x 1 threads': there twice"),
        ((*SITE, "measurements", 1, "batch_size"), 10**9, "batch_size: 1000000000: expected `int` <= 4096"),
        ((*SITE, "measurements", 1, "sequence_length"), 8, "sites[0].measurements[1].sequence_length: 8: other points"),
        ((*SITE, "variants", 1, "id"), "fp32", "sites[0].variants: 'fp32': there twice"),
        ((*SITE, "variants", 0, "derived_from"), "int8", "sites[0].variants: 2: none of them is the model as given"),
        ((*SITE, "variants", 0, "sha256"), "0" * 63, "variants[0].sha256: "),
        ((*SITE, "variants", 0, "bytes"), 2**70, "variants[0].bytes: "),
        ((*SITE, "created"), "2026-13-45", "sites[0].created: '2026-13-45': no time"),
        ((*SITE, "calibrations", 0, "call_factors"), [1.0], "call_factors: 1: entries, where call_lengths_s has 2"),
        ((*SITE, "calibrations", 0, "call_lengths_s"), [0.02, 0.004], "call_lengths_s[1]: 0.004: not more than the one before"),
        ((*SITE, "calibrations", 0, "call_ratio", "low"), 2.0, "call_ratio.value: 1.05: outside of its interval, 2 to "),
        ((*SITE, "calibrations", 0, "wake_s", "low"), -1.0, "wake_s.low: -1.0: less than 0"),
        ((*SITE, "trial", "transit_s"), [], "sites[0].trial.transit_s: "),
        ((*SITE, "stalls", 0, "watched_s"), 0, "sites[0].stalls[0].watched_s: 0.0: too short for the 2 stalls in it"),
        (("model", "inputs", 0, "example_shape"), [1], "model.inputs[0].example_shape: 1: entries, where shape has 2"),
        (("model", "inputs", 0, "batch_axis"), 2, "model.inputs[0].batch_axis: 2: there are only 2 axes"),
        (("model", "inputs", 0, "dtype"), "float32; import os", "model.inputs[0].dtype: "),
        (("settings", "seed"), -1, "settings.seed: -1: expected `int` >= 0"),
    ],
)
def test_a_profile_of_senseless_values_is_refused_by_key_and_value(tmp_path, path, value, told):
    assert told in refusal_of(with_value(TREE, path, value), tmp_path)


def test_two_sites_of_one_name_are_refused(tmp_path):
    tree = with_value(TREE, ("sites",), TREE["sites"] * 2)

    assert "sites: 'local': there twice" in refusal_of(tree, tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("created",), "yesterday", "created: 'yesterday': no time"),
        (("recommended",), None, "outcome: 'change': but nothing is recommended"),
        (("sites",), [], "sites: "),
        (("service_curves", 0, "batch_size"), [1], "service_curves[0].latency_s: 6: entries, where batch_size has 1"),
        (("service_curves", 0, "latency_s", 0, "low"), 0.0, "service_curves[0].latency_s[0].low: 0.0: not above 0"),
        (("recommended", "latency_slo_s", "low"), -1.0, "recommended.latency_slo_s.low: -1.0: less than 0"),
        (("recommended", "candidate", "replicas"), 0, "recommended.candidate.replicas: 0: expected `int` >= 1"),
        (("recommended", "batch_size_shares", 0), 2.0, "batch_size_shares[0]: 2.0: expected `float` <= 1.0"),
        (("load_tests", 0, "generator_kept_up"), "yes", "load_tests[0].generator_kept_up: 'yes': expected `bool`"),
    ],
)
def test_advice_of_senseless_values_is_refused_by_key_and_value(tmp_path, path, value, told):
    assert told in refusal_of(with_value(ADVICE, path, value), tmp_path, Advice)


GENERATION = msgspec.json.decode(to_json(generation_profiles.profile()))
CHAT = msgspec.json.decode(to_json(DOCUMENTS["chat"]))
LANGUAGE = msgspec.json.decode(to_json(DOCUMENTS["chat_elsewhere"]))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ((*SITE, "created"), "yesterday", "sites[0].created: 'yesterday': no time"),
        ((*SITE, "prefill", 0, "variant"), "ghost", "sites[0].prefill[0].variant: 'ghost': no variant of this site"),
        ((*SITE, "decode", 1, "variant"), "ghost", "sites[0].decode[1].variant: 'ghost': no variant of this site"),
        ((*SITE, "prefill", 1, "tokens"), 16, "sites[0].prefill: 'fp32, 1 threads, tokens 16': there twice"),
        ((*SITE, "prefill", 0, "tokens"), 0, "sites[0].prefill[0].tokens: 0: expected `int` >= 1"),
        ((*SITE, "prefill", 0, "visits", 0, "cpu_s"), [], "sites[0].prefill[0].visits[0].cpu_s: "),
        ((*SITE, "prefill", 0, "visits", 0, "cpu_s"), [0.1] * 99, "visits[0].cpu_s: 99: entries, where wall_s has"),
        ((*SITE, "variants", 0, "sha256"), "x", "variants[0].sha256: "),
        (("model", "kv_heads"), 0, "model.kv_heads: 0: expected `int` >= 1"),
        (("kind",), "online", "kind"),
    ],
)
def test_a_profile_of_a_generative_model_is_looked_at_as_any_other(tmp_path, path, value, told):
    assert told in refusal_of(with_value(GENERATION, path, value), tmp_path, GenerationProfile)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("outcome",), "infeasible", "outcome: 'infeasible': but something is recommended"),
        (("recommended", "times", "ttft_s", "p90", "low"), 9.0, "recommended.times.ttft_s.p90.value: "),
        (
            ("recommended", "times", "ttft_s", "p90"),
            CHAT["recommended"]["times"]["ttft_s"]["p50"] | {"value": 0.29},
            "p90.value: 0.29: below p50",
        ),
        (("recommended", "goodput_fraction", "low"), -0.5, "goodput_fraction.low: -0.5: less than 0"),
        (("ties", 0, "candidate", "chunk_tokens"), None, "ties[0].candidate.chunk_tokens: None: the policy chunked reads"),
        (("load_curve", 1, "requests_per_s"), 0.05, "load_curve[1].requests_per_s: 0.05: not more than the one before"),
        (("kv_curve", 2, "running_requests"), 1, "kv_curve[2].running_requests: 1: not more than the one before"),
        (("variants", 1, "id"), "fp32", "variants: 'fp32': there twice"),
        (("variants", 1, "quality", "greedy_agreement", "high"), 1.5, "greedy_agreement: [0.976, 1.5]: not within 0 and 1"),
        (("replays", 0, "measured", "requests_per_s", "low"), -1.0, "replays[0].measured.requests_per_s.low: -1.0: less than 0"),
        (("recommended", "kv_use_fraction"), 2.0, "recommended.kv_use_fraction: 2.0: expected `float` <= 1.0"),
    ],
)
def test_advice_on_a_generative_model_is_looked_at_as_any_other(tmp_path, path, value, told):
    assert told in refusal_of(with_value(CHAT, path, value), tmp_path, GenerationAdvice)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("outcome",), "infeasible", "outcome: 'infeasible': but something is recommended"),
        (("created",), "yesterday", "created: 'yesterday': no time"),
        (("recommended", "deployment", "device"), "ghost", "recommended.deployment.device: 'ghost': none of the devices"),
        (("recommended", "goodput_fraction", "low"), -0.5, "goodput_fraction.low: -0.5: less than 0"),
        (("devices", 1, "id"), "l40s", "devices: 'l40s': there twice"),
        (("load_curve", 1, "requests_per_s"), 0.05, "load_curve[1].requests_per_s: 0.05: not more than the one before"),
        (("speculation", 0, "speedup"), [], "speculation[0].speedup: 0: entries, where running_requests has 3"),
        (("speculation", 0, "running_requests", 1), 1, "running_requests[1]: 1: not more than the one before"),
        (("speculation", 0, "speedup", 0, "low"), -1.0, "speedup[0].low: -1.0: less than 0"),
        (("apis", 0, "usd_per_month", "low"), -1.0, "apis[0].usd_per_month.low: -1.0: less than 0"),
        (("model", "layers"), 0, "model.layers: 0: expected `int` >= 1"),
    ],
)
def test_advice_on_a_language_model_elsewhere_is_looked_at_as_any_other(tmp_path, path, value, told):
    assert told in refusal_of(with_value(LANGUAGE, path, value), tmp_path, LanguageAdvice)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_advisor_writes_is_read_again(tmp_path, name):
    document = DOCUMENTS[name]
    if not isinstance(document, Advice | OfflineAdvice | GenerationAdvice | LanguageAdvice):
        pytest.skip("nothing reads it")
    (tmp_path / "advice.json").write_bytes(to_json(document))

    assert document == read_json(tmp_path / "advice.json", type(document), made_by="advisor advise")


@settings(max_examples=20)
@given(st.floats(0.01, 5000.0), st.floats(0.001, 2.0), st.floats(0.1, 3.0), st.booleans())
def test_no_advice_that_is_made_has_a_fault(requests_per_s, latency_s, burstiness_cv, is_noisy):
    calls = (0.8, 1.0, 1.0, 1.9) if is_noisy else (1.0,)
    variants = (variant(), variant("int8"))
    made = profile(power_law(0.004, batch=0.8), variants=variants, calls=calls, visits=(0.9, 1.0, 1.3), noise_fraction=0.05)
    asked = workload(requests_per_s, latency_s, burstiness_cv=burstiness_cv)

    advice = advise(made, request(asked, made), None)

    assert first_fault(advice) is None
    assert advice == msgspec.json.decode(msgspec.json.encode(advice), type=Advice)


def test_every_check_is_of_a_record_that_is_read():
    """A record that nothing holds would be looked at by nobody."""
    held = set()

    def find(kind):
        held.add(kind)
        for field in msgspec.structs.fields(kind):
            for inner in records_in(field.type):
                if inner not in held:
                    find(inner)

    for kind in (Profile, Advice, OfflineAdvice, GenerationProfile, GenerationAdvice, LanguageAdvice):
        find(kind)

    assert set() == set(CHECKS) - held


def records_in(kind):
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in getattr(kind, "__args__", ()):
        yield from records_in(inner)
