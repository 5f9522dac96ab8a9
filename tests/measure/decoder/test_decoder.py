"""Running a decoder: a request gives the same logits however it is read, whatever else runs, and wherever it lies."""

import json

import numpy as np
import onnx
import pytest

from advisor.errors import InputError, ModelError
from advisor.measure.decoder.decoder import Decoder
from advisor.measure.decoder.graph import write_decoder
from advisor.measure.runtime import memory
from tests import checkpoints

SLOTS, MAX_TOKENS = 4, 40
KINDS = ["llama", "mistral with a window", "qwen3"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("decoders")
    for kind in KINDS:
        write_decoder(checkpoints.save(place / f"checkpoint of {kind}", kind), place / kind)
    return {kind: place / kind for kind in KINDS}


@pytest.fixture
def decoder(folders):
    with Decoder.open(folders["llama"], threads=1, slots=SLOTS, max_tokens=MAX_TOKENS) as opened:
        yield opened


@pytest.fixture(params=KINDS)
def every(folders, request):
    with Decoder.open(folders[request.param], threads=1, slots=SLOTS, max_tokens=MAX_TOKENS) as opened:
        yield opened


def near(expected, found):
    np.testing.assert_allclose(expected, found, atol=1e-4 * np.ptp(expected))


# --- one request ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 3, 7, 19])
def test_a_prompt_in_chunks_is_the_prompt(every, chunk):
    text = checkpoints.text(20)
    whole = every.prefill(text, 0)

    for start in range(0, len(text), chunk):
        last = every.prefill(text[start : start + chunk], 1, start)

    near(whole, last)


def test_token_by_token_is_the_whole_text(every):
    text = checkpoints.text(20)
    expected = every.logits(text)
    every.prefill(text[:5], 0)

    for place in range(5, len(text)):
        near(expected[place], every.decode(text[place : place + 1], np.array([place]))[0])


def test_a_prompt_gives_logits_of_its_last_token(every):
    text = checkpoints.text(12)

    near(every.logits(text)[-1], every.prefill(text, 2))


def test_from_its_first_token_on_a_request_can_be_decoded(every):
    text = checkpoints.text(3)

    near(every.logits(text)[0], every.decode(text[:1], np.array([0]))[0])


def test_a_slot_is_used_again_as_if_it_were_new(decoder):
    long, short = checkpoints.text(MAX_TOKENS), checkpoints.text(3, seed=2)
    expected = decoder.prefill(short, 0)
    decoder.prefill(long, 0)

    near(expected, decoder.prefill(short, 0))


def test_a_slot_can_be_filled_to_its_end(decoder):
    text = checkpoints.text(MAX_TOKENS)
    expected = decoder.logits(text)[-1]
    decoder.prefill(text[:-1], 0)

    near(expected, decoder.decode(text[-1:], np.array([MAX_TOKENS - 1]))[0])


# --- several at once ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(11, 2, 30, 1), (5, 5), (17,), (1, 39, 0)], ids=str)
def test_requests_of_different_lengths_are_what_each_is_alone(every, lengths):
    texts = [checkpoints.text(length + 4, seed=slot) for slot, length in enumerate(lengths)]
    steps = min(3, MAX_TOKENS - max(lengths))
    expected = [every.logits(text[: length + steps])[length:] for text, length in zip(texts, lengths, strict=True)]
    for slot, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        if length:
            every.prefill(text[:length], slot)

    for step in range(steps):
        cached = np.array(lengths) + step
        found = every.decode(np.array([text[place] for text, place in zip(texts, cached, strict=True)]), cached)
        for slot in range(len(lengths)):
            near(expected[slot][step], found[slot])


def test_reading_a_prompt_leaves_the_other_requests_alone(decoder):
    running, arriving = checkpoints.text(10), checkpoints.text(30, seed=2)
    expected = decoder.logits(running)[-1]
    decoder.prefill(running[:-1], 0)

    decoder.prefill(arriving[:20], 1)
    decoder.prefill(arriving[20:], 1, 20)
    decoder.logits(arriving)

    near(expected, decoder.decode(running[-1:], np.array([9]))[0])


def test_a_request_goes_on_where_it_is_moved_to(every):
    text = checkpoints.text(12)
    expected = every.logits(text)[-1]
    every.prefill(text[:-1], 2)
    every.prefill(checkpoints.text(30, seed=2), 0)

    every.move(2, 0, 11)
    every.prefill(checkpoints.text(30, seed=3), 2)

    near(expected, every.decode(text[-1:], np.array([11]))[0])


def test_more_threads_compute_the_same(folders, decoder):
    text = checkpoints.text(20)

    with Decoder.open(folders["llama"], threads=2, slots=1, max_tokens=MAX_TOKENS) as other:
        near(decoder.logits(text), other.logits(text))


# --- what is refused ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda decoder: decoder.prefill(checkpoints.text(MAX_TOKENS + 1), 0),
        lambda decoder: decoder.prefill(checkpoints.text(10), 0, MAX_TOKENS - 9),
        lambda decoder: decoder.prefill(checkpoints.text(10), 0, -1),
        lambda decoder: decoder.prefill(checkpoints.text(10), SLOTS),
        lambda decoder: decoder.prefill(checkpoints.text(10), -1),
        lambda decoder: decoder.prefill(np.array([], np.int64), 0),
        lambda decoder: decoder.prefill(np.array([[1, 2]]), 0),
        lambda decoder: decoder.prefill(np.array([160]), 0),
        lambda decoder: decoder.prefill(np.array([-1]), 0),
        lambda decoder: decoder.logits(checkpoints.text(MAX_TOKENS + 1)),
        lambda decoder: decoder.decode(np.array([1]), np.array([MAX_TOKENS])),
        lambda decoder: decoder.decode(np.array([1, 2]), np.array([3])),
        lambda decoder: decoder.decode(np.ones(SLOTS + 1, np.int64), np.ones(SLOTS + 1, np.int64)),
        lambda decoder: decoder.decode(np.array([], np.int64), np.array([], np.int64)),
        lambda decoder: decoder.move(0, SLOTS, 3),
        lambda decoder: decoder.move(-1, 0, 3),
        lambda decoder: decoder.move(0, 1, MAX_TOKENS + 1),
    ],
)
def test_a_call_beyond_slots_tokens_or_vocabulary_is_a_fault_of_the_caller(decoder, call):
    with pytest.raises(ValueError, match=r"slot|token|prompt"):
        call(decoder)


