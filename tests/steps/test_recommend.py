"""From a model to a report, for real: trees, networks with state, texts of every length; and what a workload may not contradict."""

import math
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.errors import ExitStatus, InputError
from advisor.files.records import read_json, sha256, write_record
from advisor.files.trace import read_trace
from advisor.files.workload import read_question, sequence_lengths
from advisor.measure.timing.journal import Journal
from advisor.measure.timing.ledger import Ledger
from advisor.schema.advice import Advice, LoadTest
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.schema.record import Exclusion
from advisor.schema.workload import Inputs, SequenceLength
from advisor.steps.advise import advise_on, read_advice
from advisor.steps.profile import profile as measure
from advisor.steps.recommend import exit_status, left_out_of_given, recommend
from advisor.steps.serve import lesson_of, trial
from advisor.steps.verify import exit_status as exit_status_of_test
from advisor.steps.verify import verify
from tests.profiles import NOW, drop_of, fixed_cost_law, profile, request, variant, with_site, workload

ROOT = Path(__file__).parents[2]
SILERO = Path(find_spec("silero_vad").origin).parent / "data" / "silero_vad.onnx"
WORKLOAD = """
name: a test
traffic: {requests_per_s: 50}
slo: {latency_s: 1 s}
hardware: {price_usd_per_hour: {local: 0.17}}
"""
WITH_FLOOR = WORKLOAD + "quality: {metric: accuracy, max_drop: 3 %, data: eval.npz}\n"
ANY_UNCERTAINTY = 1000.0  # the machine may be busy: what is claimed here is claimed of any answer


def silent(*_, line=None):
    pass


def recommended(folder, model, **options):
    (folder / "workload.yaml").write_text(WORKLOAD)
    asked = ProfileOptions(workload=folder / "workload.yaml", budget_s=1.0, max_batch_size=4, **options)
    return recommend(model, folder / "advice", asked, is_verified=False, max_uncertainty=ANY_UNCERTAINTY, now=NOW, report=silent)


@pytest.fixture(scope="module")
def forest(tmp_path_factory):
    """A folder in which a small random forest was recommended on; returns the folder and the advice."""
    # Not where the module begins: every process of the tests collects all modules, and one runs this.
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    folder = tmp_path_factory.mktemp("forest")
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, 6)).astype(np.float32)
    trees = RandomForestClassifier(n_estimators=10, max_depth=4, random_state=0).fit(rows, rows[:, 0] > 0)
    model = to_onnx(trees, rows[:1], options={"zipmap": False})
    (folder / "forest.onnx").write_bytes(model.SerializeToString())
    return folder, recommended(folder, folder / "forest.onnx")


@pytest.fixture
def place(tmp_path):
    """A folder with the profile of a model that is twice as fast quantized, the drop measured on eval.npz, and two workloads."""
    np.savez(tmp_path / "eval.npz", x=np.zeros(3))
    quality = replace(drop_of(0.01, 0.02), data_sha256=sha256(tmp_path / "eval.npz"))
    law = fixed_cost_law(0.005, 0.005, of_variant={"int8": 0.2})
    variants = (variant(), variant("int8", lossless=False, quality=quality))
    write_record(tmp_path / "profile.json", profile(law, variants=variants, batch_sizes=(1,)))
    (tmp_path / "workload.yaml").write_text(WITH_FLOOR.replace("50}", "300}"))
    return tmp_path


# --- from model to report ------------------------------------------------------------------------------------------------


def test_a_forest_is_measured_advised_on_and_reported(forest):
    folder, advice = forest

    assert ("tree", True) == (advice.model.family, advice.recommended is not None)
    assert {"profile.json", "advice.json", "report.html", "report.md"} <= {path.name for path in (folder / "advice").iterdir()}


def test_what_was_not_done_to_a_forest_has_a_reason(forest):
    _, advice = forest

    assert {"int8-dynamic", "ort-optimized"} <= {entry.what for entry in advice.exclusions} | {
        entry.id for entry in advice.variants
    }
    assert all(entry.reason for entry in advice.exclusions)


