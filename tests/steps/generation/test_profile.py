"""A checkpoint becomes a profile: its forms made and judged, steps timed within the budget, and nothing of it lost to an interrupt."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from tokenizers import Tokenizer, models, pre_tokenizers

from advisor.errors import InputError, ModelError
from advisor.files.records import read_json
from advisor.measure.decoder.graph import write_decoder
from advisor.measure.distillation import checkpoint_students
from advisor.measure.generation.making import described, difference_of_answers, exported
from advisor.measure.generation.openvino.engine import version
from advisor.measure.generation.timing.rounds import Pace
from advisor.measure.quality import learned
from advisor.measure.worker.apart import Apart
from advisor.schema.generation import GenerationProfile
from advisor.schema.options import ProfileOptions
from advisor.steps.generation import profile as subject
from advisor.steps.generation.measuring import NO_TEXT
from advisor.steps.generation.plan import How
from advisor.steps.generation.profile import profile_generation
from tests import checkpoints, seq2seq_exports
from tests.measure.decoder.test_encoder_decoder import has_optimum, saved_t5
from tests.measure.decoder.test_genai_folder import as_built

NOW = "2026-11-28T08:00:00+00:00"
# Enough for every point on a busy machine, and little of it used.
BUDGET_S, PACE = 60.0, Pace(longest_visit_s=0.0, most_rounds=2, longest_watch_s=0.01, most_pairs=3)
WORKLOAD = """
name: chat
traffic: {requests_per_s: 1}
tokens: {input: {p50: 12, p95: 30, max: 40}, output: {p50: 6, p95: 12, max: 20}}
slo: {ttft_s: 2 s, tpot_s: 0.1 s}
hardware: {price_usd_per_hour: {local: 0.1}}
quality: {metric: perplexity, max_drop: MAX_DROP, data: text.txt}
"""


LEARNED = "w3 w1 w4 w1 w5"  # that a student learned from


def silent(done_s, of_s, what, *, line=None):
    pass


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = checkpoints.save(tmp_path_factory.mktemp("models") / "tiny", "llama, tied", vocab_size=160)
    words = {"[UNK]": 0} | {f"w{number}": number + 1 for number in range(150)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def workload_in(folder, *, max_drop="0.05"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(" ".join(f"w{number * 7 % 150}" for number in range(3000)) + f"\n{LEARNED}\n")
    path = folder / "workload.yaml"
    path.write_text(WORKLOAD.replace("MAX_DROP", max_drop))
    return path


class Here(Apart):
    """Calls functions in this process: what is the same wherever they are called takes no processes to test."""

    def call(self, limit, function, /, *arguments, **named):
        return function(*arguments, **named)


def no_engine():
    """Return the version of an engine of OpenVINO's that is not installed."""
    return None


def measured(model, folder, *, report=silent, start=Here, openvino=no_engine, **options):
    given = ProfileOptions(**({"budget_s": BUDGET_S, "max_batch_size": 1} | options))
    how = How(start, PACE, openvino)
    return profile_generation(model, folder / "profile.json", given, now=NOW, report=report, how=how)


