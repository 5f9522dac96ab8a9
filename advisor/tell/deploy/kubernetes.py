"""A deployment on Kubernetes: an image of the Python server, its replicas, and an autoscaler that adds some before the target is missed."""

from typing import Any

from advisor.tell.deploy.escapes import remark
from advisor.tell.deploy.python_code import PORT
from advisor.tell.deploy.served import Served

Document = dict[str, Any]

BASE_IMAGE, GPU_IMAGE = "python:3.11-slim", "nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04"
USER = 1000
PROBE_S = 2  # between two looks at a replica that starts
LEAST_START_S, SLOWER_START = (
    60.0,
    10.0,
)  # until a start counts as failed: so long, or so many times what loading took in the profile
SETTLE_S = 300  # of low traffic, before replicas are given back; Kubernetes' own
READY = "/v2/health/ready"


def image(served: Served) -> str:
    """Return the name of the image: the same file, the same tag."""
    return f"{served.slug}:{served.variant.sha256[:12]}"


def dockerfile(served: Served) -> str:
    """Return what the image is built with."""
    return "\n".join(
        [
            f"# serving-advisor {remark(served.advisor_version)}, advice of {remark(served.created)}",
            *([f"FROM {BASE_IMAGE}"] if not served.on_gpu else _gpu_base()),
            "WORKDIR /app",
            "COPY requirements.txt .",
            "RUN python3 -m pip install --no-cache-dir -r requirements.txt",
            "COPY . .",
            f"USER {USER}",
            f"EXPOSE {PORT}",
            'CMD ["python3", "serve.py", "--host", "0.0.0.0"]',
            "",
        ]
    )


def _gpu_base() -> list[str]:
    return [
        f"FROM {GPU_IMAGE}",
        "RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*",
        "ENV PIP_BREAK_SYSTEM_PACKAGES=1",
    ]


def resources(served: Served) -> Document:
    """Return requests and limits, which are equal: cores of its own, and the memory that was seen with room to spare."""
    needs = {"cpu": str(served.cores), "memory": f"{-(-served.memory_bytes // 2**20)}Mi"}
    limits = needs | ({"nvidia.com/gpu": "1"} if served.on_gpu else {})
    return {"requests": needs, "limits": limits}


def annotations(served: Served) -> Document:
    """Return what a person wants to know of an object, the names as they are."""
    return {
        "serving-advisor/version": served.advisor_version,
        "serving-advisor/advice": served.created,
        "serving-advisor/model": served.name,
        "serving-advisor/variant": served.candidate.variant,
        "serving-advisor/workload": served.workload,
    }


def deployment(served: Served) -> Document:
    """Return the deployment: replicas of the server, each with the cores that its sessions keep busy."""
    labels = {"app": served.slug}
    load_s = served.variant.load_s or 0.0
    tries = round(max(LEAST_START_S, SLOWER_START * load_s) / PROBE_S)
    container = {
        "name": "server",
        "image": image(served),
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": resources(served),
        "startupProbe": {"httpGet": {"path": READY, "port": "http"}, "periodSeconds": PROBE_S, "failureThreshold": tries},
        "readinessProbe": {"httpGet": {"path": READY, "port": "http"}, "periodSeconds": PROBE_S},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": USER},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": served.slug, "labels": labels, "annotations": annotations(served)},
        "spec": {
            "replicas": served.scale.replicas,
            "selector": {"matchLabels": labels},
            # A replica starts before another ends: the target has to hold while a new version is rolled out.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(served: Served) -> Document:
    """Return the service in front of the replicas."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": served.slug, "labels": {"app": served.slug}, "annotations": annotations(served)},
        "spec": {"selector": {"app": served.slug}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def autoscaler(served: Served) -> Document:
    """Return the autoscaler: it adds replicas before they are busier than the target is predicted to bear."""
    scale = served.scale
    target = {"type": "Utilization", "averageUtilization": scale.busy_percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": served.slug, "labels": {"app": served.slug}, "annotations": annotations(served)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": served.slug},
            "minReplicas": scale.least,
            "maxReplicas": scale.most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {"stabilizationWindowSeconds": SETTLE_S},
            },
        },
    }
