"""The profiler: every promised point is visited, whatever happens on the way, and an interrupted run goes on where it was."""

import os
import re
import signal
from itertools import product

import msgspec
import numpy as np
import psutil
import pytest

from advisor.files.catalog import hardware_of
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.runtime.machine import read_machine
from advisor.measure.runtime.ort_session import open_session, run
from advisor.measure.timing import profiler
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.opinion import Opinion, Wanted
from advisor.measure.timing.profile_journal import ProfileJournal, Visited, Watched
from advisor.measure.timing.schedule import MIN_CALLS, MIN_ROUNDS, batch_sizes, thread_settings
from advisor.measure.timing.settings import TimingSettings
from advisor.measure.variants.making import AGAIN, Plan, baseline_id
from advisor.measure.variants.settings import ScreeningSettings
from advisor.schema.profile import Profile, ProfileSettings
from advisor.steps.profile import schemes
from advisor.visits import ENOUGH_VISITS
from tests import models
from tests.models import CLASSES, WIDTH, save
from tests.processes import SHARED

# Never spent: rounds end a run, so that it visits the same points however busy the machine is.
BUDGET_S = 3600.0
# Weights for a processor without VNNI saturate on none, so that every instruction set comes to the same integers.
ONE_CORE = msgspec.structs.replace(read_machine(), cores=1, instruction_sets=("avx2",))
VARIANTS = ("fp32", "int8-dynamic", "ort-optimized")
TWO = VARIANTS[:2]  # each has a process of its own: fewer of them where a claim is not about how many there are
TWO_SHORT_ROUNDS = TimingSettings(max_rounds=2, visit_s=0.005, longest_watch_s=0.01)
SIX_ROUNDS = msgspec.structs.replace(TWO_SHORT_ROUNDS, max_rounds=2 * MIN_ROUNDS)
IN_DOUBT = {"unsure_fraction": 0.0, "errors_to_exceed": 0.0}  # whatever the visits show
# On networks this small int8 is always slower; and no machine is too slow to judge by all items.
SHORT_LOOKS = ScreeningSettings(look_s=0.002, hopeless=0.0, judging_share=float("inf"))


def plan_of(
    model,
    folder,
    *,
    cores=1,
    rows=None,
    data=None,
    metric=None,
    lengths=(),
    timing=TWO_SHORT_ROUNDS,
    store=save,
    names=VARIANTS,
    **settings,
):
    path = store(model, folder / "model.onnx")
    given_rows = None if rows is None else dict(np.load(rows))
    facts = inspect_onnx(path, name="model", sequence_lengths=lengths, rows=given_rows)
    defaults = {"max_batch_size": 4, "max_latency_s": None, "budget_s": BUDGET_S, "seed": 0}
    return Plan(
        baseline=path,
        folder=folder / "profile.variants",
        facts=facts,
        settings=ProfileSettings(
            sequence_lengths=lengths,
            inputs_sha256="1" * 64 if rows else None,
            quality_metric=metric,
            quality_data_sha256="2" * 64 if data else None,
            **defaults | settings,
        ),
        schemes=tuple(scheme for scheme in schemes() if scheme.id in names),
        given=(),
        hardware=hardware_of("local", ONE_CORE),
        machine=msgspec.structs.replace(ONE_CORE, cores=cores),
        rows=str(rows) if rows else None,
        data=str(data) if data else None,
        created="2026-11-22T00:00:00+00:00",
        fingerprint="f" * 64,
        screening=SHORT_LOOKS,
        timing=timing,
    )


def silent(done_s, of_s, what, *, line=None):
    """Report to nobody."""


def measured(plan, report=silent):
    journal = ProfileJournal(plan.folder.parent / "journal", plan.fingerprint)
    return profiler.measure(plan, journal, Ledger(plan.settings.budget_s), report, SHARED, keeps_apart=True)


def entries_of(plan):
    return ProfileJournal(plan.folder.parent / "journal", plan.fingerprint).entries


def points_of(profile):
    return {(entry.variant, entry.batch_size) for entry in profile.sites[0].measurements if not entry.variant.endswith(AGAIN)}


