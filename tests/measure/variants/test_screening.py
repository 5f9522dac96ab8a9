"""The line-up: what is hopeless goes early, what breaks one class is refused, and what does harm is left in full precision."""

import re

import msgspec
import numpy as np
import onnx
import pytest

from advisor.decide.queue.space import admission
from advisor.errors import InputError
from advisor.measure.model.onnx_graph import is_still
from advisor.measure.timing import profiler
from advisor.measure.timing.ledger import Ledger
from advisor.measure.timing.profile_journal import ProfileJournal
from advisor.measure.timing.settings import TimingSettings
from advisor.measure.variants import comparison
from advisor.measure.variants.estimates import FEWEST_JUDGED_ITEMS
from advisor.measure.variants.making import without_folders
from advisor.schema.workload import HardwareChoice, OnlineWorkload, Quality, Slo, Traffic
from advisor.steps.profile import schemes
from tests import models
from tests.measure.timing.test_profiler import BUDGET_S, TWO, measured, reason_of
from tests.measure.timing.test_profiler import plan_of as profiler_plan_of
from tests.models import CLASSES, WIDTH
from tests.processes import SHARED

ITEMS, RARE = 1200, 36
WIDE = 256  # enough for the weights of variants, too, to be in a second file


ONE_SHORT_ROUND = TimingSettings(max_rounds=1, visit_s=0.002)


def plan_of(*arguments, **settings):
    return profiler_plan_of(*arguments, timing=ONE_SHORT_ROUND, **settings)


def with_screening(plan, **settings):
    return msgspec.structs.replace(plan, screening=msgspec.structs.replace(plan.screening, **settings))


def uneven(width=WIDTH):
    """Classes 0 and 1 by the sign of a large number, class 2 by a small one beside it, which no common scale of 8 bits can show.

    Three more products, of `width` numbers, change little.
    """
    decide = np.zeros((WIDTH, CLASSES), np.float32)
    decide[0, :2], decide[1, 2] = (0.01, -0.01), 10.0
    return models.build(
        f"""(float[n, {WIDTH}] x, float[n, {width}] z) => (float[n, {CLASSES}] logits) {{
            first = MatMul(x, decide)
            one = MatMul(z, w1)
            two = MatMul(z, w2)
            three = MatMul(z, w3)
            ab = Add(one, two)
            abc = Add(ab, three)
            logits = Add(first, abc)
        }}""",
        {"decide": decide}
        | {name: 0.02 * value for name, value in models.weights(**dict.fromkeys(("w1", "w2", "w3"), (width, CLASSES))).items()},
    )


