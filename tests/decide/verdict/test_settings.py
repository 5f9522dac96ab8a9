"""The inputs that can be set: every number of the planned life has its key, or is one of those that have no other size."""

import msgspec
import pytest

from advisor.decide.lifetime.given import SECTIONS
from advisor.decide.verdict.settings import IN_PIECES, SETTINGS
from advisor.schema.workload import Lifecycle, Traffic, Workload

NUMBERS = (int, float)


def numbers_of(record, path):
    """The keys of all numbers of a record, sections left out."""
    found = {}
    for field in msgspec.structs.fields(record):
        info = msgspec.inspect.type_info(field.type)
        kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
        plain = {type(kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind) for kind in kinds}
        if plain & {msgspec.inspect.IntType, msgspec.inspect.FloatType}:
            found[field.encode_name] = f"{path}.{field.encode_name}"
    return found


def section(name):
    [field] = [entry for entry in msgspec.structs.fields(Lifecycle) if entry.name == name]
    info = msgspec.inspect.type_info(field.type)
    [record] = [kind.cls for kind in info.types if isinstance(kind, msgspec.inspect.StructType)]
    return record


KEYS = {
    **numbers_of(Lifecycle, "lifecycle"),
    **{name: key for part in SECTIONS for name, key in numbers_of(section(part), f"lifecycle.{part}").items()},
}


def test_every_number_of_the_planned_life_can_be_moved_by_its_key_or_has_no_other_size():
    settable = {name: setting.key for name, setting in SETTINGS.items() if name != "requests_per_s"}

    assert KEYS == settable | {name: KEYS[name] for name in IN_PIECES}
    assert not settable.keys() & set(IN_PIECES)


def test_traffic_is_set_by_its_rate():
    assert "requests_per_s" in numbers_of(Traffic, "traffic") and "traffic" in Workload.__struct_fields__
    assert SETTINGS["requests_per_s"].key == "traffic.requests_per_s"


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_within_reach_has_room(name):
    setting = SETTINGS[name]

    assert setting.words and setting.times > 1 and setting.least < setting.most
