"""What a sweep is asked for: models found and named, workloads with their overrides, and what is refused before anything is written."""

import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.files.workload import read_workload
from advisor.schema.options import SweepOptions
from advisor.schema.overview import OWN_NAMES
from advisor.steps.sweep.asked import PATTERN, _merged, _name_of, _placed, members_of, read_sweep
from tests import configs

WORKLOAD = "name: w\ntraffic: {requests_per_s: 20}\nslo: {latency_s: 1 s}\nhardware: {price_usd_per_hour: {local: 0.3}}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "workload.yaml").write_text(WORKLOAD)
    for name in ("a.onnx", "b.onnx", "c/model.onnx", "d/model.onnx"):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / name).write_bytes(b"no model is read here")
    return tmp_path


def members(folder, content, **options):
    path = folder / "sweep.yaml"
    path.write_text("name: shop\nworkload: workload.yaml\n" + content)
    return members_of(read_sweep(path), path, folder / "out", SweepOptions(**options))


def test_a_pattern_finds_models_by_the_names_of_their_files_or_folders(folder):
    found = members(folder, "models: [{model: models/*.onnx}, {model: 'models/*/model.onnx'}]")

    assert ["a", "b", "c", "d"] == [member.name for member in found]
    assert [folder / "models/a.onnx", folder / "models/c/model.onnx"] == [found[0].path, found[2].path]


def test_the_kinds_of_a_model_are_those_of_the_sweep_unless_it_has_its_own_and_are_where_it_may_run(folder):
    found = members(
        folder, "kinds: [local, c7i.xlarge]\nmodels: [{model: models/a.onnx}, {model: models/b.onnx, kinds: [c7g.xlarge]}]"
    )

    assert [("local", "c7i.xlarge"), ("c7g.xlarge",)] == [member.kinds for member in found]
    assert [member.kinds for member in found] == [read_workload(member.options.workload).hardware.allowed for member in found]


def test_where_it_may_run_is_as_the_workload_says_where_it_says_so(folder):
    content = "kinds: [local, c7i.xlarge]\nmodels: [{model: models/a.onnx, overrides: {hardware: {allowed: [local, l4]}}}]"

    assert ("local", "l4") == read_workload(members(folder, content)[0].options.workload).hardware.allowed


def test_overrides_change_single_keys_and_null_leaves_one_out(folder):
    (folder / "workload.yaml").write_text(WORKLOAD + "fleet: {spare_replicas: 2}\n")
    content = "models: [{model: models/a.onnx, overrides: {name: busy, traffic: {burstiness_cv: 2}, slo: {latency_s: 50 ms}, fleet: null}}]"

    workload = read_workload(members(folder, content)[0].options.workload)

    assert ("busy", 20.0, 2.0, 0.05, None) == (
        workload.name,
        workload.traffic.requests_per_s,
        workload.traffic.burstiness_cv,
        workload.slo.latency_s,
        workload.fleet,
    )


def test_files_that_a_workload_names_are_found_from_the_workload_that_is_written(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "trace.csv").write_text("arrival_s\n" + "".join(f"{second}\n" for second in range(200)))
    (folder / "deep" / "w.yaml").write_text(WORKLOAD.replace("requests_per_s: 20", "trace: trace.csv"))

    member = members(folder, "models: [{model: models/a.onnx, workload: deep/w.yaml}]")[0]

    named = read_workload(member.options.workload).traffic.trace
    assert not os.path.isabs(named)
    assert os.path.samefile(folder / "deep" / "trace.csv", member.options.workload.parent / named)
    assert (folder / "deep" / "trace.csv",) == member.files


def test_nothing_is_measured_of_a_configuration(folder):
    (folder / "tokens.yaml").write_text(
        "name: chat\ntraffic: {requests_per_s: 1}\nslo: {ttft_s: 2 s, tpot_s: 100 ms}\n"
        "tokens: {input: {p50: 300}, output: {p50: 100}}\nhardware: {allowed: [l4]}\n"
    )
    configs.write(folder / "lm", configs.config_of(configs.NAMES[0]))

    member = members(folder, "models: [{model: lm/config.json, workload: tokens.yaml}]")[0]

    assert ("lm", ()) == (member.name, member.kinds)


