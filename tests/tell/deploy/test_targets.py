"""Exports as a whole: for every server the files parse, and whatever names hold, they hold nothing but them."""

import ast
import json
import re
import unicodedata

import msgspec
import pytest
import yaml
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from advisor.commands import export
from advisor.errors import InputError
from advisor.files.records import to_json, to_yaml
from advisor.schema.advice import Advice, RunsOn
from advisor.schema.catalog import CPU
from advisor.tell.deploy.served import chosen, served
from advisor.tell.deploy.targets import TARGETS, VLLM
from tests.damage import damaged
from tests.inert.test_record import HOSTILE, UNSEEN
from tests.tell.advice_examples import change
from tests.tell.deploy.parsers import model_config
from tests.tell.documents import DOCUMENTS

NAMES = [text for text in HOSTILE if "\udcff" not in text] + ["{{7*7}}", "'; import os; '", "${HOME}", "a: b # c", "*/ --> <!--"]


def named(text):
    """What is advised of a model of which everything that has a name is called this."""
    made = change()
    model = replace(
        made.model,
        name=text,
        inputs=tuple(
            replace(entry, name=f"{text}{number}", shape=(text, f"{text}s")) for number, entry in enumerate(made.model.inputs)
        ),
        outputs=tuple(replace(entry, name=text, shape=(text, f"{text}s", 384)) for entry in made.model.outputs),
    )
    best = replace(made.recommended, candidate=replace(made.recommended.candidate, variant=text))
    variants = tuple(replace(row, id=text, title=text, runs_on=RunsOn(provider=CPU)) for row in made.variants)
    site = replace(made.sites[0], versions={"onnxruntime": text, "numpy": text})
    advice = replace(
        made,
        model=model,
        recommended=best,
        variants=variants,
        sites=(site,),
        workload=replace(made.workload, name=text),
        created=text,
    )
    return served(advice, chosen(advice, most_likely=False), None)


def written(content):
    return content if isinstance(content, str) else to_yaml(content).decode()


def read(place, text):
    """What the file holds, as its own reader has it."""
    if place.endswith(".py"):
        return [
            node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    if place.endswith(".yaml"):
        return list(texts_of(yaml.safe_load(text)))
    if place.endswith(".pbtxt"):
        config = text_format.Parse(text, model_config().ModelConfig())
        return [entry.name for entry in (*config.input, *config.output)]
    return []


def texts_of(part):
    if isinstance(part, dict):
        for key, value in part.items():
            yield from (key, *texts_of(value))
    elif isinstance(part, list):
        for value in part:
            yield from texts_of(value)
    elif isinstance(part, str):
        yield part


class Masked(ast.NodeTransformer):
    """Code with every text taken out."""

    def visit_Constant(self, node):
        return ast.Constant(None) if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node):
        return node


def masked(part):
    """A document with every text taken out but the keys."""
    if isinstance(part, dict):
        return {key: masked(value) for key, value in part.items()}
    if isinstance(part, list):
        return [masked(value) for value in part]
    return None if isinstance(part, str) else part


def structure(place, text):
    """All that the file holds but texts."""
    if place.endswith(".py"):
        return ast.dump(Masked().visit(ast.parse(text)))
    if place.endswith(".yaml"):
        return masked(yaml.safe_load(text))
    if place.endswith(".pbtxt"):
        return re.sub(r'#.*|"(?:[^"\\]|\\.)*"', "", text)
    return len(text.splitlines())


PLAIN = {
    target: [structure(place, written(content)) for place, content in wanted.files(named("plain")).items()]
    for target, wanted in TARGETS.items()
}


def check_inert(target, text):
    """Raise AssertionError unless the name is a text in every file, and nothing else."""
    plain, hostile = PLAIN[target], TARGETS[target].files(named(text))
    found = []
    assert len(plain) == len(hostile)
    for as_usual, (place, content) in zip(plain, hostile.items(), strict=True):
        shown = written(content)
        assert not {it for it in shown if unicodedata.category(it) in UNSEEN} - {"\n"}, place
        assert as_usual == structure(place, shown), place
        assert not place.endswith((".py", ".md")) or "<script" not in shown, place
        found += read(place, shown)
    assert f"{text}1" in found or target == "kserve"
    if target in ("kserve", "kubernetes"):
        assert text in found


@pytest.mark.parametrize("target", TARGETS)
def test_a_hostile_name_is_a_text_in_every_file_and_nothing_else(target):
    for text in ("".join(NAMES), "".join(reversed(NAMES)), '"""', "\\"):
        check_inert(target, text)


