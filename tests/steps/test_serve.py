"""What is served for real is what was asked: the user's own inputs, whole requests of several items, at the confidence of the advice."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from advisor.decide.load_test.comparison import offered_load
from advisor.decide.queue.space import Configuration
from advisor.errors import InputError
from advisor.files.records import read_json, sha256, write_record
from advisor.measure.model.facts import inspect_onnx
from advisor.measure.model.input_rows import write_npz
from advisor.measure.serving.server import Items, Serve
from advisor.schema.advice import Advice
from advisor.schema.options import ProfileOptions
from advisor.schema.profile import Profile
from advisor.steps.advise import advise_on
from advisor.steps.profile import profile
from advisor.steps.serve import inputs_of, loaded, observe
from advisor.steps.verify import verify
from tests.models import WIDTH, embedding, mlp, save
from tests.profiles import NOW, workload

WORKLOAD = """
name: w
traffic: {requests_per_s: 50}
slo: {latency_s: 2 s, quantile: 0.9}
hardware: {price_usd_per_hour: {local: 0.17}}
"""


def silent(*_, **__):
    pass


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with the profile of a model on inputs of the user's, who then lost his own copy of them."""
    folder = tmp_path_factory.mktemp("served")
    model = save(mlp(), folder / "model.onnx")
    write_npz(folder / "mine.npz", {"x": np.arange(5 * WIDTH, dtype=np.float32).reshape(5, WIDTH)})
    options = ProfileOptions(inputs=folder / "mine.npz", budget_s=1.0, max_batch_size=2)
    profile(model, folder / "profile.json", options, now=NOW, report=silent)
    (folder / "mine.npz").unlink()
    return folder


def read(folder):
    return read_json(folder / "profile.json", Profile, made_by="")


def test_the_inputs_that_were_measured_with_are_kept_beside_the_profile(measured):
    kept = inputs_of(read(measured), "local", measured)

    assert sha256(kept) == read(measured).settings.inputs_sha256


def test_other_inputs_than_those_that_were_measured_with_are_not_served(measured, tmp_path):
    (tmp_path / "profile.variants").mkdir()
    write_npz(tmp_path / "profile.variants" / "inputs.npz", {"x": np.zeros((1, WIDTH), np.float32)})

    with pytest.raises(InputError, match="not the inputs that the profile was measured with"):
        inputs_of(read(measured), "local", tmp_path)


def serve_of(path, inputs, rows, requests=7):
    return Serve(
        path=str(path),
        inputs=inputs,
        intra_op_num_threads=1,
        instances=1,
        max_batch_size=4,
        max_queue_delay_s=0.0,
        requests=requests,
        seed=0,
        rows=str(rows),
    )


def test_a_server_serves_the_users_items_in_turn(measured):
    rows = np.arange(5 * WIDTH, dtype=np.float32).reshape(5, WIDTH)
    items = Items(serve_of("m.onnx", read(measured).model.inputs, inputs_of(read(measured), "local", measured)), None)

    np.testing.assert_array_equal(rows[[0, 3, 4, 0, 1]], items.batch([0, 3, 4, 5, 6])["x"])


def test_the_users_items_are_cut_and_repeated_to_the_lengths_that_requests_have(tmp_path):
    inputs = inspect_onnx(save(embedding(), tmp_path / "m.onnx"), name="m").inputs
    write_npz(tmp_path / "rows.npz", {"input_ids": np.array([[7, 8, 9]])})

    items = Items(serve_of("m.onnx", inputs, tmp_path / "rows.npz"), np.array([2, 5, 1, 1, 1, 1, 1]))

    assert [[7, 8, 0, 0, 0], [7, 8, 9, 7, 8]] == items.batch([0, 1])["input_ids"].tolist()


def test_each_request_of_several_items_is_answered_once_after_all_of_them(measured):
    asked = workload(20.0, latency_s=5.0)
    site = loaded(read(measured), read(measured).sites[0], replace(asked, traffic=replace(asked.traffic, items_per_request=8)))
    candidate = Configuration(
        variant="fp32", intra_op_num_threads=1, instances=1, max_batch_size=2, max_queue_delay_s=0.0
    ).replicated(1, "local")
    offer = offered_load(site, candidate, wanted_s=1.0)

    observed = observe(site, candidate, offer, measured)

    assert offer.requests.total == len(observed.latency_s) == len(observed.lag_s)
    assert 8 * offer.requests.total == observed.batches.size.sum()
    # Eight items in batches of two: four calls, one after the other.
    assert observed.latency_s.min() >= 4 * np.sort(observed.batches.call_s)[:4].mean() * 0.999
    assert observed.offered_requests_per_s == offer.requests_per_s


def test_another_file_than_the_one_that_was_measured_is_not_served(measured, tmp_path):
    site = loaded(read(measured), read(measured).sites[0], workload(20.0))
    candidate = Configuration(
        variant="fp32", intra_op_num_threads=1, instances=1, max_batch_size=1, max_queue_delay_s=0.0
    ).replicated(1, "local")
    save(mlp(opset=13), tmp_path / "model.onnx")

    with pytest.raises(InputError, match=r"model\.onnx: no longer the file that was measured as fp32"):
        observe(site, candidate, offered_load(site, candidate, wanted_s=1.0), tmp_path)


def test_verify_keeps_the_confidence_and_what_was_noted_of_the_workload(measured, tmp_path):
    (tmp_path / "w.yaml").write_text(WORKLOAD.replace("50}", "50, items_per_request: 2}"))
    known = read(measured)
    variants = tuple(replace(entry, path=str((measured / entry.path).resolve())) for entry in known.sites[0].variants)
    site = replace(known.sites[0], variants=variants, inputs_path=str(inputs_of(known, "local", measured).resolve()))
    write_record(tmp_path / "profile.json", replace(known, sites=(site,)))
    advice = advise_on(tmp_path / "profile.json", tmp_path / "w.yaml", now=NOW, confidence=0.99)
    write_record(tmp_path / "advice.json", advice)

    verified = verify(tmp_path / "advice.json", None, wanted_s=1.0, now=NOW, report=silent)

    assert (0.99, 0.99) == (advice.confidence, verified.confidence)
    assert advice.notes[0].startswith("a request brings 2 items") and advice.notes[0] == verified.notes[0]
    assert verified == read_json(tmp_path / "advice.json", Advice, made_by="")
    assert all(test.offered_requests_per_s > 0 for test in verified.load_tests)
    assert Path(site.inputs_path).is_file()


def test_what_was_offered_does_not_depend_on_what_was_answered(measured):
    site = loaded(read(measured), read(measured).sites[0], workload(20.0))
    candidate = Configuration(
        variant="fp32", intra_op_num_threads=1, instances=1, max_batch_size=1, max_queue_delay_s=0.0
    ).replicated(1, "local")
    offer = offered_load(site, candidate, wanted_s=1.0)
    sent_s = offer.requests.sent_s

    assert (len(sent_s) - 1) / (sent_s[-1] - sent_s[0]) == pytest.approx(offer.requests_per_s)
