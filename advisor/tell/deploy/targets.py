"""What is exported for each server: the files by their places, and where the model's own lie."""

from collections.abc import Callable
from typing import NamedTuple

from advisor.errors import InputError
from advisor.schema.language import LanguageAdvice
from advisor.tell.deploy import kserve, kubernetes, python_code, readme, triton, vllm
from advisor.tell.deploy.kubernetes import Document
from advisor.tell.deploy.served import OPENVINO, Served

ITEMS_FILE = python_code.ITEMS_FILE
Contents = dict[str, str | Document]  # a text, or a document of YAML


class Target(NamedTuple):
    """One server that advice on a model of one pass is exported to."""

    files: Callable[[Served], Contents]
    model_folder: Callable[[Served], str]
    has_items: bool  # that its sessions are warmed up with, and checked on


def _sessions(served: Served, *more: str, has_neighbors: bool = False) -> Contents:
    session = python_code.session_code(served, has_neighbors=has_neighbors)
    return {"session.py": session, "requirements.txt": python_code.requirements(served, *more)}


def _ort(served: Served) -> Contents:
    if served.runs_on.provider == OPENVINO:
        raise InputError(
            f"{served.candidate.variant} was measured in OpenVINO's own runtime, which is no session of ONNX Runtime",
            hint=triton.ELSEWHERE,
        )
    return {**_sessions(served), "serve.py": python_code.server_code(served), "README.md": readme.ort(served)}


def _kubernetes(served: Served) -> Contents:
    return {
        **_sessions(served, has_neighbors=True),
        "serve.py": python_code.server_code(served),
        "Dockerfile": kubernetes.dockerfile(served),
        "deployment.yaml": kubernetes.deployment(served),
        "service.yaml": kubernetes.service(served),
        "autoscaler.yaml": kubernetes.autoscaler(served),
        "README.md": readme.kubernetes(served),
    }


def _ray(served: Served) -> Contents:
    return {
        **_sessions(served, python_code.RAY, has_neighbors=True),
        "app.py": python_code.ray_code(served),
        "README.md": readme.ray(served),
    }


def _bentoml(served: Served) -> Contents:
    return {
        **_sessions(served, python_code.BENTOML),
        "service.py": python_code.bentoml_code(served),
        "bentofile.yaml": {
            "service": "service:Model",
            "include": ["*.py", "model/*", ITEMS_FILE],
            "python": {"requirements_txt": "./requirements.txt"},
        },
        "README.md": readme.bentoml(served),
    }


def _triton(served: Served) -> Contents:
    return {**triton.triton_files(served), "README.md": readme.triton(served)}


def _kserve(served: Served) -> Contents:
    return {
        **triton.triton_files(served),
        "volume.yaml": kserve.claim(served),
        "inferenceservice.yaml": kserve.inference_service(served),
        "README.md": readme.kserve(served),
    }


def _beside(_: Served) -> str:
    return "model"


TARGETS = {
    "ort": Target(_ort, _beside, has_items=True),
    "triton": Target(_triton, triton.model_folder, has_items=False),
    "kserve": Target(_kserve, triton.model_folder, has_items=False),
    "bentoml": Target(_bentoml, _beside, has_items=True),
    "ray-serve": Target(_ray, _beside, has_items=True),
    "kubernetes": Target(_kubernetes, _beside, has_items=True),
}
VLLM = "vllm"  # takes language models alone


def vllm_files(advice: LanguageAdvice, *, most_likely: bool) -> Contents:
    """Return the script that starts a replica of a language model; raise InputError where nothing is to be served."""
    words = vllm.arguments(advice, most_likely=most_likely)
    return {"serve.sh": vllm.script(advice, words), "README.md": readme.vllm(advice)}
