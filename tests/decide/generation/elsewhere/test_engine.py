"""The arguments of the engine: what was decided, in its own words."""

import json
import shlex

from msgspec.structs import replace

from advisor.decide.generation.elsewhere.engine import beside_the_arguments, engine_arguments
from advisor.decide.generation.elsewhere.speculation import choices
from advisor.schema.workload import SpeculationAsked
from tests.elsewhere_models import DENSE, PLAIN


def options(deployment, model=DENSE, longest=5000):
    pairs = (shlex.split(argument) for argument in engine_arguments(model, deployment, longest))
    return dict(pairs)


def test_a_checkpoint_as_it_is_takes_degree_and_batch():
    assert {
        "--model": "Llama-3.1-8B",
        "--tensor-parallel-size": "2",
        "--max-num-seqs": "256",
        "--max-num-batched-tokens": "2048",
        "--max-model-len": "5120",
        "--gpu-memory-utilization": "0.9",
    } == options(PLAIN)
    assert () == beside_the_arguments(DENSE, PLAIN)


def test_a_lower_precision_is_an_argument_where_the_engine_makes_it_itself():
    found = options(replace(PLAIN, weights="fp8", kv="fp8"))

    assert ("fp8", "fp8") == (found["--quantization"], found["--kv-cache-dtype"])
    assert "--quantization" not in options(replace(PLAIN, weights="int4"))
    assert "quantized to int4" in beside_the_arguments(DENSE, replace(PLAIN, weights="int4"))[0]


def test_a_checkpoint_in_fp8_needs_no_word():
    assert "--quantization" not in options(replace(PLAIN, weights="fp8"), replace(DENSE, weights="fp8"))


def test_a_draft_is_told_as_the_engine_reads_it():
    choice = choices(DENSE, SpeculationAsked(method="eagle3", acceptance=0.8, draft_tokens=3), ())[0]

    found = options(replace(PLAIN, speculation=choice))

    assert {"method": "eagle3", "num_speculative_tokens": 3} == json.loads(found["--speculative-config"])


def test_a_request_is_never_longer_than_the_context():
    assert "2000" == options(PLAIN, replace(DENSE, context_tokens=2000), 1999)["--max-model-len"]


def test_a_hostile_name_stays_one_word():
    assert "a; rm -rf /" == options(PLAIN, replace(DENSE, name="a; rm -rf /"))["--model"]