def reason_of(profile, what):
    return next(exclusion.reason for exclusion in profile.sites[0].exclusions if exclusion.what == what)


def workers():
    """Return the processes that time a variant, in the order in which they were started."""
    found = (child for child in psutil.Process().children() if "advisor.measure.worker.process" in child.cmdline())
    return sorted(found, key=lambda child: child.create_time())


# --- an undisturbed run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    plan = plan_of(models.mlp(), tmp_path_factory.mktemp("profile"), cores=2)
    return plan, measured(plan)


def test_every_promised_point_is_visited_in_every_round(undisturbed):
    _, profile = undisturbed
    expected = {(name, size, *setting) for name, size, setting in product(VARIANTS, (1, 4), thread_settings(2))}

    visits = {
        (entry.variant, entry.batch_size, entry.intra_op_num_threads, entry.instances): len(entry.visits)
        for entry in profile.sites[0].measurements
        if not entry.variant.endswith(AGAIN)
    }

    assert dict.fromkeys(expected, 2) == visits
    assert () == profile.sites[0].exclusions


# --- with a decision to ask ------------------------------------------------------------------------------------------------------


def visits_by_point(profile):
    return {(entry.variant, entry.batch_size): len(entry.visits) for entry in profile.sites[0].measurements}


def test_what_the_answer_rests_on_is_timed_most(tmp_path):
    asked = []

    def ask(measured):
        asked.append(measured)
        return Opinion((Wanted("int8-dynamic", 1, 1, (1,)),), stands=True, answer="int8-dynamic")

    profile = measured(msgspec.structs.replace(plan_of(models.mlp(), tmp_path, names=TWO), ask=ask))

    visits = visits_by_point(profile)
    assert ENOUGH_VISITS <= visits["int8-dynamic", 1] == max(visits.values())
    assert {MIN_ROUNDS} == {made for (variant, _), made in visits.items() if variant != "int8-dynamic"}
    assert all(before.sites[0].measurements for before in asked)


