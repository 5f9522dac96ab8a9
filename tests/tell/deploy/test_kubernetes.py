"""Objects of Kubernetes and KServe: held against the schemas, and every number is that of the advice."""

import pytest
from msgspec.structs import replace

from advisor.schema.advice import RunsOn
from advisor.tell.deploy import kserve, kubernetes, readme
from advisor.tell.deploy.served import chosen, served
from tests.tell.advice_examples import change
from tests.tell.deploy.parsers import keys_of

VERSION = "1.34"
PLAIN = (kubernetes.deployment, kubernetes.service, kubernetes.autoscaler, kserve.claim)


def of(*, provider=None, **candidate):
    made = change()
    best = replace(made.recommended, candidate=replace(made.recommended.candidate, **candidate))
    variants = tuple(replace(row, runs_on=RunsOn(provider=provider) if provider else row.runs_on) for row in made.variants)
    advice = replace(made, recommended=best, variants=variants)
    return served(advice, chosen(advice, most_likely=False), None)


@pytest.mark.parametrize("made", PLAIN, ids=lambda it: it.__name__)
@pytest.mark.parametrize("provider", [None, "CUDAExecutionProvider"])
def test_objects_are_what_the_schemas_of_kubernetes_ask_for(made, provider):
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")

    validator.validate(made(of(provider=provider)), VERSION, strict=True)


def test_a_replica_has_the_cores_that_its_sessions_keep_busy():
    asked = of(instances=3, intra_op_num_threads=2, replicas=5)

    deployment = kubernetes.deployment(asked)
    [container] = deployment["spec"]["template"]["spec"]["containers"]

    assert 5 == deployment["spec"]["replicas"]
    assert "6" == container["resources"]["requests"]["cpu"] == container["resources"]["limits"]["cpu"]
    assert asked.memory_bytes <= int(container["resources"]["limits"]["memory"].removesuffix("Mi")) * 2**20
    assert f"docker build -t {container['image']} ." in readme.kubernetes(asked)


def test_the_autoscaler_has_the_numbers_of_the_advice():
    asked = of(replicas=5)
    spec = kubernetes.autoscaler(asked)["spec"]

    assert (5, 10) == (spec["minReplicas"], spec["maxReplicas"])
    [metric] = spec["metrics"]
    assert {"type": "Utilization", "averageUtilization": asked.scale.busy_percent} == metric["resource"]["target"]


def test_an_image_on_a_device_of_nvidia_brings_its_libraries_and_asks_for_one():
    asked = of(provider="CUDAExecutionProvider")

    [container] = kubernetes.deployment(asked)["spec"]["template"]["spec"]["containers"]

    assert "1" == container["resources"]["limits"]["nvidia.com/gpu"]
    assert "FROM nvidia/cuda" in kubernetes.dockerfile(asked) and "FROM python" in kubernetes.dockerfile(of())


def test_an_inference_service_has_the_numbers_of_the_advice():
    asked = of(replicas=4)
    predictor = kserve.inference_service(asked)["spec"]["predictor"]

    shown = tuple(predictor[key] for key in ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"))
    assert (4, 8, "cpu", asked.scale.busy_percent) == shown
    assert kubernetes.resources(asked) == predictor["model"]["resources"]
    assert predictor["model"]["storageUri"].startswith(f"pvc://{kserve.claim(asked)['metadata']['name']}/")


def test_an_inference_service_is_made_of_the_keys_of_kserve():
    made = kserve.inference_service(of())
    predictor = made["spec"]["predictor"]

    parts = {
        "v1beta1_inference_service": made,
        "v1beta1_inference_service_spec": made["spec"],
        "v1beta1_predictor_spec": predictor,
        "v1beta1_model_spec": predictor["model"],
        "v1beta1_model_format": predictor["model"]["modelFormat"],
    }
    assert {} == {name: set(part) - keys_of(name) for name, part in parts.items() if set(part) - keys_of(name)}