@pytest.fixture(scope="module")
def profiled(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiled")
    said = []

    def report(done_s, of_s, what, *, line=None):
        said.append((done_s, of_s, what, line))

    workload = workload_in(folder, max_drop="10")
    profile = measured(model, folder, workload=workload, report=report, start=Apart, max_batch_size=8)
    return profile, folder, said


def test_the_profile_is_what_was_written(profiled):
    profile, folder, _ = profiled

    assert profile == read_json(folder / "profile.json", GenerationProfile, made_by="-")
    assert not (folder / "profile.journal").exists()


def test_every_form_is_measured_beside_the_baseline(profiled):
    profile, folder, _ = profiled
    site = profile.sites[0]

    assert ["fp32", "int8-weight-only", "int4-weight-only", "int8-dynamic"] == [variant.id for variant in site.variants]
    assert [True, False, False, False] == [variant.lossless for variant in site.variants]
    assert all((folder / variant.path / "model.onnx").is_file() for variant in site.variants)
    assert site.variants[0].agrees_with_checkpoint < 1e-4 < site.variants[1].agrees_with_checkpoint
    assert site.variants[2].weight_bytes < site.variants[1].weight_bytes < site.variants[0].weight_bytes
    assert all(variant.load_s > 0 and variant.peak_memory_bytes > 0 for variant in site.variants)
    assert 60 == profile.settings.max_context_tokens


def test_what_is_lost_is_measured_on_the_users_text(profiled):
    variants = profiled[0].sites[0].variants

    assert 0.0 == variants[0].quality.perplexity.drop.value
    assert all("perplexity" == variant.quality.perplexity.metric for variant in variants)
    assert 1.0 == variants[0].quality.greedy_agreement.value > variants[2].quality.greedy_agreement.value
    assert variants[1].quality.greedy_agreement.value > variants[2].quality.greedy_agreement.value


def test_steps_are_timed_at_several_points_of_each_form_and_number_of_threads(profiled):
    site = profiled[0].sites[0]

    settings = {(variant.id, threads) for variant in site.variants for threads in {1, site.machine.cores}}
    assert settings == {(point.variant, point.intra_op_num_threads) for point in site.prefill}
    assert settings == {(point.variant, point.intra_op_num_threads) for point in site.decode}
    for setting in settings:
        prefills = [point for point in site.prefill if (point.variant, point.intra_op_num_threads) == setting]
        decodes = [point for point in site.decode if (point.variant, point.intra_op_num_threads) == setting]
        assert len({point.tokens for point in prefills if not point.past_tokens}) >= 3
        assert any(point.past_tokens for point in prefills)
        assert len({point.batch_size for point in decodes}) >= 4
    assert site.noise_fraction is None or site.noise_fraction >= 0


def test_what_is_promised_is_told_and_every_stage(profiled):
    _, _, said = profiled

    assert any("at most 90 s, besides loading" in line for *_, line in said if line)
    stages = [what for _, _, what, _ in said]
    for stage in ("making fp32", "reading the text", "scoring the text with fp32", "watching for stalls", "writing the profile"):
        assert stage in stages


def test_an_equal_command_measures_nothing_again(profiled, model):
    profile, folder, _ = profiled
    stages = []

    again = measured(
        model,
        folder,
        workload=folder / "workload.yaml",
        max_batch_size=8,
        report=lambda done_s, of_s, what, *, line=None: stages.append(what),
    )

    assert profile == again
    assert ["reading the model"] == stages


def test_what_is_in_a_store_is_not_measured_by_anybody_again(profiled, model, tmp_path, monkeypatch):
    profile, folder, _ = profiled
    asked = {"max_batch_size": 8, "store": str(tmp_path / "store")}
    measured(model, folder, workload=folder / "workload.yaml", **asked)  # measured before there was a store
    monkeypatch.setattr(subject, "_measured", None)

    again = measured(model, tmp_path / "other", workload=workload_in(tmp_path / "other", max_drop="10"), **asked)

    assert profile == replace(again, sites=tuple(replace(site, variants=profile.sites[0].variants) for site in again.sites))
    assert all((tmp_path / "other" / variant.path / "model.onnx").is_file() for variant in again.sites[0].variants)


def test_what_an_interrupt_leaves_is_gone_on_with(model, tmp_path):
    def interrupted(done_s, of_s, what, *, line=None):
        if what.startswith("timing int8-dynamic"):
            raise KeyboardInterrupt

    stages = []
    workload = workload_in(tmp_path, max_drop="10")
    with pytest.raises(KeyboardInterrupt):
        measured(model, tmp_path, workload=workload, report=interrupted)
    lines = (tmp_path / "profile.journal").read_bytes().splitlines()
    kept = [json.loads(line)["visit"]["wall_s"] for line in lines if b'"visit":' in line]

    profile = measured(model, tmp_path, workload=workload, report=lambda done_s, of_s, what, *, line=None: stages.append(what))

    assert kept
    site = profile.sites[0]
    visits = [list(visit.wall_s) for point in (*site.prefill, *site.decode) for visit in point.visits]
    assert all(wall_s in visits for wall_s in kept)
    assert not any(stage.startswith("scoring") for stage in stages)


def test_without_a_text_nothing_that_loses_is_timed_in_full(model, tmp_path):
    site = measured(model, tmp_path).sites[0]

    assert all(variant.quality is None for variant in site.variants)
    assert any(NO_TEXT in note for note in site.notes)
    points = [point for point in (*site.prefill, *site.decode) if point.variant == "int8-weight-only"]
    assert 2 == len(points)
    assert all(1 == len(point.visits) for point in points)


def test_what_breaks_the_floor_is_not_timed_in_full_unless_it_was_asked_for(model, tmp_path):
    workload = workload_in(tmp_path, max_drop="0")

    site = measured(model, tmp_path, workload=workload, schemes=("int4-weight-only",)).sites[0]

    counts = {name: sum(point.variant == name for point in site.decode) for name in ("int8-dynamic", "int4-weight-only")}
    assert 1 == counts["int8-dynamic"] < counts["int4-weight-only"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"tokens: ": "tokens: {input: {p50: 120}, output: {p50: 60}} #"}, "has a context of 128"),
        ({"text.txt": "missing.txt"}, "missing.txt"),
        ({"tokens: ": "#", "slo: {ttft_s: 2 s, tpot_s: 0.1 s}": "slo: {latency_s: 2 s}"}, "asks about a model of one pass"),
    ],
)
def test_a_workload_that_does_not_fit_is_refused_by_name(model, tmp_path, changed, named):
    path = workload_in(tmp_path)
    text = path.read_text()
    for before, after in changed.items():
        text = text.replace(before, after)
    path.write_text(text)

    with pytest.raises(InputError, match=named):
        measured(model, tmp_path, workload=path)