def test_advice_in_its_file_is_the_advice(forest):
    folder, advice = forest

    assert advice == read_advice(folder / "advice" / "advice.json")


def test_advice_names_the_profile_that_it_was_made_from(forest):
    folder, advice = forest

    assert ("profile.json", sha256(folder / "advice" / "profile.json")) == (advice.profile_path, advice.profile_sha256)


def test_the_same_profile_gives_the_same_advice(forest):
    folder, advice = forest

    again = advise_on(folder / "advice" / "profile.json", folder / "workload.yaml", now=NOW, max_uncertainty=ANY_UNCERTAINTY)

    assert advice == again


def test_recommending_again_measures_nothing_again(forest):
    folder, _ = forest
    before = sha256(folder / "advice" / "profile.json")

    recommended(folder, folder / "forest.onnx")

    assert before == sha256(folder / "advice" / "profile.json")


def test_another_question_of_the_profiler_is_measured_anew(forest, tmp_path):
    folder, _ = forest
    options = ProfileOptions(budget_s=1.0, max_batch_size=1, seed=1)

    measured = measure(folder / "forest.onnx", tmp_path / "profile.json", options, now=NOW, report=silent)

    assert {1} == {entry.batch_size for entry in measured.sites[0].measurements}
    before = read_json(folder / "advice" / "profile.json", Profile, made_by="")
    assert measured.sites[0].fingerprint != before.sites[0].fingerprint


def test_a_network_with_state_and_a_scalar_input_is_advised_on(tmp_path):
    advice = recommended(tmp_path, SILERO)

    assert {"state", "scalar"} <= {entry.role for entry in advice.model.inputs}
    assert advice.recommended is not None


WORKLOADS = sorted({*(ROOT / "examples").glob("*.yaml")} - {ROOT / "examples" / "sweep.yaml"})


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.name)
def test_the_workloads_of_the_examples_are_workloads(path):
    assert read_question(path).name == path.stem