def examples_of(folder, name="data.npz", seed=0, width=WIDTH):
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [(ITEMS - RARE) // 2, (ITEMS - RARE) // 2, RARE])
    x = np.zeros((ITEMS, WIDTH), np.float32)
    x[:, 0] = np.where(labels == 1, -1, 1) * random.uniform(500, 1000, ITEMS) * np.where(labels == 2, 0.1, 1)
    x[:, 1] = labels == 2
    order = random.permutation(ITEMS)
    z = random.uniform(-1, 1, (ITEMS, width)).astype(np.float32)
    np.savez(folder / name, x=x[order], z=z[order], label=labels[order])
    return folder / name


def plan_with(folder, *names, **settings):
    return with_schemes(plan_of(uneven(), folder, data=examples_of(folder), metric="accuracy", **settings), *names)


def with_schemes(plan, *names):
    chosen = {scheme.id: msgspec.structs.replace(scheme, instead_of=None) for scheme in schemes()}
    return msgspec.structs.replace(plan, schemes=tuple(chosen[name] for name in names))


def workload(**floor):
    return OnlineWorkload(
        name="w",
        traffic=Traffic(requests_per_s=1.0),
        slo=Slo(latency_s=1.0),
        hardware=HardwareChoice(price_usd_per_hour={"local": 1.0}),
        quality=Quality(metric="accuracy", data="data.npz", **floor),
    )


def test_a_variant_that_breaks_one_class_is_refused_though_overall_it_loses_little(tmp_path):
    profile = measured(plan_with(tmp_path, "int8-dynamic", quality_max_drop=0.06))

    (variant,) = (variant for variant in profile.sites[0].variants if variant.id == "int8-dynamic")
    broken = {part.name: part.drop for part in variant.quality.slices}["class 2"]
    assert variant.quality.drop.high < 0.06 < 0.5 < broken.low
    said = admission(variant, workload(max_drop=0.06))
    assert not said.admitted and not said.is_unknown
    assert "class 2 drops by" in said.because
    assert {1} == {entry.batch_size for entry in profile.sites[0].measurements if entry.variant == "int8-dynamic"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    plan = mixing_plan(tmp_path_factory.mktemp("mixed"), width=WIDE)
    return plan, measured(plan)


def test_the_operator_that_does_harm_is_left_in_full_precision(mixed):
    plan, profile = mixed

    (variant,) = (variant for variant in profile.sites[0].variants if variant.id == "int8-dynamic-mixed")
    assert 1 == len(variant.kept_operators)
    assert variant.changed_operators["MatMul"] == -3
    assert "1 of 4 operators left in full precision" in variant.title
    assert admission(variant, workload(max_drop=0.03)).admitted
    assert variant.kept_cost.low <= variant.kept_cost.value <= variant.kept_cost.high
    assert not [path for path in plan.folder.iterdir() if "trial" in path.name or "mixing" in path.name]


def test_a_mixed_variant_whose_file_was_damaged_is_searched_for_again(mixed):
    plan, first = mixed
    path = plan.folder / "int8-dynamic-mixed.onnx"
    path.write_bytes(path.read_bytes()[:-40])

    again = measured(plan)

    assert [variant.id for variant in first.sites[0].variants] == [variant.id for variant in again.sites[0].variants]
    (known,) = (variant for variant in again.sites[0].variants if variant.kept_operators)
    assert is_still(path, known.sha256)


def mixing_plan(folder, *, width=WIDTH, **settings):
    """Return a plan under which int8-dynamic loses a class, and is mixed however fast it is."""
    data, calibration = (examples_of(folder, f"{name}.npz", seed, width) for seed, name in enumerate(("data", "calibration")))
    plan = plan_of(uneven(width), folder, data=data, metric="accuracy", quality_max_drop=0.03, **settings)
    plan = with_screening(with_schemes(plan, "int8-dynamic"), worth_mixing=0.0)
    return msgspec.structs.replace(plan, calibration=str(calibration))


def test_a_model_with_its_weights_in_a_second_file_is_mixed_like_one_in_one_file(tmp_path, mixed):
    _, expected = mixed

    actual = measured(mixing_plan(tmp_path, width=WIDE, store=models.save_with_external_data))

    one, two = (
        {variant.id: variant for variant in profile.sites[0].variants}["int8-dynamic-mixed"] for profile in (expected, actual)
    )
    assert one.kept_operators == two.kept_operators and one.changed_operators == two.changed_operators
    assert one.quality == two.quality
    assert {"int8-dynamic-mixed.onnx", "int8-dynamic-mixed.onnx.data"} == {
        path.name for path in (tmp_path / "profile.variants").iterdir() if "mixed" in path.name
    }


@pytest.mark.parametrize("name", [".trial-int8-dynamic-mixed.onnx", "int8-dynamic-mixed.onnx"])
def test_a_file_that_cannot_be_made_is_reported_as_that_and_not_as_lost_quality(tmp_path, name):
    plan = mixing_plan(tmp_path)
    (plan.folder / name).mkdir(parents=True)  # in the way of the file

    said = reason_of(measured(plan), "int8-dynamic-mixed")

    assert re.match(r"no file could be made and run with \d, \d of 4 operators in full precision: cannot be written \(", said)
    assert "quality" not in said and str(tmp_path) not in said


def test_a_variant_slower_than_the_baseline_goes_after_a_first_look(tmp_path):
    plan = with_screening(plan_of(models.mlp(), tmp_path, names=TWO), hopeless=1e9)

    profile = measured(plan)

    assert ["fp32"] == [variant.id for variant in profile.sites[0].variants]
    assert "slower than the model as given" in reason_of(profile, "int8-dynamic")


def test_what_the_user_named_is_measured_however_slow_it_is(tmp_path):
    plan = with_screening(plan_of(models.mlp(), tmp_path, names=TWO), hopeless=1e9)
    plan = msgspec.structs.replace(plan, kept=frozenset({"int8-dynamic"}))

    assert ["fp32", "int8-dynamic"] == [variant.id for variant in measured(plan).sites[0].variants]


def test_a_scheme_no_faster_than_one_that_holds_is_not_tried(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=1.0)
    again = next(scheme for scheme in schemes() if scheme.id == "int8-dynamic-matmul")
    plan = msgspec.structs.replace(
        plan, schemes=(*plan.schemes, again), settings=msgspec.structs.replace(plan.settings, quality_max_drop=1.0)
    )

    profile = measured(plan)

    # Class 2 is lost, but so much may be.
    assert "no faster than int8-dynamic, which held its quality" == reason_of(profile, "int8-dynamic-matmul")


def test_what_was_slow_is_not_tried_on_fewer_operators(tmp_path):
    plan = with_screening(plan_with(tmp_path, "int8-dynamic"), hopeless=1e9)
    second = next(scheme for scheme in schemes() if scheme.id == "int8-dynamic-matmul")

    profile = measured(msgspec.structs.replace(plan, schemes=(*plan.schemes, second)))

    assert "no faster than int8-dynamic, which is slow" == reason_of(profile, "int8-dynamic-matmul")


def test_a_variant_that_lost_too_much_on_the_first_items_is_not_run_on_the_rest(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=0.001)

    profile = measured(with_screening(plan, first_items=ITEMS // 2, worth_mixing=1e9))

    assert {ITEMS // 2} == {variant.quality.items for variant in profile.sites[0].variants if variant.quality}


@pytest.mark.parametrize("metric", ["accuracy", "top1_agreement"])
def test_a_variant_that_holds_is_evaluated_on_every_item(tmp_path, metric):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=1.0)
    plan = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, quality_metric=metric))

    assert {ITEMS} == {variant.quality.items for variant in measured(plan).sites[0].variants if variant.quality}


def test_static_ranges_of_what_is_inside_branches_are_refused_for_that_reason(tmp_path):
    static = tuple(scheme for scheme in schemes() if scheme.method == "static-quantization")
    products = tuple(msgspec.structs.replace(scheme, operators=("Conv", "MatMul"), instead_of=None) for scheme in static)
    profile = measured(msgspec.structs.replace(plan_of(models.branches(), tmp_path), schemes=products))

    for scheme in static:
        assert "every MatMul is inside an If or Loop" in reason_of(profile, scheme.id)


def test_a_reason_names_no_folder(tmp_path):
    folder = tmp_path / "profile.variants"
    variant, baseline = folder / "int8.onnx", tmp_path / "far" / "model.onnx"

    fault = f"{folder}/.variant-x_1y/int8.onnx: cannot load {baseline}; node /model/layers.0/MatMul of {variant}"

    expected = "cannot load model.onnx; node /model/layers.0/MatMul of int8.onnx"
    assert expected == without_folders(fault, variant, baseline).removeprefix("int8.onnx: ")


def test_a_file_that_another_runtime_cannot_load_is_left_out_with_no_folder_in_the_reason(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(models.custom_operator().SerializeToString())
    plan = plan_of(models.mlp(), tmp_path)
    profile = measured(msgspec.structs.replace(plan, given=(tmp_path / "broken.onnx",), schemes=()))

    said = reason_of(profile, "broken")
    assert "cannot load it" in said and str(tmp_path) not in said


def test_a_metric_that_does_not_suit_the_model_is_an_error_before_variants_are_made(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic")
    plan = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, quality_metric="perplexity"))

    with pytest.raises(InputError, match="perplexity needs token ids"):
        measured(plan)
    assert not (tmp_path / "profile.variants" / "int8-dynamic.onnx").exists()


def test_a_class_missing_among_the_first_items_leaves_the_variant_to_be_judged_on_all(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=0.5)
    with np.load(plan.data) as archive:
        rows = {name: archive[name] for name in archive.files}
    rows["label"] = (np.arange(ITEMS) >= ITEMS - 40).astype(np.int64)  # none among the first
    np.savez(plan.data, **rows)
    plan = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, quality_metric="auc"))

    (variant,) = (variant for variant in measured(plan).sites[0].variants if variant.id == "int8-dynamic")
    assert ITEMS == variant.quality.items


