"""A configuration is told from every other file: what advisor writes, other JSON, and what is none."""

import json

import pytest

from advisor.files.records import write_record
from advisor.steps.language.configuration import is_configuration
from tests import checkpoints, generation_profiles
from tests.damage import measured
from tests.tell.documents import DOCUMENTS


@pytest.mark.parametrize("name", ["config.json", "meta-llama--Llama_config.json", "CONFIG.JSON"])
def test_what_says_what_the_model_is_is_one_whatever_it_is_called(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(checkpoints.config_of()))

    assert is_configuration(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"a": 1}', "[" * 100_000, '"model_type"', b"\xff\xfe", '{"model_type": ' + "9" * 5000 + "1}"],
)
def test_what_says_nothing_of_a_model_is_none(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert not is_configuration(path)


def test_what_advisor_writes_is_none_and_neither_is_a_folder_or_what_is_not_there(tmp_path):
    write_record(tmp_path / "profile.json", measured())
    write_record(tmp_path / "tokens.json", generation_profiles.profile())
    write_record(tmp_path / "advice.json", DOCUMENTS["chat_elsewhere"])
    checkpoints.save(tmp_path / "llama.json")

    assert not any(map(is_configuration, (*tmp_path.iterdir(), tmp_path / "gone.json")))


def test_another_ending_is_none(tmp_path):
    (tmp_path / "config.txt").write_text(json.dumps(checkpoints.config_of()))

    assert not is_configuration(tmp_path / "config.txt")