def test_a_scheme_that_is_none_of_decoders_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="there is no 'int8-static-minmax' of decoders"):
        measured(model, tmp_path, schemes=("int8-static-minmax",))


def test_a_folder_of_another_model_is_not_taken_for_the_same(profiled, model, tmp_path):
    profile, _, _ = profiled
    other = replace(profile.sites[0].hardware, id="another")
    there = replace(profile, model=replace(profile.model, sha256="b" * 64), sites=(replace(profile.sites[0], hardware=other),))
    subject.write_record(tmp_path / "profile.json", there)

    with pytest.raises(InputError, match="holds measurements by another of another model"):
        measured(model, tmp_path)


def test_no_file_of_a_variant_is_left_from_an_interrupt(model, tmp_path):
    def interrupted(done_s, of_s, what, *, line=None):
        if what == "making int4-weight-only":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(model, tmp_path, report=interrupted)

    names = {path.name for path in Path(tmp_path / "profile.variants").iterdir()}
    assert {"fp32", "int8-weight-only", ".serving-advisor"} == names


@pytest.mark.parametrize(
    ("options", "named"),
    [({"inputs": Path("rows.npz")}, "--inputs: rows.npz"), ({"variants": (Path("other.onnx"),)}, "--variant: other.onnx")],
)
def test_options_of_models_of_one_pass_are_refused(model, tmp_path, options, named):
    with pytest.raises(InputError, match=named):
        measured(model, tmp_path, **options)


def test_a_folder_of_onnxruntime_genai_is_measured_as_it_is(model, tmp_path):
    write_decoder(checkpoints.save(tmp_path / "checkpoint"), tmp_path / "ours")
    folder = as_built(tmp_path / "ours", tmp_path / "theirs")

    profile = measured(folder, tmp_path / "out")

    site = profile.sites[0]
    assert "onnxruntime-genai" == profile.model.given_as
    assert ["as-given"] == [variant.id for variant in site.variants]
    assert site.variants[0].lossless
    assert folder.samefile(tmp_path / "out" / site.variants[0].path)
    assert site.variants[0].agrees_with_checkpoint is None
    assert site.prefill and site.decode
    assert not any(NO_TEXT in note for note in site.notes)


def test_a_budget_in_which_nothing_can_be_timed_is_refused_with_a_longer_one(model, tmp_path):
    with pytest.raises(ModelError, match=r"could not be timed within the budget of 1 ms") as refused:
        measured(model, tmp_path, budget_s=0.001)

    assert "--budget 0.003" in refused.value.hint


@pytest.fixture(params=["tokens", "frames"])
def export(request, tmp_path):
    return seq2seq_exports.save(tmp_path / "export", sound=request.param == "frames", merged=request.param == "tokens")


