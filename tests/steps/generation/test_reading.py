"""Profiles of generative models and of others are told apart where they are read."""

import pytest

from advisor.errors import InputError
from advisor.files.records import write_record
from advisor.schema.generation import GenerationProfile
from advisor.schema.profile import Profile
from advisor.steps.generation.reading import check_advising, generates, read_any_profile, read_generation, read_one_pass
from tests import generation_profiles
from tests.profiles import power_law, profile


@pytest.fixture
def folder(tmp_path):
    write_record(tmp_path / "pass.json", profile(power_law(0.01)))
    write_record(tmp_path / "tokens.json", generation_profiles.profile())
    return tmp_path


def test_a_profile_is_read_as_the_kind_that_it_is(folder):
    read = (read_any_profile(folder / "pass.json"), read_any_profile(folder / "tokens.json"))

    assert (profile(power_law(0.01)), generation_profiles.profile()) == read
    assert (Profile, GenerationProfile) == tuple(map(type, read))


def test_a_profile_of_the_other_kind_is_refused_by_name(folder):
    with pytest.raises(InputError, match=r"tokens.json: the profile of a generative model, which cannot be"):
        read_one_pass(folder / "tokens.json", "which cannot be")
    with pytest.raises(InputError, match=r"pass.json: the profile of a model that answers in one pass, which cannot be"):
        read_generation(folder / "pass.json", "which cannot be")


@pytest.mark.parametrize(
    "content", [b'{"schema_version": 3, "kind": "other"}', b'{"schema_version": 3, "kind": 5}', b"{}", b"[]"]
)
def test_what_is_no_profile_is_refused(tmp_path, content):
    (tmp_path / "p.json").write_bytes(content)

    with pytest.raises(InputError, match="not a file that this version of advisor wrote"):
        read_any_profile(tmp_path / "p.json")


def test_profiles_of_both_kinds_take_the_place_of_each_other_and_of_no_advice(folder):
    write_record(folder / "pass.json", generation_profiles.profile())
    write_record(folder / "pass.json", profile(power_law(0.01)))
    (folder / "advice.json").write_text('{"kind": "generation", "schema_version": 3, "created": "x"}')

    with pytest.raises(InputError, match="holds something else than an older profile"):
        write_record(folder / "advice.json", generation_profiles.profile())


@pytest.mark.parametrize(
    ("options", "said"), [({"rules_folder": "r"}, "--rules"), ({"rules_folder": None, "has_time_limit": True}, "--time-limit")]
)
def test_options_that_advice_on_tokens_has_no_use_for_are_refused_by_name(options, said):
    with pytest.raises(InputError, match=f"^{said}: "):
        check_advising(**options)


def test_a_workload_is_about_a_generative_model_by_what_it_asks(tmp_path):
    for text, expected in (
        ("name: a\nslo: {ttft_s: 1}\n", True),
        ("name: a\ntokens: {input: {p50: 8}, output: {p50: 8}}\n", True),
        ("name: a\nslo: {latency_s: 1}\n", False),
        ("name: a\ntokens: {input: {p50: 8}, output: {p50: 8}}\noffline: {items: 5, deadline_s: 1 h}\n", False),
    ):
        (tmp_path / "w.yaml").write_text(text)
        assert expected == generates(tmp_path / "w.yaml")
    assert not generates(None)
