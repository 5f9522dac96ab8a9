"""What servers call what is compared with advice: the names that are looked for, the more particular ones first.

From the servers' own lists of metrics, read in November 2026: docs.vllm.ai (production metrics), Triton's user guide (metrics), Ray Serve
(monitoring), docs.bentoml.com (metrics), KServe (Prometheus metrics), OpenTelemetry's semantic conventions of HTTP.
"""

import re
from typing import Literal, NamedTuple

from advisor.schema.gate.production import ProductionFigure

Shape = Literal["latency", "counter", "gauge", "busy"]


class Known(NamedTuple):
    """A name, what it is, and how many base units (seconds, requests, fractions) one of its own is."""

    name: str
    shape: Shape
    scale: float = 1.0


KNOWN: dict[ProductionFigure, tuple[Known, ...]] = {
    "latency": (
        Known("vllm:e2e_request_latency_seconds", "latency"),
        Known("nv_inference_request_summary_us", "latency", 1e-6),
        Known("ray_serve_http_request_latency_ms", "latency", 1e-3),
        Known("ray_serve_deployment_processing_latency_ms", "latency", 1e-3),
        Known("bentoml_service_request_duration_seconds", "latency"),
        Known("request_predict_seconds", "latency"),
        Known("http_server_request_duration_seconds", "latency"),
        Known("http_request_duration_seconds", "latency"),
    ),
    "ttft": (Known("vllm:time_to_first_token_seconds", "latency"),),
    "tpot": (Known("vllm:request_time_per_output_token_seconds", "latency"),),
    "rate": (
        Known("vllm:request_success_total", "counter"),
        Known("nv_inference_request_success", "counter"),
        Known("ray_serve_num_http_requests_total", "counter"),
        Known("ray_serve_num_http_requests", "counter"),
        Known("bentoml_service_request_total", "counter"),
        Known("http_requests_total", "counter"),
    ),
    "utilization": (
        Known("nv_inference_compute_infer_duration_us", "busy", 1e-6),
        Known("nv_gpu_utilization", "gauge"),
        Known("DCGM_FI_DEV_GPU_UTIL", "gauge", 0.01),
    ),
}
UNIT = re.compile(r"_(seconds|milliseconds|ms|microseconds|us|percent|perc)(?:_total)?\Z")
SCALES = {"seconds": 1.0, "milliseconds": 1e-3, "ms": 1e-3, "microseconds": 1e-6, "us": 1e-6, "percent": 0.01, "perc": 0.01}
# By which labels a server may say what it runs, on any of its metrics.
MODEL_LABEL, RUNTIME_LABEL = "model_sha256", "runtime_version"


def named_by_user(figure: ProductionFigure, name: str) -> Known:
    """Return what a name that the user gives for a figure is; its unit is the end of the name, seconds or a fraction without one."""
    unit = UNIT.search(name)
    scale = SCALES[unit[1]] if unit is not None else 1.0
    if figure == "rate":
        return Known(name, "counter")
    if figure == "utilization":
        return Known(
            name, "busy" if name.endswith("_total") or (unit is not None and scale != SCALES["percent"]) else "gauge", scale
        )
    return Known(name, "latency", scale)