def test_a_metric_that_fails_on_the_few_items_that_there_is_room_for_says_that_there_are_more(tmp_path, monkeypatch):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=0.5)
    with np.load(plan.data) as archive:
        rows = {name: archive[name] for name in archive.files}
    rows["label"] = (np.arange(ITEMS) >= ITEMS - 40).astype(np.int64)  # none among the first
    np.savez(plan.data, **rows)
    plan = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, quality_metric="auc"))

    monkeypatch.setattr(comparison, "_most_in_memory", lambda _: 20)

    with pytest.raises(InputError, match=f"on the first 20 of {ITEMS} items: there is no memory for more") as caught:
        measured(plan)
    assert "put items of every class first" in caught.value.hint


def test_a_variant_is_evaluated_on_as_many_items_as_there_is_time_for_and_says_so(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=1.0)
    plan = with_screening(plan, judging_share=1.0, judging_s=0.02)

    (variant,) = (variant for variant in measured(plan).sites[0].variants if variant.id == "int8-dynamic")

    assert FEWEST_JUDGED_ITEMS <= variant.quality.items < ITEMS
    assert f"of {ITEMS}: more would take too long" in variant.quality.drop.source


def test_what_loses_nothing_is_evaluated_on_the_first_items_alone(tmp_path):
    plan = plan_with(tmp_path, "ort-optimized", quality_max_drop=1.0)

    profile = measured(plan)

    (variant,) = (variant for variant in profile.sites[0].variants if variant.id == "ort-optimized")
    assert variant.lossless and plan.screening.first_items == variant.quality.items
    assert admission(variant, workload(max_drop=1.0)).admitted