@settings(max_examples=12)
@given(target=st.sampled_from([*TARGETS]), text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_name_is_a_text_in_every_file_and_nothing_else(target, text):
    check_inert(target, text)


@pytest.mark.parametrize("target", TARGETS)
def test_every_export_says_how_it_is_started_and_where_it_comes_from(target):
    files = TARGETS[target].files(named("plain"))

    assert "<!-- serving-advisor" in files["README.md"]
    assert all("serving-advisor" in written(content) for place, content in files.items() if place not in BARE)
    assert "\n    " in files["README.md"]


# Documents without a place for a word on where they come from.
BARE = {"bentofile.yaml", "volume.yaml"}


def test_the_command_offers_every_server_that_there_is():
    assert {*TARGETS, VLLM} == set(export.SERVERS)


def test_what_was_measured_in_openvino_is_served_in_python_alone():
    made = change()
    variants = tuple(
        replace(row, runs_on=RunsOn(provider="openvino", provider_options={"INFERENCE_PRECISION_HINT": "f32"}))
        for row in made.variants
    )
    asked = served(replace(made, variants=variants), made.recommended, None)

    def takes(target):
        try:
            return bool(TARGETS[target].files(asked))
        except InputError:
            return False

    assert ["bentoml", "ray-serve", "kubernetes"] == [target for target in TARGETS if takes(target)]
    session = TARGETS["kubernetes"].files(asked)["session.py"]
    assert '"INFERENCE_PRECISION_HINT": "f32"' in session and "onnxruntime.InferenceSession" not in session
    assert "openvino" in TARGETS["kubernetes"].files(asked)["requirements.txt"]


def test_the_numbers_of_the_python_servers_are_those_of_the_advice():
    made = change()
    candidate = replace(
        made.recommended.candidate, intra_op_num_threads=3, instances=2, max_batch_size=16, max_queue_delay_s=0.004
    )
    best = replace(made.recommended, candidate=replace(candidate, replicas=5))
    asked = served(replace(made, recommended=best), best, None)
    told = {}
    for target, place in (("ort", "session.py"), ("ort", "serve.py"), ("ray-serve", "app.py"), ("bentoml", "service.py")):
        tree = ast.parse(TARGETS[target].files(asked)[place])
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
                try:
                    told[node.targets[0].id] = ast.literal_eval(node.value)
                except ValueError:
                    continue

    assert (3, 2, 16) == (told["THREADS"], told["INSTANCES"], told["MAX_BATCH_SIZE"])
    assert (0.004, 0.004) == (told["MAX_QUEUE_DELAY_S"], told["BATCH_WAIT_TIMEOUT_S"])
    assert {"batchable": True, "max_batch_size": 16, "max_latency_ms": 50} == told["BATCHING"]
    assert {"num_cpus": 6} == told["ACTOR_OPTIONS"] and {"cpu": "6"} == told["RESOURCES"]
    scale = asked.scale
    assert (5, 10, scale.ongoing_requests) == tuple(
        told["AUTOSCALING"][key] for key in ("min_replicas", "max_replicas", "target_ongoing_requests")
    )
    assert json.dumps(told["SESSION_ENTRIES"]).count("spinning") == 2


def test_instances_take_cores_of_their_own_only_where_no_other_replica_may_have_the_same():
    asked = named("plain")
    larger = replace(asked, machine_cores=16)

    def up_to(served_, target):
        [line] = [line for line in TARGETS[target].files(served_)["session.py"].splitlines() if line.startswith("PINS_UP_TO")]
        return int(line.rpartition(" ")[2])

    assert [16, 16] == [up_to(larger, target) for target in ("ort", "bentoml")]
    assert [asked.cores] * 2 == [up_to(larger, target) for target in ("ray-serve", "kubernetes")]


SERVED = msgspec.json.decode(to_json(DOCUMENTS["served"]))


@settings(max_examples=25)
@given(tree=damaged(SERVED), target=st.sampled_from([*TARGETS]))
def test_advice_that_is_damaged_somewhere_gives_files_that_parse_or_is_refused(tree, target):
    try:
        advice = msgspec.convert(tree, Advice)
    except msgspec.ValidationError:
        return
    try:
        files = TARGETS[target].files(served(advice, chosen(advice, most_likely=True), None))
    except InputError as refused:
        assert refused.fault and refused.hint
        return
    for place, content in files.items():
        read(place, written(content))
