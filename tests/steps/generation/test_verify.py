"""Requests of a generative model are really served, and what was seen stands in profile, advice and reports."""

import os

import msgspec
import pytest
from msgspec.structs import replace

from advisor.errors import ExitStatus, InputError
from advisor.files.records import read_json, sha256, write_record
from advisor.measure.generation.making import described, made
from advisor.measure.generation.openvino.export import write_openvino
from advisor.measure.generation.timing.rounds import Pace
from advisor.measure.runtime.machine import read_machine
from advisor.measure.timing.journal import KEPT, of_load_tests
from advisor.schema.generation import GenerationAdvice, GenerationProfile, Replay
from advisor.schema.options import ProfileOptions
from advisor.steps.advise import advise_on
from advisor.steps.generation.plan import How
from advisor.steps.generation.profile import profile_generation
from advisor.steps.generation.verify import exit_status, is_valid, subject
from advisor.steps.report import write_reports
from advisor.steps.verify import verify
from advisor.tell.report import render
from advisor.tell.summary import full_summary
from tests import checkpoints, generation_profiles, seq2seq_exports
from tests.generation_profiles import Law, variant
from tests.profiles import NOW
from tests.steps.generation.test_profile import Here
from tests.tell.generation_examples import chat, missed_chat, open_chat, replay

WORKLOAD = {
    "name": "chat",
    "traffic": {"requests_per_s": 20},
    "tokens": {"input": {"p50": 12, "p95": 30, "max": 40}, "output": {"p50": 4, "p95": 8, "max": 10}},
    "slo": {"ttft_s": "5 s", "tpot_s": "5 s", "quantile": 0.5},
    "hardware": {"price_usd_per_hour": {"local": 0.3}},
}
QUICK = Law((1e-3, 1e-6, 0.0), (1e-3, 1e-5, 0.0))