def test_where_time_is_short_the_decision_is_asked_before_everything_was_looked_at_and_all_of_it_is_in_the_end(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("advisor.measure.timing.profiler.FIRST_PASS_SHARE", 0.0)
    asked = []

    def ask(measured):
        asked.append(visits_by_point(measured))
        return Opinion((Wanted("fp32", 1, 1, (1,)),), stands=True, answer="fp32")

    profile = measured(msgspec.structs.replace(plan_of(models.mlp(), tmp_path, names=TWO), ask=ask))

    assert asked[0].keys() < visits_by_point(profile).keys()
    waiting = [seen for seen in asked if seen["fp32", 1] < ENOUGH_VISITS]
    assert {"fp32"} == {variant for seen in waiting for variant, _ in seen}  # no other is looked at before
    assert set(TWO) == {entry.variant for entry in profile.sites[0].measurements} - {"fp32" + AGAIN}


def test_without_an_opinion_every_point_is_timed_alike(tmp_path):
    plan = msgspec.structs.replace(plan_of(models.mlp(), tmp_path, names=TWO), ask=lambda measured: None)

    assert {2} == set(visits_by_point(measured(plan)).values())


def test_every_visit_keeps_its_samples(undisturbed):
    _, profile = undisturbed
    visits = [visit for entry in profile.sites[0].measurements for visit in entry.visits]

    assert all(len(visit.latency_s) >= MIN_CALLS and min(visit.latency_s) > 0 for visit in visits)
    assert len(visits) == len({visit.order for visit in visits})
    assert all(
        list(entry.visits) == sorted(entry.visits, key=lambda visit: visit.order) for entry in profile.sites[0].measurements
    )


def test_the_baseline_is_measured_again_to_know_the_noise(undisturbed):
    _, profile = undisturbed

    assert profile.sites[0].noise_fraction >= 0
    assert {(1, 1), (1, 2), (2, 1)} == {(floor.intra_op_num_threads, floor.instances) for floor in profile.sites[0].noise_floors}
    assert not any(variant.id.endswith(AGAIN) for variant in profile.sites[0].variants)


def test_every_variant_is_a_file_that_differs_and_nearly_agrees(undisturbed):
    plan, profile = undisturbed

    assert VARIANTS == tuple(sorted(variant.id for variant in profile.sites[0].variants))
    assert len(profile.sites[0].variants) == len({variant.sha256 for variant in profile.sites[0].variants})
    for variant in profile.sites[0].variants:
        assert (plan.folder.parent / variant.path).is_file()
        assert variant.load_s > 0
        if variant.derived_from is not None:
            assert variant.changed_operators
            assert variant.agreement.cosine_min > 0.9


def test_a_profile_survives_being_written_down(undisturbed):
    _, profile = undisturbed

    assert profile == msgspec.json.decode(msgspec.json.encode(profile), type=Profile)


def test_no_process_is_left_behind(undisturbed):
    assert [] == workers()


def test_the_memory_told_of_a_variant_is_the_most_that_its_process_had_after_a_visit(undisturbed):
    plan, profile = undisturbed
    seen = {}
    for entry in entries_of(plan):
        if isinstance(entry, Visited):
            seen.setdefault(entry.point.variant, []).append(entry.peak_memory_bytes)

    assert {name: max(seen[name]) for name in VARIANTS} == {
        variant.id: variant.peak_memory_bytes for variant in profile.sites[0].variants
    }


def test_the_distance_between_cores_is_reported_of_visits_on_several_threads_alone(undisturbed):
    _, profile = undisturbed
    alone = [visit for entry in profile.sites[0].measurements if entry.intra_op_num_threads == 1 for visit in entry.visits]

    assert {None} == {visit.core_hop_s for visit in alone}


# --- a run that is interrupted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interrupted_at", [1, 4, 9])
def test_an_interrupted_run_goes_on_without_measuring_again_what_it_has(tmp_path, interrupted_at):
    plan = plan_of(models.mlp(), tmp_path, names=TWO)
    calls = []

    def interrupting(done_s, of_s, what, *, line=None):
        calls.append(what)
        if len(calls) == interrupted_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(plan, interrupting)
    assert [] == workers()
    before = entries_of(plan)

    profile = measured(plan)

    after = entries_of(plan)
    assert before == after[: len(before)]
    assert set(TWO) == {variant.id for variant in profile.sites[0].variants}
    visits = {visit.order: visit for entry in profile.sites[0].measurements for visit in entry.visits}
    assert {number: entry.visit for number, entry in enumerate(after) if isinstance(entry, Visited)} == visits
    first_round = [entry.point for entry in after if isinstance(entry, Visited)][: 2 * (len(TWO) + 1)]
    assert len(first_round) == len(set(first_round))


def test_cores_are_watched_between_rounds_and_a_watch_is_not_made_again(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO, timing=SIX_ROUNDS)
    calls = []

    def interrupting(done_s, total_s, what):
        calls.append(what)
        if "fp32, batch 1" in what and calls.count(what) == 2:  # in the second round
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(plan, interrupting)
    before = [entry for entry in entries_of(plan) if isinstance(entry, Watched)]
    assert 2 == len(before)

    profile = measured(plan)

    watches = [entry for entry in entries_of(plan) if isinstance(entry, Watched)]
    assert before == watches[:2] and len(watches) == plan.timing.watches
    assert tuple(entry.stalls for entry in watches if entry.stalls is not None) == profile.sites[0].stalls
    assert all(entry.elapsed_s >= plan.timing.longest_watch_s for entry in watches if entry.stalls is not None)


def test_what_does_not_fit_in_memory_is_left_out_before_it_is_tried(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO, cores=2)
    weights = plan.facts.file_bytes
    tight = msgspec.structs.replace(plan, machine=msgspec.structs.replace(plan.machine, memory_bytes=int(1.5 * weights)))

    profile = measured(tight)

    assert {1} == {entry.instances for entry in profile.sites[0].measurements if entry.variant == "fp32"}
    assert "do not fit in the" in reason_of(profile, "fp32 at batch 1, 1 thread × 2 instances")


def test_a_finished_run_measures_nothing_again(undisturbed):
    plan, profile = undisturbed
    entries = entries_of(plan)

    assert profile == measured(plan)
    assert entries == entries_of(plan)


def test_a_variant_whose_file_was_deleted_is_made_again_and_known_once(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO)
    first = measured(plan)
    (plan.folder / "int8-dynamic.onnx").unlink()

    again = measured(plan)

    assert (plan.folder / "int8-dynamic.onnx").is_file()
    assert [v.id for v in first.sites[0].variants] == [v.id for v in again.sites[0].variants]
    assert points_of(first) == points_of(again)


def test_a_variant_whose_file_was_damaged_is_made_again_and_what_was_half_made_is_gone(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO)
    first = measured(plan)
    path = plan.folder / "int8-dynamic.onnx"
    path.write_bytes(path.read_bytes()[:-40])
    (plan.folder / ".ranges-killed").mkdir()
    (plan.folder / ".trial-int8-dynamic-mixed.onnx").write_bytes(b"half")

    again = measured(plan)

    assert [(v.id, v.sha256) for v in first.sites[0].variants] == [(v.id, v.sha256) for v in again.sites[0].variants]
    assert first.sites[0].measurements == again.sites[0].measurements
    assert [] == list(plan.folder.glob(".*"))


# --- a run that ends early -------------------------------------------------------------------------------------------------------


def test_no_ladder_climbs_above_a_call_that_takes_too_long(tmp_path):
    profile = measured(plan_of(models.mlp(), tmp_path, names=TWO, max_latency_s=1e-9))

    assert set(product(TWO, (1,))) == points_of(profile)
    for variant in TWO:
        assert "a call of batch size 1 already takes" in reason_of(profile, f"{variant} above batch 1, 1 thread")


def test_the_model_as_given_is_measured_even_if_the_budget_is_spent_at_once(tmp_path):
    profile = measured(plan_of(models.mlp(), tmp_path, budget_s=1e-6))

    assert {("fp32", 1)} == points_of(profile)
    assert "the budget of" in reason_of(profile, "fp32 above batch 1, 1 thread")
    for variant in ("int8-dynamic", "ort-optimized"):
        assert re.fullmatch(r"left out to keep the budget of .*; a budget of .* s would do", reason_of(profile, variant))


def test_the_budget_that_is_said_to_do_does(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO, budget_s=0.05)
    said = re.search(r"a budget of ([\d.]+) s would do", reason_of(measured(plan), "int8-dynamic"))
    (tmp_path / "journal").unlink()

    enough = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, budget_s=5 * float(said[1])))

    assert "int8-dynamic" in {variant.id for variant in measured(enough).sites[0].variants}