def test_an_export_with_an_encoder_is_measured_as_it_is_and_its_inputs_whole(export, tmp_path):
    profile = measured(export, tmp_path / "out", workload=workload_in(tmp_path / "w"), max_batch_size=4)

    (site,), encoder = profile.sites, profile.model.encoder
    assert ["as-given"] == [variant.id for variant in site.variants] and site.variants[0].lossless
    assert site.variants[0].quality is None
    assert not any(point.past_tokens for point in site.prefill)
    assert {1, 2, 4} == {point.batch_size for point in site.decode}
    if encoder.reads == "frames":
        assert {encoder.input_tokens} == {point.tokens for point in site.prefill}
        assert all(point.context_tokens >= encoder.input_tokens * point.batch_size for point in site.decode)
    else:
        assert len({point.tokens for point in site.prefill}) >= 3
    assert {"weights in 8 and 4 bits", "quality.data", "OpenVINO's engine"} == {entry.what for entry in site.exclusions}
    # Of prompts and answers of 12 and 6 tokens, or of all positions that sound has.
    brings = 12 if encoder.reads == "tokens" else encoder.input_tokens
    assert brings / (brings + 3) == pytest.approx(profile.settings.input_fraction)


@has_optimum
def test_a_checkpoint_with_an_encoder_is_exported_once_held_against_itself_and_measured(tmp_path):
    saved_t5(tmp_path / "t5")
    facts = described(tmp_path / "t5")

    (variant,) = measured(tmp_path / "t5", tmp_path / "out").sites[0].variants

    place = tmp_path / "out" / variant.path
    there, written = described(place), (place / "encoder_model.onnx").stat().st_mtime_ns
    assert ("exported", True) == (variant.id, variant.lossless) and variant.agrees_with_checkpoint < 1e-4
    assert ("checkpoint", "export") == (facts.given_as, there.given_as)
    # What the configuration says before is what the graphs show then.
    alike = ("architecture", "layers", "attention_heads", "kv_heads", "head_dimension", "hidden_size", "vocabulary", "encoder")
    assert [getattr(facts, name) for name in alike] == [getattr(there, name) for name in alike]
    form = exported(tmp_path / "t5", place.parent, sha256=facts.sha256)
    assert (variant.sha256, written) == (form.sha256, (place / "encoder_model.onnx").stat().st_mtime_ns)
    saved_t5(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="does not compute what it does: logits are off by"):
        difference_of_answers(place, tmp_path / "other")


def test_without_openvinos_engine_it_is_said_how_to_get_it(profiled):
    site = profiled[0].sites[0]

    reasons = {entry.what: entry.reason for entry in site.exclusions}
    assert "pip install 'serving-advisor[openvino]'" in reasons["OpenVINO's engine"]
    assert "openvino-genai" not in site.versions
    assert {"onnxruntime"} == {variant.engine for variant in site.variants}


@pytest.fixture(scope="module")
def with_openvino(model, tmp_path_factory):
    pytest.importorskip("openvino_genai")
    folder = tmp_path_factory.mktemp("openvino")
    workload = workload_in(folder, max_drop="10")
    small = checkpoint_students.cut(model, "layers-1", folder / "small")
    (small / learned.FILE).write_bytes(learned.packed([learned.digest_of_text((LEARNED,))]))
    profile = measured(model, folder, workload=workload, openvino=version, max_batch_size=4, draft=small, students=("layers-1",))
    return profile, folder


def test_forms_for_openvino_stand_beside_the_others(with_openvino):
    site = with_openvino[0].sites[0]
    exact, small = (variant for variant in site.variants if variant.engine == "openvino" and variant.student is None)

    assert ("openvino-fp32", "none", True) == (exact.id, exact.scheme, exact.lossless)
    assert ("openvino-int8-weight-only", "int8-weight-only", False) == (small.id, small.scheme, small.lossless)
    assert exact.agrees_with_checkpoint < 1e-4 < small.agrees_with_checkpoint
    assert exact.quality.perplexity.drop.value == pytest.approx(0.0, abs=1e-3)
    assert small.weight_bytes < exact.weight_bytes
    assert small.load_s > 0 and small.peak_memory_bytes > 0
    assert "openvino-genai" in site.versions