def found_as_before(outputs, rows):
    """Share of items with as many detections as before: wants a list with an array for each item."""
    return np.array([float(len(found) == count) for found, count in zip(outputs["detections"], rows["count"], strict=True)])


def test_a_metric_of_ones_own_gets_a_list_of_outputs_where_items_differ_in_shape(tmp_path):
    x = np.random.default_rng(0).standard_normal((60, WIDTH)).astype(np.float32)
    model = models.detector()
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    count = ((x @ weights).reshape(60, WIDTH, 2)[:, :, 0] > 0).sum(axis=1)
    np.savez(tmp_path / "own.npz", x=x, count=count)
    plan = plan_of(model, tmp_path, data=tmp_path / "own.npz", metric="own:found", quality_max_drop=1.0)
    plan = msgspec.structs.replace(plan, own_metric=found_as_before, kept=frozenset({"int8-dynamic"}))
    plan = with_schemes(plan, "int8-dynamic")

    site = measured(plan).sites[0]

    judged = {variant.id: variant.quality for variant in site.variants if variant.quality is not None}
    assert {"int8-dynamic"} <= judged.keys()
    assert all(quality.baseline == 1.0 for quality in judged.values())
    assert judged["int8-dynamic"].value < 1.0


def test_another_metric_of_such_outputs_is_refused_with_the_way_out(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.random.default_rng(0).standard_normal((20, WIDTH)).astype(np.float32))
    plan = plan_of(models.detector(), tmp_path, data=tmp_path / "own.npz", metric="cosine", quality_max_drop=0.1)

    with pytest.raises(InputError, match="differs in shape from item to item") as caught:
        measured(plan)
    assert "module:function" in caught.value.hint