def test_the_workload_in_the_documentation_is_one(tmp_path):
    text = (ROOT / "docs" / "workload.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "workload.yaml").write_text(text)
    (tmp_path / "eval.npz").touch()

    assert read_question(tmp_path / "workload.yaml").slo.latency_s == 0.05


# --- quality on the user's own data --------------------------------------------------------------------------------------


def test_quality_that_was_measured_on_the_data_of_the_workload_counts(place):
    assert "int8" == advise_on(place / "profile.json", place / "workload.yaml", now=NOW).recommended.candidate.variant


def test_quality_that_was_measured_on_other_data_does_not(place):
    np.savez(place / "eval.npz", x=np.ones(4))

    advice = advise_on(place / "profile.json", place / "workload.yaml", now=NOW)

    assert ("fp32", "int8") == (advice.recommended.candidate.variant, advice.unproven.candidate.variant)


# --- what a workload may not contradict ----------------------------------------------------------------------------------


def trace_file(folder, *, lengths=None, count=200):
    rows = [f"{index / 10}" + (f",{lengths[index % len(lengths)]}" if lengths else "") for index in range(count)]
    header = "arrival_s" + (",sequence_length" if lengths else "")
    (folder / "trace.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "workload.yaml").write_text(WORKLOAD.replace("requests_per_s: 50", "trace: trace.csv"))
    return folder / "workload.yaml"


def test_lengths_that_a_trace_recorded_are_passed_over_where_the_model_reads_none(tmp_path, forest):
    folder, _ = forest
    workload = trace_file(tmp_path, lengths=[8, 32])
    options = ProfileOptions(workload=workload, budget_s=1.0, max_batch_size=1)

    measured = measure(folder / "forest.onnx", tmp_path / "profile.json", options, now=NOW, report=silent)
    advice = advise_on(tmp_path / "profile.json", workload, now=NOW)

    assert () == measured.settings.sequence_lengths
    assert advice.workload.inputs is None and "its lengths are not used" in " ".join(advice.notes)
    assert advice.notes[0].startswith("traffic.trace: trace.csv: 10 /s on average")


def test_a_trace_is_read_in_seconds(tmp_path):
    trace_file(tmp_path)

    trace = read_trace(tmp_path / "trace.csv")

    assert (200, 19.9, None) == (len(trace.arrival_s), trace.arrival_s[-1], trace.sequence_length)


def test_a_trace_may_have_other_columns_and_requests_at_one_moment(tmp_path):
    (tmp_path / "trace.csv").write_text("user,arrival_s\n" + "".join(f"u{index},{index // 4}\n" for index in range(120)))

    assert 29.0 == read_trace(tmp_path / "trace.csv").arrival_s[-1]


def test_the_lengths_of_a_trace_are_those_to_measure_where_the_workload_names_none(tmp_path):
    asked = read_question(trace_file(tmp_path, lengths=[8] * 15 + [32] * 4 + [200]))

    assert SequenceLength(p50=8, p95=32, max=200) == asked.inputs.sequence_length


def test_the_error_of_a_trace_names_its_file_and_that_of_the_key_the_workload(tmp_path):
    path = trace_file(tmp_path, count=20)

    with pytest.raises(InputError) as refusal:
        advise_on(write_profile(tmp_path), path, now=NOW)

    assert refusal.value.fault.startswith(f"{tmp_path / 'trace.csv'}: 20 requests")


def write_profile(folder):
    write_record(folder / "profile.json", profile(fixed_cost_law(0.01, 0.001)))
    return folder / "profile.json"


@settings(deadline=None)
@given(st.integers(1, 10_000), st.none() | st.integers(1, 10_000), st.none() | st.integers(1, 100_000))
def test_the_lengths_to_measure_are_few_different_and_hold_what_was_asked_for(p50, p95, longest):
    lengths = SequenceLength(p50=p50, p95=p95 and max(p95, p50), max=longest and max(longest, p95 or 0, p50))
    asked = replace(workload(), inputs=Inputs(sequence_length=lengths))

    found = sequence_lengths(asked)

    assert p50 == found[0] and len(set(found)) == len(found) <= 4
    assert {lengths.p95 or p50, lengths.max or lengths.p95 or p50} <= set(found)
    assert min(found) >= 1


def test_a_model_without_lengths_has_none_to_measure():
    assert () == sequence_lengths(workload()) == sequence_lengths(None)


# --- served for real -----------------------------------------------------------------------------------------------------


def test_what_is_served_for_real_goes_into_profile_advice_and_report(forest, tmp_path):
    advised(forest, tmp_path)

    verified = verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)

    assert verified == read_json(tmp_path / "advice.json", Advice, made_by="")
    assert {verified.baseline.candidate} <= {test.candidate for test in verified.load_tests}
    assert sha256(tmp_path / "profile.json") == verified.profile_sha256
    written = ["advice.json", "profile.json", "report-charts", "report.html", "report.md"]
    assert written == sorted(entry.name for entry in tmp_path.iterdir())


def test_a_verification_that_was_interrupted_goes_on_after_the_load_tests_that_had_run(forest, tmp_path):
    advised(forest, tmp_path, WORKLOAD + "baseline: {replicas: 3}\n")
    before = read_json(tmp_path / "advice.json", Advice, made_by="")
    served = []

    def interrupt(_, __, what):
        served.append(what)
        if len(served) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=interrupt)
    [question, *_] = (tmp_path / "advice.load-tests").read_bytes().splitlines()
    kept = Journal(
        tmp_path / "advice.load-tests", msgspec.json.decode(question)["digest"], msgspec.json.Decoder(LoadTest)
    ).entries
    assert sha256(tmp_path / "advice.json").encode() in question
    assert before == read_json(tmp_path / "advice.json", Advice, made_by="")

    verified = verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)

    assert 1 == len(kept) and set(kept) <= set(verified.load_tests)
    assert not (tmp_path / "advice.load-tests").exists()


@pytest.fixture(scope="module")
def verified(forest, tmp_path_factory):
    """Advice that was load-tested for real."""
    place = tmp_path_factory.mktemp("verified")
    advised(forest, place)
    return verify(place / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)


