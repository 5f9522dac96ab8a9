"""What lies beside an export for who starts it: the commands, and what of the advice each file holds."""

from advisor import units
from advisor.inert.text import inert_markdown
from advisor.schema.language import LanguageAdvice
from advisor.tell.deploy import kserve as kserve_service
from advisor.tell.deploy.kubernetes import image
from advisor.tell.deploy.python_code import PORT
from advisor.tell.deploy.served import Served
from advisor.tell.deploy.triton import REPOSITORY
from advisor.tell.words.figures import configuration

TRITON_IMAGE = "nvcr.io/nvidia/tritonserver:YY.MM-py3"
NOT_SET = (
    "Triton does not keep instances on cores of their own, and idle threads spin a while longer there: load-test it before you rely on the "
    "prediction."
)
CHECK = "`python session.py` holds its answers against those of the model as given."


def ort(served: Served) -> str:
    """Return how to start the server of the standard library."""
    how = _indented(
        "pip install -r requirements.txt",
        "python session.py     # runs the model, and compares its answers with those of the model as given",
        f"python serve.py       # http://127.0.0.1:{PORT}/v2/models/{served.slug}/infer",
    )
    told = (
        "`session.py` opens the sessions: threads, spinning, cores of each instance, provider. `serve.py` is a queue with dynamic batching "
        "over HTTP, one replica; start as many as are advised, behind a load balancer."
    )
    return _page(served, "ONNX Runtime", how, told)


def kubernetes(served: Served) -> str:
    """Return how to build the image and apply the objects."""
    how = _indented(
        f"docker build -t {image(served)} .",
        "kubectl apply -f deployment.yaml -f service.yaml -f autoscaler.yaml",
    )
    told = (
        f"Push the image where your cluster finds it, and name it so in `deployment.yaml`. Each replica has {served.cores} of the cores. "
        f"The autoscaler adds replicas above {served.scale.busy_percent} % of their cores, which the target is predicted to bear, "
        f"{_between(served)}."
    )
    return _page(served, "Kubernetes", how, f"{told} {CHECK}")


def ray(served: Served) -> str:
    """Return how to start the application of Ray Serve."""
    how = _indented("pip install -r requirements.txt", "serve run app:app", _posted(8000, served))
    told = (
        "A replica of Ray is one of those that are advised, with all its sessions; `@serve.batch` has the advised batch and delay. It adds "
        f"replicas where more than {served.scale.ongoing_requests:g} requests are in one, {_between(served)}."
    )
    return _page(served, "Ray Serve", how, f"{told} {CHECK}")


def bentoml(served: Served) -> str:
    """Return how to start and build the service of BentoML."""
    how = _indented("pip install -r requirements.txt", "bentoml serve service:Model", "bentoml build     # what is deployed")
    told = (
        "A process for each instance. BentoML decides by itself how long a batch waits, so the advised queue delay is not set: load-test "
        "it before you rely on the prediction."
    )
    return _page(served, "BentoML", how, f"{told} {CHECK}")


def triton(served: Served) -> str:
    """Return how to start Triton on the model repository."""
    how = _indented(
        f"docker run --rm -p 8000:8000 -v $PWD/{REPOSITORY}:/models {TRITON_IMAGE} tritonserver --model-repository=/models",
        _posted(8000, served),
    )
    told = "`config.pbtxt` has the batches, the queue delay, the instances, the threads and the warm-up."
    return _page(served, "Triton Inference Server", how, f"{told} {NOT_SET}")


def kserve(served: Served) -> str:
    """Return how to copy the models to the volume and apply the service."""
    name = kserve_service.claim_name(served)
    how = _indented(
        "kubectl apply -f volume.yaml",
        f"kubectl cp {REPOSITORY} POD:/mnt/models/     # a pod that has the volume {name} at /mnt/models",
        "kubectl apply -f inferenceservice.yaml",
    )
    told = (
        f"`storageUri` may name a bucket as well. Replicas are added above {served.scale.busy_percent} % of their cores, "
        f"{_between(served)}."
    )
    return _page(served, "KServe", how, f"{told} {NOT_SET}")


def vllm(advice: LanguageAdvice) -> str:
    """Return how to start vLLM, and what the script does not say."""
    beside = [note.removeprefix("engine: ") for note in advice.notes if note.startswith("engine: ")]
    found = advice.recommended or advice.likely
    replicas = found.deployment.replicas if found else 1
    of_all = (
        "the one replica that is advised"
        if replicas == 1
        else f"one of the {replicas:,} replicas that are advised, behind a load balancer"
    )
    lines = [
        f"# {inert_markdown(advice.model.name)} in vLLM",
        "",
        f"<!-- serving-advisor {inert_markdown(advice.advisor_version)} -->",
        "",
        _indented("bash serve.sh"),
        "",
        f"The script starts {of_all}. What is given to it is handed on to vLLM.",
        *(f"\n- {inert_markdown(note)}" for note in beside),
        "",
    ]
    return "\n".join(lines)


def _page(served: Served, server: str, how: str, told: str) -> str:
    slo = f"{units.quantile(served.slo_quantile)} within {units.seconds(served.slo_latency_s)}"
    doubt = " Nothing is recommended: this is the most likely answer, and not known well enough." if served.is_likely else ""
    return "\n".join(
        [
            f"# {inert_markdown(served.name)} in {server}",
            "",
            f"<!-- serving-advisor {inert_markdown(served.advisor_version)} -->",
            "",
            f"{inert_markdown(configuration(served.candidate))}, for {units.rate(served.requests_per_s)} and {slo}.{doubt}",
            "",
            how,
            "",
            told,
            "",
        ]
    )


def _between(served: Served) -> str:
    scale = served.scale
    source = "as the plan of the fleet has it" if scale.is_planned else "the upper one is room to grow, and yours to set"
    return f"between {scale.least} and {units.counted(scale.most, 'replica')} ({source})"


def _posted(port: int, served: Served) -> str:
    return f"curl -d @request.json http://127.0.0.1:{port}/v2/models/{served.slug}/infer"


def _indented(*lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines)