def test_what_the_user_named_is_tried_whatever_the_budget_says_and_the_overrun_is_told(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO, budget_s=0.05)
    plan = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, wanted=("int8-dynamic",)))
    steps, lines = [], []

    def reading(done_s, of_s, what, *, line=None):
        steps.append(what)
        lines.append(line or "")

    profile = measured(plan, reading)

    # Whether there is time left to time it depends on the machine.
    assert {"making int8-dynamic", "comparing int8-dynamic"} <= set(steps)
    assert not [exclusion for exclusion in profile.sites[0].exclusions if "to keep the budget" in exclusion.reason]
    assert [line for line in lines if "more than 50 ms for what was named takes longer" in line]


def test_what_there_was_no_time_to_time_is_named(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, cores=2)
    ledger = Ledger(BUDGET_S)

    def spending(done_s, of_s, what, *, line=None):
        if what.startswith("timing"):
            ledger.count(2 * BUDGET_S)

    journal = ProfileJournal(tmp_path / "journal", plan.fingerprint)
    profile = profiler.measure(plan, journal, ledger, spending, SHARED, keeps_apart=True)

    assert {("fp32", 1)} == points_of(profile)
    named = {exclusion.what for exclusion in profile.sites[0].exclusions if "no time was left" in exclusion.reason}
    assert {"fp32, 2 threads", "fp32, 1 thread × 2 instances", "int8-dynamic", "ort-optimized"} == named


# --- a run on which something goes wrong -----------------------------------------------------------------------------------------