def with_test(advice, **changes):
    """The advice with the load test of what it recommends changed."""
    changes = {"others_fraction": None, **changes}
    tests = [replace(test, **changes) if test.candidate == advice.recommended.candidate else test for test in advice.load_tests]
    return replace(advice, load_tests=tuple(tests))


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (ExitStatus.ADVICE, {"meets_slo": True, "generator_kept_up": True}),
        (ExitStatus.MISSED, {"meets_slo": False, "generator_kept_up": True}),
        (ExitStatus.NOT_VALID, {"meets_slo": True, "generator_kept_up": False}),
        (ExitStatus.NOT_VALID, {"meets_slo": False, "generator_kept_up": False}),
        (ExitStatus.MISSED, {"meets_slo": False, "generator_kept_up": True, "others_fraction": 0.1}),
        (ExitStatus.NOT_VALID, {"meets_slo": False, "generator_kept_up": True, "others_fraction": 0.11}),
        (ExitStatus.ADVICE, {"meets_slo": True, "generator_kept_up": True, "others_fraction": 0.9}),
    ],
)
def test_the_load_test_of_the_recommendation_decides_the_exit_status(verified, status, changes):
    tested = with_test(verified, **changes)

    assert status == exit_status_of_test(tested) == exit_status(tested, is_verified=True)
    assert ExitStatus.ADVICE == exit_status(tested, is_verified=False)


def test_a_recommendation_that_was_not_load_tested_is_not_verified(verified):
    assert ExitStatus.NOT_VALID == exit_status_of_test(replace(verified, load_tests=()))


@pytest.mark.parametrize(
    ("outcome", "status"), [("infeasible", ExitStatus.INFEASIBLE), ("inconclusive", ExitStatus.INCONCLUSIVE)]
)
def test_where_nothing_is_recommended_the_exit_status_is_that_of_the_advice(verified, outcome, status):
    advice = replace(verified, outcome=outcome, recommended=None)

    assert (
        status == exit_status_of_test(advice) == exit_status(advice, is_verified=True) == exit_status(advice, is_verified=False)
    )


def test_a_load_test_with_a_late_generator_is_not_valid_though_nothing_is_recommended(verified):
    likely = with_test(verified, generator_kept_up=False)

    advice = replace(likely, outcome="inconclusive", recommended=None, likely=verified.recommended)

    assert ExitStatus.NOT_VALID == exit_status_of_test(advice)


def test_the_uncertainty_that_was_accepted_is_accepted_when_it_is_verified(forest, tmp_path):
    advised(forest, tmp_path, max_uncertainty=7.0)

    assert 7.0 == verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent).certainty.max_uncertainty


def advised(forest, place, asked=WORKLOAD, **options):
    """Put the profile of the forest, advice on it and reports into the folder `place`."""
    folder, _ = forest
    (folder / "asked.yaml").write_text(asked)
    for name in ("report.html", "report.md"):
        (place / name).write_bytes((folder / "advice" / name).read_bytes())
    write_record(place / "profile.json", with_paths_of(folder / "advice", place))
    write_record(place / "advice.json", advise_on(place / "profile.json", folder / "asked.yaml", now=NOW, **options))


# --- files that the user brings ------------------------------------------------------------------------------------------


def test_the_same_file_given_as_a_variant_is_measured_compared_and_found_to_be_as_fast(forest, tmp_path):
    folder, _ = forest
    options = ProfileOptions(variants=(folder / "forest.onnx",), budget_s=2.0, max_batch_size=2)

    measured = measure(folder / "forest.onnx", tmp_path / "profile.json", options, now=NOW, report=silent)

    given = next(entry for entry in measured.sites[0].variants if entry.scheme == "given")
    assert ("forest", True, 1.0) == (given.id, given.lossless, given.agreement.top1_agreement)
    assert any(entry.variant == "forest" for entry in measured.sites[0].measurements)