@pytest.mark.parametrize("asked", [{"slots": 0}, {"max_tokens": 0}, {"threads": 0}])
def test_nothing_is_opened_for_no_request(folders, asked):
    with pytest.raises(ValueError, match="slots of"):
        Decoder.open(folders["llama"], **({"threads": 1, "slots": 1, "max_tokens": 8} | asked))


def test_a_folder_without_a_decoder_is_refused(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}: neither decoder.json nor genai_config.json"):
        Decoder.open(tmp_path, threads=1, slots=1, max_tokens=8)


def test_a_cache_that_does_not_fit_is_refused_before_it_is_made(folders, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000_000)

    with pytest.raises(InputError, match="10000 requests of 40 tokens take a cache of 205 MB"):
        Decoder.open(folders["llama"], threads=1, slots=10_000, max_tokens=40)


@pytest.fixture
def made(tmp_path):
    """A folder to be damaged."""
    write_decoder(checkpoints.save(tmp_path / "checkpoint"), tmp_path / "made")
    return tmp_path / "made"


def labelled(**changes):
    def damage(folder):
        label = json.loads((folder / "decoder.json").read_text())
        (folder / "decoder.json").write_text(json.dumps({**label, "facts": label["facts"] | changes}))

    return damage


def renamed(folder):
    """Make the name of an open size no UTF-8."""
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content.replace(b"room", b"\xda\xdaom"))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / "decoder.json").write_text("{}"), "not what this version of advisor wrote"),
        (lambda folder: (folder / "decoder.json").write_bytes(b"\xff"), "not what this version of advisor wrote"),
        (labelled(given_as="1" * 5000), "not what this version of advisor wrote .{0,120}$"),
        (labelled(layers=0), "not what this version of advisor wrote"),
        (labelled(layers=2**31), "its sizes contradict each other"),
        (labelled(layers=3), "its sizes contradict each other"),
        (labelled(layers=3, kv_bytes_per_token=2 * 3 * 2 * 16 * 4), r"its graph has no 'past_key_values\.2\.key'"),
        (labelled(layers=1, kv_bytes_per_token=2 * 2 * 16 * 4), r"its graph asks for 'past_key_values\.1\.key'"),
        (labelled(vocabulary=100), "its logits have sizes .*, and its folder says 100 tokens"),
        (labelled(kv_heads=4, kv_bytes_per_token=2 * 2 * 4 * 16 * 4), "has sizes .*, and its folder says 4 heads of 16"),
        (labelled(head_dimension=32, kv_bytes_per_token=2 * 2 * 2 * 32 * 4), "has sizes .*, and its folder says 2 heads of 32"),
        (renamed, "a name in its graph is no text"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"nothing"), "ONNX Runtime cannot load it"),
        (lambda folder: (folder / "model.onnx").unlink(), "ONNX Runtime cannot load it"),
        (lambda folder: (folder / "model.onnx.data").unlink(), "ONNX Runtime cannot load it"),
    ],
)
def test_a_damaged_folder_is_refused(made, damage, complaint):
    damage(made)

    with pytest.raises((InputError, ModelError), match=complaint) as refused:
        Decoder.open(made, threads=1, slots=1, max_tokens=8)
    assert "\n" not in refused.value.fault + refused.value.hint


def test_a_call_that_fails_is_an_error_of_the_model(made):
    model = onnx.load(made / "model.onnx", load_external_data=False)
    embeddings = next(tensor for tensor in model.graph.initializer if tensor.name == "embeddings")
    embeddings.dims[0] = 100
    next(entry for entry in embeddings.external_data if entry.key == "length").value = str(100 * 64 * 4)
    (made / "model.onnx").write_bytes(model.SerializeToString())

    with (
        Decoder.open(made, threads=1, slots=1, max_tokens=8) as decoder,
        pytest.raises(ModelError, match="the model fails on the given"),
    ):
        decoder.prefill(np.array([150]), 0)