def test_what_should_lose_nothing_and_changes_the_answers_is_left_out(tmp_path):
    tiny = models.build(
        f"(float[n, {WIDTH}] x) => (float[n, {CLASSES}] y) {{ small = MatMul(x, w) y = Mul(small, huge) }}",
        {"w": models.weights(w=(WIDTH, CLASSES))["w"] * np.float32(1e-39), "huge": np.array(1e38, np.float32)},
    )
    plan = with_schemes(plan_of(tiny, tmp_path), "flush-subnormals")

    assert "changes the answers (output y)" in reason_of(measured(plan), "flush-subnormals")


def test_flushing_subnormal_numbers_is_a_variant_of_the_same_file(tmp_path):
    model = models.with_subnormal_weights(0.6, models.mlp())
    plan = with_schemes(plan_of(model, tmp_path), "flush-subnormals")
    plan = msgspec.structs.replace(plan, kept=frozenset({"flush-subnormals"}))

    variants = {variant.id: variant for variant in measured(plan).sites[0].variants}

    assert {"session.set_denormal_as_zero": "1"} == variants["flush-subnormals"].session_options
    assert variants["fp32"].sha256 == variants["flush-subnormals"].sha256


def test_a_model_in_16_bits_has_a_copy_in_32_that_is_judged_like_any_other(tmp_path):
    x = np.random.default_rng(0).standard_normal((60, WIDTH)).astype(np.float16)
    model = models.mlp(dtype="float16")
    np.savez(tmp_path / "own.npz", x=x, label=np.zeros(60, np.int64))
    plan = plan_of(model, tmp_path, data=tmp_path / "own.npz", metric="accuracy", quality_max_drop=0.5)
    plan = msgspec.structs.replace(plan, kept=frozenset({"float32"}))

    variants = {variant.id: variant for variant in measured(with_schemes(plan, "float32")).sites[0].variants}

    quality = variants["float32"].quality
    assert quality is not None and quality.baseline == quality.value
    assert variants["float32"].bytes > variants["as-given"].bytes


def test_where_too_few_items_could_be_judged_what_loses_something_is_left_out_and_no_quality_is_made_up(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", "ort-optimized", quality_max_drop=1.0)
    plan = with_screening(plan, judging_share=1.0, judging_s=0.0)

    profile = measured(plan)

    said = reason_of(profile, "int8-dynamic")
    assert "too few items to say anything of its quality could be judged" in said and "a budget of " in said
    assert {None} == {variant.quality for variant in profile.sites[0].variants}


def test_data_of_few_items_are_judged_however_long_they_take(tmp_path):
    plan = plan_with(tmp_path, "int8-dynamic", quality_max_drop=1.0)
    with np.load(plan.data) as archive:
        np.savez(plan.data, **{name: values[:FEWEST_JUDGED_ITEMS] for name, values in archive.items()})

    profile = measured(with_screening(plan, judging_share=1.0, judging_s=0.0))

    (variant,) = (variant for variant in profile.sites[0].variants if variant.id == "int8-dynamic")
    assert FEWEST_JUDGED_ITEMS == variant.quality.items


def test_a_search_that_there_is_no_time_for_is_left_out_with_the_budget_that_would_do(tmp_path):
    plan = mixing_plan(tmp_path)
    slow_ledger = Ledger(BUDGET_S)

    def spending(done_s, of_s, what, *, line=None):
        if what == "comparing int8-dynamic":
            slow_ledger.count(slow_ledger.preparing_left_s)

    journal = ProfileJournal(tmp_path / "journal", plan.fingerprint)
    profile = profiler.measure(plan, journal, slow_ledger, spending, SHARED, keeps_apart=True)

    said = reason_of(profile, "int8-dynamic-mixed")
    assert "searching for the operators to leave in full precision would take about" in said and "would do" in said


def test_what_the_user_named_and_what_is_hoped_most_of_come_first(tmp_path):
    names = ("int8-dynamic", "ort-optimized", "fp16")
    plan = with_schemes(plan_of(models.mlp(), tmp_path), *names)
    plan = msgspec.structs.replace(plan, settings=msgspec.structs.replace(plan.settings, wanted=("fp16",)))
    said = []

    measured(plan, lambda done_s, of_s, what, *, line=None: said.append(what))

    assert ["making fp16", "making int8-dynamic", "making ort-optimized"] == [what for what in said if what.startswith("making")]