def test_a_batch_that_fails_is_left_out_with_the_reason_and_the_others_are_measured(tmp_path):
    profile = measured(plan_of(models.batch_limit(limit=3), tmp_path, names=TWO))

    assert {(variant.id, 1) for variant in profile.sites[0].variants} == points_of(profile)
    for variant in profile.sites[0].variants:
        assert "the model fails on the given inputs" in reason_of(profile, f"{variant.id} at batch 4, 1 thread")
        assert not any(exclusion.what.startswith(f"{variant.id} above") for exclusion in profile.sites[0].exclusions)


def test_a_process_that_is_killed_once_is_started_again_and_its_point_is_timed(tmp_path):
    plan, fatal = plan_of(models.mlp(), tmp_path, names=TWO), f"timing fp32{AGAIN}, batch 1, 1 thread"
    killed = []

    def killing(done_s, of_s, what, *, line=None):
        # The worker that was started last is that of the baseline measured again.
        if what == fatal and not killed:
            killed.append(workers()[-1].pid)
            os.kill(killed[0], signal.SIGKILL)

    profile = measured(plan, killing)

    assert 1 == len(killed)
    assert not any(exclusion.what.startswith(f"fp32{AGAIN}") for exclusion in profile.sites[0].exclusions)
    assert set(product(TWO, (1, 4))) == points_of(profile)


def test_a_variant_whose_process_does_not_come_back_is_given_up_and_the_others_go_on(tmp_path):
    plan = plan_of(models.mlp(), tmp_path)

    def destroying(done_s, of_s, what, *, line=None):
        if what == "timing int8-dynamic, batch 4, 1 thread":
            (plan.folder / "int8-dynamic.onnx").write_bytes(b"no model")
            os.kill(workers()[1].pid, signal.SIGKILL)  # that of the first variant after the baseline

    profile = measured(plan, destroying)

    assert "its process cannot be started again" in reason_of(profile, "int8-dynamic")
    assert {*product(("fp32", "ort-optimized"), (1, 4)), ("int8-dynamic", 1)} == points_of(profile)


def test_a_variant_that_gives_infinities_is_left_out(tmp_path):
    # In bytes, numbers beside one that is a million times larger are zero, and the logarithm of zero is no number.
    scale = np.ones((WIDTH, WIDTH), np.float32)
    scale[0] = 0
    model = models.build(
        f"""(float[n, {WIDTH}] x) => (float[n, {WIDTH}] y) {{
            positive = Abs(x)
            uneven = Mul(positive, factors)
            product = MatMul(uneven, w)
            y = Log(product)
        }}""",
        {"factors": np.array([1e6] + [1.0] * (WIDTH - 1), np.float32), "w": scale},
    )

    profile = measured(plan_of(model, tmp_path, names=TWO))

    assert "its output y is not finite where the baseline's is" == reason_of(profile, "int8-dynamic")
    assert "int8-dynamic" not in {variant.id for variant in profile.sites[0].variants}


def test_a_model_that_gives_nan_itself_is_compared_where_it_does_not(tmp_path):
    profile = measured(plan_of(models.logarithm(), tmp_path, names=TWO))

    assert profile == msgspec.json.decode(msgspec.json.encode(profile), type=Profile)
    (variant,) = (variant for variant in profile.sites[0].variants if variant.id == "int8-dynamic")
    assert np.isfinite(variant.agreement.max_abs_difference)


def test_what_changes_nothing_and_what_is_quantized_already_is_left_out_with_the_reason(tmp_path):
    quantized = models.quantized(tmp_path)
    plan = msgspec.structs.replace(
        plan_of(models.mlp(), tmp_path), baseline=quantized, facts=inspect_onnx(quantized, name="model")
    )

    profile = measured(plan)

    assert "as-given" == baseline_id(plan.facts)
    assert "the model is already quantized" == reason_of(profile, "int8-dynamic")
    assert {"as-given", "ort-optimized"} == {variant.id for variant in profile.sites[0].variants}


