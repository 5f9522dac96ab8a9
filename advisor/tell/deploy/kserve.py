"""An InferenceService of KServe: Triton serves the model repository, from a volume that it is copied to."""

from advisor.tell.deploy.kubernetes import Document, annotations, resources
from advisor.tell.deploy.served import Served
from advisor.tell.deploy.triton import REPOSITORY

RUNTIME = "kserve-tritonserver"
GIBIBYTE = 2**30


def claim_name(served: Served) -> str:
    """Return the name of the volume that holds the model repository."""
    return f"{served.slug}-models"


def claim(served: Served) -> Document:
    """Return the claim of a volume, twice as large as the model."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim_name(served)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{max(1, -(-2 * served.variant.bytes // GIBIBYTE))}Gi"}},
        },
    }


def inference_service(served: Served) -> Document:
    """Return the InferenceService; replicas are added before they are busier than the target bears."""
    scale = served.scale
    model = {
        "modelFormat": {"name": "onnx"},
        "protocolVersion": "v2",
        "runtime": RUNTIME,
        "storageUri": f"pvc://{claim_name(served)}/{REPOSITORY}",
        "resources": resources(served),
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": served.slug,
            # Plain deployments with an autoscaler by use of cores, which is what was predicted.
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "hpa",
                **annotations(served),
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": scale.least,
                "maxReplicas": scale.most,
                "scaleMetric": "cpu",
                "scaleTarget": scale.busy_percent,
                "model": model,
            }
        },
    }