def silent(*_, **__):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A profile of a tiny decoder that is there, with steps made by a law; advice on it, and its reports."""
    place = tmp_path_factory.mktemp("verify")
    checkpoint = checkpoints.save(place / "llama")
    facts = described(checkpoint)
    form = made(checkpoint, place / "profile.variants", "fp32", sha256=facts.sha256, max_tokens=64, has_vnni=False)
    path = os.path.relpath(form.folder, place)
    profile = generation_profiles.profile({"fp32": QUICK}, variants=(variant(path=path, sha256=form.sha256),))
    profile = generation_profiles.with_site(profile, machine=read_machine())
    settings = replace(profile.settings, max_context_tokens=64)
    write_record(place / "profile.json", replace(profile, model=facts, settings=settings))
    (place / "w.yaml").write_bytes(msgspec.yaml.encode(WORKLOAD))
    advice = advise_on(place / "profile.json", place / "w.yaml", now=NOW)
    write_record(place / "advice.json", advice)
    write_reports(advice, place)
    return place


def test_requests_are_served_and_what_was_seen_is_kept(folder):
    verified = verify(folder / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)

    (seen,) = verified.replays
    assert subject(verified).candidate == seen.candidate and seen.tokens_equal is True
    assert 5 <= seen.requests <= 100 and seen.covered.keys() == seen.covered_before.keys() != set()
    # However few they are, they come at the rate that was asked for.
    assert seen.offered_requests_per_s == pytest.approx(WORKLOAD["traffic"]["requests_per_s"] / seen.candidate.replicas)
    profile = read_json(folder / "profile.json", GenerationProfile, made_by="")
    assert (seen,) == profile.sites[0].replays and sha256(folder / "profile.json") == verified.profile_sha256
    assert "Measured | Predicted" in (folder / "report.md").read_text()
    assert ExitStatus.ADVICE == exit_status(verified) or not is_valid(seen)


def test_a_variant_that_is_no_longer_what_was_measured_is_not_served(folder):
    weights = next((folder / "profile.variants" / "fp32").glob("*.data"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(InputError, match="no longer what was measured"):
        verify(folder / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)
    weights.write_bytes(content)


def test_what_advice_stands_on_and_does_not_hold_is_asked_for(folder, tmp_path):
    write_record(tmp_path / "advice.json", replace(missed_chat(), profile_sha256=sha256(folder / "profile.json")))
    (tmp_path / "profile.json").write_bytes((folder / "profile.json").read_bytes())

    with pytest.raises(InputError, match=r"its traffic is a trace \(t.csv\)"):
        verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)


def test_advice_on_another_profile_is_not_served(folder, tmp_path):
    write_record(tmp_path / "advice.json", chat())
    (tmp_path / "profile.json").write_bytes((folder / "profile.json").read_bytes())

    with pytest.raises(InputError, match="not the profile that"):
        verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)


INSTANT = Law((1e-5, 1e-8, 0.0), (1e-5, 1e-8, 0.0))
PROMPT = {"slo": {"ttft_s": "0.05 ms", "quantile": 0.5}}


def advised(place, profile, **workload):
    """Write profile, workload and advice; return where the advice lies."""
    write_record(place / "profile.json", profile)
    (place / "w.yaml").write_bytes(msgspec.yaml.encode(WORKLOAD | workload))
    write_record(place / "advice.json", advise_on(place / "profile.json", place / "w.yaml", now=NOW))
    return place / "advice.json"


def with_a_twin(folder, **twin):
    """The profile of a decoder that was measured as quicker than any is, and of another name of its files that was nearly as quick."""
    measured = read_json(folder / "profile.json", GenerationProfile, made_by="")
    (own,) = measured.sites[0].variants
    path = str(folder / own.path)
    both = (replace(own, path=path), variant("twin", **{"path": path, "sha256": own.sha256, "lossless": True} | twin))
    made = generation_profiles.profile({"fp32": INSTANT, "twin": INSTANT.times(2.0)}, variants=both, clock="cpu")
    made = generation_profiles.with_site(made, machine=read_machine())
    return replace(made, model=measured.model, settings=measured.settings)


def test_a_verification_that_was_interrupted_goes_on_after_the_replays_that_had_run(folder, tmp_path):
    path = advised(tmp_path, with_a_twin(folder), **PROMPT)
    before, served = [(tmp_path / name).read_bytes() for name in ("profile.json", "advice.json")], []

    def interrupt(_, __, what):
        served.append(what)
        if len(served) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as end:
        verify(path, None, wanted_s=0.5, now=NOW, report=interrupt)
    assert ["serving requests on fp32", "serving requests on twin"] == served
    assert [KEPT] == end.value.__notes__
    assert before == [(tmp_path / name).read_bytes() for name in ("profile.json", "advice.json")]
    (kept,) = of_load_tests(path, sha256(path), 0.5, Replay).entries

    verified = verify(path, None, wanted_s=0.5, now=NOW, report=lambda _, __, what: served.append(what))

    assert ["serving requests on twin"] == served[2:]
    assert kept == verified.replays[0] and 2 == len(verified.replays)
    assert ["advice.json", "profile.json", "w.yaml"] == sorted(entry.name for entry in tmp_path.iterdir())


def test_what_was_seen_of_one_way_stays_where_another_cannot_be_served(folder, tmp_path):
    path = advised(tmp_path, with_a_twin(folder, sha256="1" * 64), **PROMPT)

    with pytest.raises(InputError, match="no longer what was measured"):
        verify(path, None, wanted_s=0.5, now=NOW, report=silent)

    (seen,) = read_json(path, GenerationAdvice, made_by="").replays
    assert "fp32" == seen.candidate.variant
    assert (seen,) == read_json(tmp_path / "profile.json", GenerationProfile, made_by="").sites[0].replays
    assert not (tmp_path / "advice.load-tests").exists()


def test_what_runs_in_openvino_is_served_there(tmp_path):
    pytest.importorskip("openvino_genai")
    checkpoint = checkpoints.save(tmp_path / "llama")
    form = write_openvino(checkpoint, tmp_path / "openvino")
    serving = variant("openvino-fp32", engine="openvino", lossless=True, path="openvino", sha256=form.sha256)
    measured = generation_profiles.profile({"openvino-fp32": QUICK}, variants=(serving,), with_mixed=True, clock="cpu")
    measured = generation_profiles.with_site(measured, machine=read_machine())
    settings = replace(measured.settings, max_context_tokens=64)
    path = advised(tmp_path, replace(measured, model=described(checkpoint), settings=settings))

    (seen,) = verify(path, None, wanted_s=0.5, now=NOW, report=silent).replays

    assert ("openvino", "mixed", True) == (seen.engine, seen.candidate.policy, seen.tokens_equal)
    assert seen.covered.keys() == seen.covered_before.keys() != set()
    assert seen.step_ratio_decode.value > 0 < seen.step_ratio_prefill.value
    assert "speed of its own steps" in seen.expected.ttft_s.p50.source


def disturbed(waited):
    return replace(replay(), clock="wall", run_delay_fraction=waited)


@pytest.mark.parametrize(
    ("advice", "status"),
    [
        (chat(), ExitStatus.ADVICE),
        (replace(chat(), replays=(replay(meets=False),)), ExitStatus.MISSED),
        (replace(chat(), replays=(replay(meets=False), replay())), ExitStatus.ADVICE),
        (replace(chat(), replays=()), ExitStatus.NOT_VALID),
        (replace(chat(), replays=(disturbed(0.5),)), ExitStatus.NOT_VALID),
        (replace(chat(), replays=(disturbed(0.01),)), ExitStatus.ADVICE),
        (replace(chat(), replays=(disturbed(None),)), ExitStatus.ADVICE),
        (missed_chat(), ExitStatus.INFEASIBLE),
        (open_chat(), ExitStatus.INCONCLUSIVE),
    ],
)
def test_a_replay_of_what_is_advised_decides_how_the_command_ends(advice, status):
    assert status == exit_status(advice)


@pytest.mark.parametrize("sound", [False, True])
def test_what_an_encoder_reads_is_advised_on_and_served_for_real(tmp_path, sound):
    export = seq2seq_exports.save(tmp_path / "export", sound=sound)
    (tmp_path / "w.yaml").write_bytes(msgspec.yaml.encode(WORKLOAD))
    options = ProfileOptions(budget_s=20.0, max_batch_size=2, workload=tmp_path / "w.yaml")
    how = How(Here, Pace(longest_visit_s=0.0, most_rounds=2, longest_watch_s=0.01))
    profile_generation(export, tmp_path / "profile.json", options, now=NOW, report=silent, how=how)
    advice = advise_on(tmp_path / "profile.json", tmp_path / "w.yaml", now=NOW)
    write_record(tmp_path / "advice.json", advice)

    verified = verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)

    (seen,) = verified.replays
    assert seen.tokens_equal is True and seen.covered and "prefill_first" == seen.candidate.policy
    assert any("prompts in chunks" in entry.what for entry in verified.exclusions)
    assert any("take turns" in note for note in verified.notes)
    assert "as-given" in full_summary(verified)
    for format_ in ("md", "html", "json"):
        assert "an encoder reads an input whole" in render(verified, format_)
