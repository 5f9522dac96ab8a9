"""Hugging Face checkpoint directory -> ONNX file. The one doorway to `optimum`, `transformers` and `torch`."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from advisor.disk import temporary
from advisor.disk.reading import refuse_special
from advisor.errors import InputError, MissingDependencyError, ModelError
from advisor.measure.model import onnx_file
from advisor.measure.runtime.quiet import quiet

# Tasks whose graph, for serving, keeps what was computed for earlier tokens.
CACHED_TASKS = {"text-generation", "text2text-generation", "automatic-speech-recognition"}
WEIGHT_SUFFIXES = {".safetensors", ".bin", ".json"}
FRAMES_A_POSITION = 2  # of Whisper, whose encoder begins with a convolution of that stride


def digest(checkpoint: Path) -> str:
    """Return the SHA-256 of the checkpoint's configuration and weights, under their names."""
    _config(checkpoint)
    total = hashlib.sha256()
    for path in sorted(path for path in checkpoint.iterdir() if path.suffix in WEIGHT_SUFFIXES):
        refuse_special(path)
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def export(checkpoint: Path, target: Path) -> None:
    """Write the ONNX file of the checkpoint to `target`, its external data beside it if it has any.

    Raise InputError if the directory is no checkpoint, ModelError if it exports to several files or not at all.
    """
    task, main_export = _exporter(checkpoint)
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder(target.parent) as folder:
        _export_into(folder, checkpoint, task, main_export)
        files = sorted(folder.glob("*.onnx"))
        if len(files) != 1:
            raise ModelError(
                f"{checkpoint}: task {task} exports to {len(files)} files ({', '.join(file.name for file in files)}), not to one",
                hint="export it with optimum-cli and give advisor one of the files; or ask about `tokens`, if it generates",
            )
        for path in folder.iterdir():
            if path.name.startswith(files[0].name) and path != files[0]:
                shutil.move(path, target.parent / path.name)
        shutil.move(files[0], target)


def export_parts(checkpoint: Path, folder: Path) -> None:
    """Write the graphs of a checkpoint with an encoder and a decoder into a new folder, with its configuration.

    Raise InputError if the directory is no checkpoint, ModelError if it cannot be exported.
    """
    task, main_export = _exporter(checkpoint)
    folder.mkdir(parents=True)
    _export_into(folder, checkpoint, task, main_export, **_shapes(_config(checkpoint)))


