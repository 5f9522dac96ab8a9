"""The evidence of an advice: the machine is told as the process that measured might use it."""

import pytest
from msgspec.structs import replace

from advisor.tell.words.evidence import evidence_rows
from tests.tell.advice_examples import change


@pytest.mark.parametrize(
    ("quota_cores", "told"),
    [
        (None, "2 cores"),
        (0.5, "0.5 of a core by a quota of processor time"),
        (1.0, "1 core by a quota of processor time"),
        (1.5, "1.5 cores by a quota of processor time"),
    ],
)
def test_a_container_has_as_much_of_the_cores_as_its_quota_gives(quota_cores, told):
    made = change()
    (site,) = made.sites
    limited = replace(made, sites=(replace(site, machine=replace(site.machine, quota_cores=quota_cores)),))

    (machine,) = (row.cells[0] for row in evidence_rows(limited) if row.label == "Machine")

    assert str(machine).startswith(f"{told}, 8.2 GB of memory")
