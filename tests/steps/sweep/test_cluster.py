"""A real cluster of several raylets on this machine: six models on two kinds, and a machine is lost meanwhile; advice on many pairs."""

import contextlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import kubernetes_validate
import msgspec
import numpy as np
import pytest
import yaml
from onnx import numpy_helper

from advisor.errors import InputError
from advisor.files.catalog import read_device
from advisor.files.records import to_json
from advisor.measure.timing.journal import MARK
from advisor.schema.options import SweepOptions
from advisor.steps.generation.reading import read_any_profile
from advisor.steps.many.cluster import joined, over_nodes
from advisor.steps.many.pairs import pairs_in
from advisor.steps.many.workers import Work
from advisor.steps.sweep.cluster import measured_on_cluster, resource
from advisor.steps.sweep.elsewhere import advised_on_cluster
from advisor.steps.sweep.many import Settings, advise_many
from advisor.steps.sweep.sweep import sweep
from tests import models
from tests.configs import config_of
from tests.profiles import NOW, fixed_cost_law, profile

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
EXAMPLES = Path(__file__).parents[3] / "examples" / "cluster"
KINDS = ("c7i.xlarge", "local")
ABSENT = "c7g.xlarge"  # no machine brings it
MODELS, LOSES = 6, KINDS[0]  # the kind of which a machine is lost
MADE_OF = 2  # of the models have weights that are quantized
STORE_BYTES = 80_000_000  # about the least that Ray takes
PATIENCE_S = 60.0  # a test that goes wrong ends
VISITED = b'{"type":"Visited"'
WORKLOAD = "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s}\nhardware: {price_usd_per_hour: {local: 0.3}}\n"
SWEEP = (
    "name: cluster\nworkload: workload.yaml\nkinds: [c7i.xlarge, local]\nmodels: [{model: '*.onnx'}]\n"
    "measure: {budget_s: 1 s, max_batch_size: 2}\nat_the_end: {advice: false}\n"
)
BOOKS = "books"  # where the user's price books lie
BOOK = "provider,region,instance,term,usd_per_hour,date,source\naws,nearby,p5.4xlarge,on-demand,0.77,2026-11-01,a contract\n"
SERVICE = {
    "name": "service",
    "traffic": {"requests_per_s": 40},
    "slo": {"latency_s": "100 ms", "quantile": 0.9},
    "hardware": {"price_usd_per_hour": {"local": 0.34}},
}
CHAT = {
    "name": "chat",
    "traffic": {"requests_per_s": 2},
    "tokens": {"input": {"p50": 200, "p95": 400}, "output": {"p50": 50, "p95": 100}},
    "slo": {"ttft_s": 2, "tpot_s": "100 ms", "quantile": 0.9},
    "hardware": {"allowed": ["h100_sxm"]},
}


def silent(*_, line=None):
    pass


@contextlib.contextmanager
def cluster():
    """Yield a cluster whose head measures nothing, in a folder with a short name: sockets have no long ones."""
    from ray.cluster_utils import Cluster

    place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    spared = {"no_monitor": True, "include_log_monitor": False, "include_dashboard": False}  # processes that nobody here asks
    head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "temp_dir": place, **spared}
    made = Cluster(
        initialize_head=True, head_node_args=head, shutdown_at_exit=False
    )  # or machines can be added by this thread alone
    try:
        yield made
    finally:
        made.shutdown()
        shutil.rmtree(place, ignore_errors=True)


def machine(made, kind):
    """Add a machine of a kind to the cluster."""
    return made.add_node(num_cpus=1, object_store_memory=STORE_BYTES, resources={resource(kind): 1})