def answer_logits(checkpoint: Path, given: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Return logits (tokens, vocabulary) behind each token of an answer (tokens,), as transformers computes them in one pass.

    `given` is an input of tokens (tokens,) or of sound (bins, frames). Raise ModelError if the checkpoint does not run.
    """
    model = loaded(checkpoint)
    import torch

    read, begun = (torch.from_numpy(np.ascontiguousarray(values))[None] for values in (given, answer))
    feeds = {"input_ids" if given.ndim == 1 else "input_features": read, "decoder_input_ids": begun}
    try:
        with quiet(), torch.no_grad():
            found: np.ndarray = model(**feeds, use_cache=False).logits[0].numpy()
    except Exception as error:  # transformers lets any exception of torch through
        raise _cannot_run(checkpoint, error) from error
    return found


def loaded(checkpoint: Path) -> Any:
    """Return the model of a checkpoint as transformers has it, in 32-bit floats; raise ModelError if it does not load."""
    config = _config(checkpoint)
    transformers, _, _ = _libraries(checkpoint)
    import torch

    model_class = _model_class(checkpoint, config, transformers)
    try:
        with quiet():
            return model_class.from_pretrained(checkpoint, local_files_only=True, dtype=torch.float32).eval()
    except Exception as error:  # transformers lets any exception of torch through
        raise _cannot_run(checkpoint, error) from error


def _cannot_run(checkpoint: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{checkpoint}: transformers cannot run it: {(str(error).strip().splitlines() or [type(error).__name__])[0][:300]}",
        hint="save the checkpoint again with save_pretrained, or give the folder that optimum-cli exports",
    )


def _exporter(checkpoint: Path) -> tuple[str, object]:
    """Return the task of a checkpoint, and what exports it."""
    config = _config(checkpoint)
    transformers, main_export, tasks_manager = _libraries(checkpoint)
    return _task(checkpoint, config, transformers, tasks_manager), main_export


def _libraries(checkpoint: Path) -> tuple[Any, Any, Any]:
    """Return transformers, and of optimum what exports and what knows tasks; raise MissingDependencyError where they are not there."""
    # A checkpoint directory is local by definition: nothing may be looked up, nothing reported.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    try:
        import transformers
        from optimum.exporters.onnx import main_export
        from optimum.exporters.tasks import TasksManager
    except ImportError as error:
        raise MissingDependencyError(
            f"{checkpoint}: a Hugging Face checkpoint needs optimum, transformers and torch ({error.name} is missing)",
            hint="pip install 'serving-advisor[hf]', or give an .onnx file",
        ) from error
    transformers.logging.set_verbosity_error()
    return transformers, main_export, TasksManager


def _config(checkpoint: Path) -> dict[str, object]:
    path = checkpoint / "config.json"
    if not path.is_file():
        onnx_file.refuse_folder(checkpoint)
        raise InputError(
            f"{checkpoint}: a directory without config.json is no Hugging Face checkpoint",
            hint="give the directory that save_pretrained wrote, or an .onnx file",
        )
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})", hint="save the checkpoint again with save_pretrained") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds no keys", hint="save the checkpoint again with save_pretrained")
    if not any(path.suffix in (".safetensors", ".bin") for path in checkpoint.iterdir()):
        raise InputError(
            f"{checkpoint}: no weights (*.safetensors or *.bin) beside config.json", hint="save model and configuration together"
        )
    return config


def _model_class(checkpoint: Path, config: dict[str, object], transformers: object) -> Any:
    architectures = config.get("architectures")
    name = architectures[0] if isinstance(architectures, list) and architectures else None
    model_class = getattr(transformers, str(name), None)
    if model_class is None:
        raise InputError(
            f"{checkpoint / 'config.json'}: architectures names {name!r}, which the installed transformers does not have",
            hint="name the model class under `architectures`, or export to ONNX yourself and give the .onnx file",
        )
    return model_class


def _task(checkpoint: Path, config: dict[str, object], transformers: object, tasks_manager: object) -> str:
    model_class = _model_class(checkpoint, config, transformers)
    try:
        task: str = tasks_manager.infer_task_from_model(model_class)  # type: ignore[attr-defined]
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"{checkpoint / 'config.json'}: architectures names {model_class.__name__!r}, which has no task that optimum knows",
            hint="export to ONNX with optimum-cli, naming the task, and give the .onnx file",
        ) from error
    return f"{task}-with-past" if task in CACHED_TASKS else task


def _shapes(config: dict[str, object]) -> dict[str, int]:
    """Return the sizes that an export has for good: the frames of a Whisper, which optimum takes to be those of the published ones."""
    positions = config.get("max_source_positions")
    return {"nb_max_frames": FRAMES_A_POSITION * positions} if "num_mel_bins" in config and isinstance(positions, int) else {}


def _export_into(folder: Path, checkpoint: Path, task: str, main_export: object, **shapes: int) -> None:
    try:
        with quiet():
            main_export(  # type: ignore[operator]
                str(checkpoint), str(folder), task=task, library_name="transformers", do_validation=False, **shapes
            )
    except Exception as error:  # optimum lets any exception of torch, transformers or onnx through
        raise ModelError(
            f"{checkpoint}: optimum cannot export it for {task}: {(str(error).strip().splitlines() or [type(error).__name__])[0][:300]}",
            hint="export it with optimum-cli, with options of your own, and give advisor the .onnx file",
        ) from error


def fuse(checkpoint: Path, exported: Path, target: Path) -> None:
    """Write the exported file with attention, normalization and activation fused as ORTOptimizer knows them for this architecture.

    Raise ModelError if it does not know the architecture.
    """
    try:
        from optimum.onnxruntime import ORTOptimizer
        from optimum.onnxruntime.configuration import OptimizationConfig
    except ImportError as error:
        raise MissingDependencyError(
            f"transformer fusions need optimum-onnx ({error.name} is missing)", hint="pip install 'serving-advisor[hf]'"
        ) from error
    with temporary.folder(target.parent.parent) as folder:
        shutil.copy2(checkpoint / "config.json", folder / "config.json")
        for path in exported.parent.glob(f"{exported.name}*"):
            (folder / path.name).symlink_to(path.resolve())
        try:
            with quiet():
                optimizer = ORTOptimizer.from_pretrained(folder, file_names=[exported.name])
                optimizer.optimize(OptimizationConfig(optimization_level=2), save_dir=folder / "fused", file_suffix="")
        except Exception as error:  # optimum lets any exception of its libraries through
            raise ModelError(
                f"ORTOptimizer cannot fuse it: {(str(error).strip().splitlines() or [type(error).__name__])[0][:200]}",
                hint="ONNX Runtime's own optimizations are measured all the same",
            ) from error
        made = next((folder / "fused").glob("*.onnx"))
        for path in (folder / "fused").glob(f"{made.name}*"):
            shutil.move(path, target.parent / path.name.replace(made.name, target.name, 1))