def test_steps_of_openvino_read_and_decode_at_once(with_openvino):
    site = with_openvino[0].sites[0]

    names = [variant.id for variant in site.variants if variant.engine == "openvino" and variant.student is None]
    settings = {(name, threads) for name in names for threads in {1, site.machine.cores}}
    for points in (site.prefill, site.decode, site.mixed):
        assert settings == {
            (point.variant, point.intra_op_num_threads) for point in points if point.variant.startswith("openvino")
        }
    assert {point.variant for point in site.mixed} == {*names, "layers-1-openvino-int8-weight-only"}
    assert all(
        1 <= len(point.visits) <= 2 for point in site.mixed if point.variant in names
    )  # once on a machine that others keep busy
    assert 4 == max(point.batch_size for point in site.decode if point.variant == "openvino-fp32")


def test_prompt_lookup_is_tried_on_every_text_alone_and_with_many(with_openvino):
    site = with_openvino[0].sites[0]

    for variant in site.variants:
        tried = [(record.text, record.running_requests) for record in variant.speculation if record.draft is None]
        texts = [(text, running) for text in ("copying", "free", "given") for running in (1, 4)]
        assert sorted(tried) == (texts if variant.engine == "openvino" and variant.student is None else [])
        assert all(record.speedup.low <= record.speedup.value <= record.speedup.high for record in variant.speculation)


def test_a_draft_is_tried_on_the_given_text_and_on_free_answers(with_openvino):
    site = with_openvino[0].sites[0]
    draft, exact = site.drafts[0], next(variant for variant in site.variants if variant.id == "openvino-fp32")

    drafted = {(it.text, it.running_requests): it for it in exact.speculation if it.draft == draft.id}
    assert {(text, running) for text in ("given", "free") for running in (1, 4)} == drafted.keys()
    assert ("small", 1, 1) == (draft.id, draft.layers, draft.learned_texts)
    assert all(0 <= it.acceptance.low <= it.acceptance.value <= it.acceptance.high <= 1 for it in drafted.values())
    assert any(note == "1 text of quality.data left out: small learned from them" for note in site.notes)


def test_students_that_nobody_has_trained_are_timed_and_not_judged(with_openvino):
    site = with_openvino[0].sites[0]
    students = {variant.id: variant for variant in site.variants if variant.student is not None}

    assert {"layers-1", "layers-1-int8-weight-only", "layers-1-openvino-int8-weight-only"} == students.keys()
    assert all(it.is_untrained and it.quality is None and not it.lossless and not it.speculation for it in students.values())
    assert students["layers-1"].agrees_with_checkpoint < 1e-3
    assert students["layers-1"].kv_bytes_per_token < next(it for it in site.variants if it.id == "fp32").kv_bytes_per_token
    assert students.keys() <= {point.variant for point in site.decode}


def test_what_openvino_measured_is_gone_on_with(model, tmp_path):
    pytest.importorskip("openvino_genai")
    stages = []

    def interrupted(done_s, of_s, what, *, line=None):
        if what.startswith("trying prompt lookup on free text"):
            raise KeyboardInterrupt

    workload = workload_in(tmp_path, max_drop="10")
    with pytest.raises(KeyboardInterrupt):
        measured(model, tmp_path, workload=workload, openvino=version, report=interrupted)
    kept = [json.loads(line) for line in (tmp_path / "profile.journal").read_bytes().splitlines() if b'"Speculated"' in line]
    measured(
        model, tmp_path, workload=workload, openvino=version, report=lambda done_s, of_s, what, *, line=None: stages.append(what)
    )

    assert [("openvino-fp32", "copying"), ("openvino-int8-weight-only", "copying")] == sorted(
        (entry["variant"], entry["text"]) for entry in kept
    )
    assert not any(stage.startswith(("scoring", "timing", "trying prompt lookup on text that is copied")) for stage in stages)
    assert any(stage.startswith("trying prompt lookup on free text") for stage in stages)


def test_a_form_for_openvino_can_be_named_and_what_it_cannot_take_is_excluded(tmp_path):
    pytest.importorskip("openvino")
    windowed = checkpoints.save(tmp_path / "windowed", "mistral with a window")

    site = measured(windowed, tmp_path / "out", openvino=version, schemes=("openvino-fp32",)).sites[0]

    reasons = {entry.what: entry.reason for entry in site.exclusions}
    assert "layers look back 5 tokens" in reasons["openvino-fp32"]
    assert {"onnxruntime"} == {variant.engine for variant in site.variants}