def content(path):
    """Return what is in a file that may be removed at any moment."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def losing_a_machine(made, folder, kept, over):
    """Wait until a machine of LOSES has measured something, take it away and bring another; `kept` gets the journal by then.

    Where nothing is measured, wait until the sweep is `over`.
    """
    only = machine(made, LOSES)

    def lose(only):
        while not kept and not over.is_set():
            journals = [path for path in folder.glob(f"*/{LOSES}/profile.journal") if VISITED in content(path)]
            if not journals:
                time.sleep(0.02)
                continue
            made.remove_node(only, allow_graceful=False)
            # Where it had just ended, the next one is lost.
            kept.update({path.parent.parent.name: content(path) for path in journals if content(path)})
            only = machine(made, LOSES)

    thread = threading.Thread(target=lose, args=(only,), daemon=True)
    thread.start()
    return thread


def visits_of(journal):
    """Return the visits in a journal, as they are encoded."""
    lines = [MARK.sub(b"}", line) for line in journal.splitlines()]
    entries = [json.loads(line) for line in lines if line.startswith(VISITED)]
    return [json.dumps(entry["visit"]["latency_s"]) for entry in entries]


def another(number):
    """Return a model that no other number has: of the first two variants are made, and the others are measured as they are."""
    if number >= MADE_OF:
        return models.relu(f"float[n, {models.WIDTH + number}] x")
    model = models.mlp()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full(models.HIDDEN, number, np.float32), "b1"))
    return model


def write_pairs(folder):
    """Write what `pairs.jsonl` names: files beside it and by absolute paths, of several kinds, and what is wrong with some."""
    (folder / "profile.json").write_bytes(to_json(profile(fixed_cost_law(0.003, 0.006))))
    (folder / "chat").mkdir()
    (folder / "chat" / "config.json").write_text(json.dumps(config_of("qwen3-0.6b")))
    (folder / "chat" / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    (folder / "chat" / "chat.yaml").write_text(json.dumps(CHAT))
    (folder / "trace.csv").write_text("arrival\n" + "".join(f"{number * 0.03:.2f}\n" for number in range(200)))
    (folder / BOOKS / "serving-advisor").mkdir(parents=True)
    (folder / BOOKS / "serving-advisor" / "prices.csv").write_text(BOOK)
    traced, beside = (
        SERVICE | {"traffic": {"trace": name, "columns": {"arrival": "arrival", "unit": "s"}}}
        for name in (str(folder / "trace.csv"), "chat/../trace.csv")
    )
    lines = (
        {"id": "plain", "workload": SERVICE},
        {"id": "traced", "profile": str(folder / "profile.json"), "workload": traced},
        {"id": "beside", "workload": beside},
        {"id": "gone", "profile": str(folder / "nowhere.json"), "workload": SERVICE},
        {"id": "refused", "workload": str(folder / "sweep.yaml")},
        {"id": "chat", "profile": "chat/config.json", "workload": "chat/chat.yaml"},
    )
    (folder / "pairs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def asked_for(out):
    return pairs_in(Path("pairs.jsonl"), Path("profile.json")), Settings(NOW, 0.95, 1.5, None, Path(out), ("html",))


def squares(folder):
    """Return squares, the first of which a process is lost over, and whatever would be the square of five."""

    def done(things):  # goes to other processes as it is: they have no tests
        first = folder / "lost"
        if 5 in things or (0 in things and not first.exists()):
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [thing * thing for thing in things]

    return Work(done, lambda thing, error: f"{thing}: {error.fault}")


def losing_one(folder):
    """Return what a sweep came to during which a machine was lost, its folder, the journal of that machine, a second one, and two more.

    The folder that it is called from holds another advisor. The second one asks for a model that was measured, and for a kind that no
    machine brings. The last two are what the same cluster made of pairs, and of squares.
    """
    kept: dict[str, bytes] = {}
    over = threading.Event()
    with cluster() as made:
        machine(made, "local")
        thread = losing_a_machine(made, folder / "out", kept, over)
        with contextlib.chdir(folder):
            swept = sweep(
                folder / "sweep.yaml",
                folder / "out",
                SweepOptions(ray=made.address, patience_s=PATIENCE_S),
                now=NOW,
                report=silent,
            )
        over.set()
        thread.join()
        (folder / "sweep.yaml").write_text(SWEEP.replace("*.onnx", "m0.onnx").replace("kinds: [", f"kinds: [{ABSENT}, "))
        again = sweep(
            folder / "sweep.yaml", folder / "out", SweepOptions(ray=made.address, patience_s=0.0), now=NOW, report=silent
        )
        os.environ["XDG_DATA_HOME"] = str(folder / BOOKS)  # as the command has it, and no machine of the cluster
        with contextlib.chdir(folder):
            rows = list(advised_on_cluster(*asked_for("by-cluster"), made.address))
        with joined(made.address, {}, "advisor") as ray:
            found = list(over_nodes(ray, squares(folder), range(6), chunk=2, retries=1, patience_s=PATIENCE_S))
    return swept, folder / "out", kept, again, rows, found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return what `losing_one` does, in a process of its own: what has joined a cluster of Ray's may end long after the cluster has."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "workload.yaml").write_text(WORKLOAD)
    (folder / "sweep.yaml").write_text(SWEEP)
    for number in range(MODELS):
        models.save(another(number), folder / f"m{number}.onnx")
    write_pairs(folder)
    (folder / "advisor").mkdir()
    (folder / "advisor" / "__init__.py").write_text("raise ImportError('a machine imports what is installed there')\n")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as apart:
        return apart.submit(losing_one, folder).result()


@needs_ray
def test_every_result_is_there_though_a_machine_was_lost(ran):
    swept, out, *_ = ran

    assert {(f"m{number}", kind) for number in range(MODELS) for kind in KINDS} == {
        (pair.model, pair.kind) for pair in swept.record.pairs if pair.outcome == "measured"
    }
    for number in range(MODELS):
        sites = read_any_profile(out / f"m{number}" / "profile.json").sites
        assert set(KINDS) == {site.hardware.id for site in sites}
        assert all((out / f"m{number}" / variant.path).is_file() for site in sites for variant in site.variants)
    assert [] == list(out.rglob("*.journal"))


@needs_ray
def test_nothing_that_was_measured_on_the_lost_machine_was_lost_but_the_running_point(ran):
    swept, out, kept, *_ = ran
    ((model, journal),) = kept.items()
    pair = next(pair for pair in swept.record.pairs if (pair.model, pair.kind) == (model, LOSES))
    lost, *_, last = pair.tries

    site = read_any_profile(out / model / LOSES / "profile.json").sites[0]
    visits = [json.dumps(visit.latency_s) for point in site.measurements for visit in point.visits]

    assert visits_of(journal)
    assert set(visits_of(journal)) <= set(visits)
    assert (None, True) == (lost.ended, lost.entries > 0)
    assert last.ended is not None and last.machine != lost.machine
    assert pair.entries == sum(tried.entries for tried in pair.tries)


@needs_ray
def test_no_two_measurements_ran_on_one_machine_at_once(ran):
    by_machine: dict[str, list[tuple[str, str]]] = {}
    for pair in ran[0].record.pairs:
        for tried in pair.tries:
            by_machine.setdefault(tried.machine, []).append((tried.started, tried.heard))

    assert len(KINDS) + 1 == len(by_machine)
    for times in by_machine.values():
        times.sort()
        assert all(ended <= begun for (_, ended), (begun, _) in itertools.pairwise(times))


@needs_ray
def test_a_second_sweep_measures_nothing_and_gives_up_a_kind_that_no_machine_brings(ran):
    absent, *known = ran[3].record.pairs

    assert [(kind, "known", 0) for kind in KINDS] == [(pair.kind, pair.outcome, pair.entries) for pair in known]
    assert (ABSENT, "failed", 0) == (absent.kind, absent.outcome, absent.entries)
    assert f"no machine of the cluster has brought the resource {resource(ABSENT)}" in absent.failure.fault
    assert "ray start" in absent.failure.hint


@needs_ray
def test_a_cluster_advises_as_one_process_does_to_the_byte(ran, monkeypatch):
    folder, rows = ran[1].parent, ran[4]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / BOOKS))

    alone = list(advise_many(*asked_for("by-itself"), processes=1))

    assert alone == rows
    assert [("gone", "failed"), ("refused", "failed")] == [(row.id, row.outcome) for row in rows if row.failure is not None]
    assert content_below(folder / "by-itself") == content_below(folder / "by-cluster")
    assert "fp8 weights: $0.77/h" in rows[-1].headline


def content_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_ray
def test_a_lost_process_costs_no_answer_and_only_what_kills_one_again_and_again_is_lost(ran):
    *found, last = ran[5]

    assert [0, 1, 4, 9, 16] == found
    assert last.startswith("5: the process that worked on it ended (")


@needs_ray
@pytest.mark.parametrize("address", ["ray://head:10001", "auto"])
def test_a_cluster_that_cannot_be_used_is_refused_with_a_way_out(address, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    with pytest.raises(InputError, match=f"--ray {address}: ") as refusal:
        list(measured_on_cluster((), address, None, patience_s=0.0, created=NOW, report=silent))

    assert "ray" in refusal.value.hint


# --- the files for those who start clusters ------------------------------------------------------------------------------------


@needs_ray
def test_the_file_for_rays_launcher_keeps_its_schema_and_has_a_kind_a_machine():
    config = yaml.safe_load((EXAMPLES / "aws.yaml").read_text())
    schema = json.loads((Path(find_spec("ray").origin).parent / "autoscaler" / "ray-schema.json").read_text())

    jsonschema.Draft7Validator(schema).validate(config)
    workers = {name: entry for name, entry in config["available_node_types"].items() if name != config["head_node_type"]}
    for name, entry in workers.items():
        assert {resource(read_device(name).id): 1} == entry["resources"]
        assert name == entry["node_config"]["InstanceType"]


class Group(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A group of the API ray.io/v1, as `raycluster_types.go` of KubeRay has it; of the head some keys are absent."""

    rayStartParams: dict[str, str]
    template: dict
    groupName: str | None = None
    replicas: int | None = None
    minReplicas: int | None = None
    maxReplicas: int | None = None
    numOfHosts: int | None = None
    scaleStrategy: dict | None = None


class Spec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    rayVersion: str
    headGroupSpec: Group
    workerGroupSpecs: list[Group]
    enableInTreeAutoscaling: bool | None = None
    autoscalerOptions: dict | None = None
    headServiceAnnotations: dict[str, str] | None = None
    suspend: bool | None = None


class RayCluster(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    apiVersion: str
    kind: str
    metadata: dict
    spec: Spec


def test_the_file_for_kuberay_keeps_its_api_and_its_pods_that_of_kubernetes():
    made = msgspec.convert(yaml.safe_load((EXAMPLES / "kuberay.yaml").read_text()), RayCluster)

    for group in (made.spec.headGroupSpec, *made.spec.workerGroupSpecs):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, **group.template}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    assert ("ray.io/v1", "RayCluster", "0") == (made.apiVersion, made.kind, made.spec.headGroupSpec.rayStartParams["num-cpus"])
    for group in made.spec.workerGroupSpecs:
        kind = group.template["spec"]["nodeSelector"]["node.kubernetes.io/instance-type"]
        # A shell takes one pair of quotes away, as KubeRay's own examples have it.
        assert {resource(read_device(kind).id): 1} == json.loads(json.loads(group.rayStartParams["resources"]))