# --- quality on the user's data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["batch", "1"])
def test_quality_is_measured_on_every_item_of_the_data(tmp_path, batch):
    random, data = np.random.default_rng(0), tmp_path / "data.npz"
    values = random.standard_normal((21, WIDTH)).astype(np.float32)
    labels = random.integers(0, CLASSES, 21)
    np.savez(data, x=values, label=labels)
    plan = plan_of(models.mlp(batch=batch), tmp_path, names=TWO, data=data, metric="accuracy")

    profile = measured(plan)

    session = open_session(plan.baseline)
    decided = [run(session, {"x": values[[row]]})["logits"].argmax() for row in range(21)]
    for variant in profile.sites[0].variants[1:]:
        assert 21 == variant.quality.items
        assert np.mean(decided == labels) == pytest.approx(variant.quality.baseline)
        assert variant.quality.drop.low <= variant.quality.drop.value <= variant.quality.drop.high
    assert profile.sites[0].variants[0].quality is None


def test_states_and_outputs_with_items_on_the_second_axis_are_compared_item_by_item(tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, x=np.random.default_rng(0).standard_normal((7, 19, 3)).astype(np.float32))

    profile = measured(plan_of(models.lstm(), tmp_path, data=data, metric="cosine"))

    (variant,) = profile.sites[0].variants[1:]
    assert 19 == variant.quality.items
    assert 0.9 < variant.quality.value < variant.quality.baseline == 1.0


def test_lengths_that_were_asked_for_are_all_measured(tmp_path):
    profile = measured(plan_of(models.embedding(), tmp_path, names=TWO, lengths=(16, 4, 32), max_batch_size=1))

    assert {4, 16, 32} == {entry.sequence_length for entry in profile.sites[0].measurements if entry.variant == "fp32"}
    assert {16} == {entry.sequence_length for entry in profile.sites[0].measurements if entry.variant.endswith(AGAIN)}


# --- a run that has time for more points ----------------------------------------------------------------------------------------


def added(profile, sizes):
    return {entry.batch_size: len(entry.visits) for entry in profile.sites[0].measurements if entry.batch_size not in sizes}


def test_points_in_doubt_are_added_after_the_first_rounds(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO, max_batch_size=16, timing=msgspec.structs.replace(SIX_ROUNDS, **IN_DOUBT))

    profile = measured(plan)

    found = added(profile, batch_sizes(plan.facts, 16))
    assert {2, 8} == set(found)
    assert {MIN_ROUNDS} == set(found.values())
    assert not any(entry.variant.endswith(AGAIN) for entry in profile.sites[0].measurements if entry.batch_size in found)


def test_an_interrupted_run_visits_added_points_no_more_often(tmp_path):
    plan = plan_of(models.mlp(), tmp_path, names=TWO, max_batch_size=16, timing=msgspec.structs.replace(SIX_ROUNDS, **IN_DOUBT))

    def interrupting(done_s, of_s, what, *, line=None):
        if "batch 8" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(plan, interrupting)

    profile = measured(plan)

    found = added(profile, batch_sizes(plan.facts, 16))
    assert {2, 8} == set(found)
    assert {MIN_ROUNDS} == set(found.values())


def test_added_points_that_are_hardly_known_are_not_told(tmp_path):
    five_rounds = msgspec.structs.replace(SIX_ROUNDS, max_rounds=2 * MIN_ROUNDS - 1, **IN_DOUBT)
    plan = plan_of(models.mlp(), tmp_path, names=TWO, timing=five_rounds)

    profile = measured(plan)

    assert {1, 4} == {entry.batch_size for entry in profile.sites[0].measurements}
    assert 2 in {entry.point.batch_size for entry in entries_of(plan) if isinstance(entry, Visited)}


def test_nothing_is_added_where_there_is_no_doubt(tmp_path):
    never_in_doubt = msgspec.structs.replace(SIX_ROUNDS, unsure_fraction=float("inf"))
    plan = plan_of(models.mlp(), tmp_path, names=TWO, max_batch_size=16, timing=never_in_doubt)

    assert {} == added(measured(plan), batch_sizes(plan.facts, 16))


def test_trees_are_measured_at_every_small_batch_size(tmp_path):
    plan = plan_of(models.forest(), tmp_path, names=TWO, max_batch_size=6)

    profile = measured(plan)

    assert {1, 2, 3, 4, 5, 6} == {
        entry.batch_size for entry in profile.sites[0].measurements if entry.variant == profile.sites[0].variants[0].id
    }