REFUSED = {
    "models: [{model: models/missing.onnx}]": "models.0.model: models/missing.onnx: no such file",
    "models: [{model: models/*.pt}]": "models.0.model: models/\\*.pt: matches nothing",
    "models: [{model: models/a.onnx}, {model: models/b.onnx, name: A}]": "are both called 'A'",
    "models: [{model: models/*.onnx, name: both}]": "models.0.name: one name, and models/\\*.onnx finds 2 models",
    "models: [{model: models/a.onnx, name: ../up}]": "models\\[0\\].name",
    "kinds: [c7i.xlrge]\nmodels: [{model: models/a.onnx}]": "kinds: 'c7i.xlrge' is neither",
    "models: [{model: models/a.onnx, kinds: [nonsense]}]": "kinds: 'nonsense' is neither",
    "models: []": "models",
    "modls: []": "modls: unknown key",
    "models: [{model: models/a.onnx, workload: other.yaml}]": "other.yaml: no such file",
    "models: [{model: models/a.onnx, overrides: {slo: {latency: 3}}}]": "models.0.overrides: slo.latency: unknown key",
    "models: [{model: models/a.onnx, overrides: {traffic: null}}]": "traffic: missing",
    "models: [{model: models/a.onnx, overrides: {hardware: 3}}]": "hardware",
    "models: [{model: models/a.onnx, overrides: {quality: {metric: 'm:f', max_drop: 0.1}}}]": "quality.metric: m:f is code",
    "models: [{model: models/a.onnx, overrides: {quality: {metric: f1, max_drop: 0.1, data: 'm:f'}}}]": "quality.data: m:f is code",
    'models: [{model: "a\\0b"}]': "no file can have such a name",
}


@pytest.mark.parametrize(("content", "fault"), REFUSED.items(), ids=list(REFUSED))
def test_what_cannot_be_swept_is_refused_and_nothing_is_written(folder, content, fault):
    with pytest.raises(InputError, match=fault) as refusal:
        members(folder, content)

    assert refusal.value.hint
    assert not (folder / "out").exists()


def test_a_workload_that_a_user_wrote_is_never_overwritten(folder):
    (folder / "out" / "a").mkdir(parents=True)
    (folder / "out" / "a" / "workload.yaml").write_text(WORKLOAD)

    with pytest.raises(InputError, match="holds something else"):
        members(folder, "models: [{model: models/a.onnx}]")

    assert WORKLOAD == (folder / "out" / "a" / "workload.yaml").read_text()


trees = st.recursive(
    st.none() | st.text(max_size=3), lambda inner: st.dictionaries(st.text("ab", max_size=2), inner), max_leaves=8
)
mappings = st.dictionaries(st.text("ab", max_size=2), trees)


@given(mappings, mappings)
def test_overriding_twice_is_overriding_once(tree, overrides):
    once = _merged(tree, overrides)

    assert once == _merged(once, overrides)
    assert tree == _merged(tree, {})


# No name of a file takes more than 255 bytes.
@given(st.text(min_size=1, max_size=60).filter(lambda name: "/" not in name and "\0" not in name))
def test_every_file_gives_a_name_that_is_a_folder(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()

    made = _name_of(folder / name)

    assert (
        made not in ("", ".", "..")
        and not made.startswith((".", "-"))
        and not set(made) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
    )


def test_a_link_to_a_model_keeps_its_own_name(tmp_path):
    (tmp_path / "blob").write_bytes(b"")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "model.onnx").symlink_to(tmp_path / "blob")
    (tmp_path / "other").symlink_to(tmp_path / "real")

    assert tmp_path / "real" / "model.onnx" == _placed(tmp_path / "other" / "model.onnx")


def test_what_is_written_is_yaml_that_says_who_made_it(folder):
    text = members(folder, "models: [{model: models/a.onnx}]")[0].options.workload.read_text()

    assert text.startswith("# made by serving-advisor sweep: the workload of a")
    assert "w" == yaml.safe_load(text)["name"]
    assert PATTERN.search("models/*.onnx")


@pytest.mark.parametrize("name", [*sorted(OWN_NAMES), "Sweep.JSON"])
def test_no_model_is_called_as_a_file_beside_its_folder(folder, name):
    with pytest.raises(InputError, match="as a file of the sweep is"):
        members(folder, f"models: [{{model: models/a.onnx, name: {name}}}]")

    assert not (folder / "out").exists()


def test_a_name_that_no_folder_can_have_is_refused_in_words(folder):
    with pytest.raises(InputError, match=r"'\.\./up': not a name for a folder") as refusal:
        members(folder, "models: [{model: models/a.onnx, name: ../up}]")

    assert "letters, digits" in refusal.value.hint