def test_who_gave_files_as_variants_is_told_which_were_left_out_and_why():
    reasons = {"noise": "answers noise", "int8-dynamic-2": "does not load", "int8-dynamic": "no operator of its own"}
    excluded = tuple(Exclusion(what=name, reason=reason) for name, reason in reasons.items())
    measured = with_site(profile(fixed_cost_law(0.01, 0.001)), exclusions=excluded)
    advice = advise(measured, request(workload(20.0, 1.0), measured), None)
    given = ProfileOptions(variants=(Path("a/noise.onnx"), Path("a/kept.onnx"), Path("a/int8-dynamic.onnx")))

    told = left_out_of_given(advice, given)

    assert (
        "--variant a/noise.onnx: left out: answers noise",
        "--variant a/int8-dynamic.onnx: left out: does not load",
    ) == told
    assert () == left_out_of_given(advice, ProfileOptions())


@pytest.mark.parametrize("fault", ["no such file", "its inputs are"])
def test_a_variant_that_cannot_take_the_place_of_the_model_is_refused_before_anything_is_measured(forest, tmp_path, fault):
    folder, _ = forest
    path = tmp_path / "nowhere.onnx" if fault == "no such file" else SILERO
    options = ProfileOptions(variants=(path,), budget_s=2.0, max_batch_size=2)

    with pytest.raises(InputError) as refusal:
        measure(folder / "forest.onnx", tmp_path / "profile.json", options, now=NOW, report=silent)

    assert refusal.value.fault.startswith(f"--variant: {path}: {fault}")


def test_a_profile_with_time_for_it_knows_what_a_server_adds(forest, tmp_path):
    folder, _ = forest
    measured = with_paths_of(folder / "advice", tmp_path)

    tried = trial(measured, measured.sites[0], folder / "advice", Ledger(60.0))
    assert tried is not None
    seen = tried.test.calibration

    assert measured.sites[0].variants[0].id == seen.variant
    assert 0 < seen.per_batch_s.value < 0.1 and min(seen.transit_s) >= 0


def test_a_trial_is_held_against_what_is_known_of_calls_when_it_is_used(forest, tmp_path):
    folder, _ = forest
    measured = with_paths_of(folder / "advice", tmp_path)
    here = measured.sites[0]
    tried = trial(measured, here, folder / "advice", Ledger(60.0))

    def lesson(times, noise):
        floors = tuple(replace(floor, between_processes=noise) for floor in here.noise_floors)
        slower = [replace(it, visits=tuple(longer(visit, times) for visit in it.visits)) for it in here.measurements]
        return lesson_of(tried, with_site(measured, measurements=tuple(slower), noise_floors=floors))

    def longer(visit, times):
        # What other work held up is held up in proportion: a visit that was disturbed is as disturbed.
        held_up = {name: times * (getattr(visit, name) or 0.0) for name in ("run_delay_s", "steal_s", "throttled_s")}
        waited_s = None if visit.waited_s is None else tuple(times * wait_s for wait_s in visit.waited_s)
        return replace(visit, latency_s=tuple(times * call_s for call_s in visit.latency_s), waited_s=waited_s, **held_up)

    early, later, surer = lesson(1.0, 2.0), lesson(2.0, 2.0), lesson(1.0, 0.01)
    assert later.call_ratio.value == pytest.approx(early.call_ratio.value / 2)
    assert early.call_ratio.high >= math.exp(2.0) * early.call_ratio.value
    assert surer.call_ratio.high < early.call_ratio.high
    assert later.per_batch_s == early.per_batch_s


def test_a_model_whose_calls_are_long_needs_no_trial():
    slow = profile(fixed_cost_law(0.5, 0.5))

    assert trial(slow, slow.sites[0], ROOT, Ledger(60.0)) is None


def with_paths_of(folder, other):
    """The profile in `folder`, its files found from another place."""
    measured = read_json(folder / "profile.json", Profile, made_by="")
    variants = tuple(replace(entry, path=str((folder / entry.path).resolve())) for entry in measured.sites[0].variants)
    assert all(Path(entry.path).is_file() for entry in variants) and other.is_dir()
    return with_site(measured, variants=variants)
