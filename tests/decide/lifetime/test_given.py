"""Figures of the file: what its sources say of a sum that stands for several releases."""

import msgspec
import pytest

from advisor.decide.lifetime.given import given_figures
from advisor.schema.workload import Lifecycle, LifeData

SUM = Lifecycle(
    fine_tunings_per_year=12.0,
    data=LifeData(validation_usd=120_000.0),
    ranges={"validation_usd": (80_000.0, 200_000.0)},
)


@pytest.mark.parametrize(
    ("source", "count"),
    [("a review of each of four releases", 4), ("a study of each of 3 yearly releases", 3), ("of each of one release", 1)],
)
def test_a_sum_of_so_many_releases_is_that_of_each(source, count):
    figures = given_figures(1.0, msgspec.structs.replace(SUM, sources={"validation_usd": source}))
    each = figures["validation_usd_per_release"]

    assert (120_000 / count, 80_000 / count, 200_000 / count) == (each.value, each.low, each.high)
    assert "validation_usd" not in figures and each.source.startswith(source)


@pytest.mark.parametrize("source", ["a study", "of each release", "each of many releases", "four releases"])
def test_a_source_that_tells_no_number_of_releases_leaves_the_sum_as_it_is(source):
    figures = given_figures(1.0, msgspec.structs.replace(SUM, sources={"validation_usd": source}))

    assert 120_000 == figures["validation_usd"].value and "validation_usd_per_release" not in figures


def test_what_is_not_written_is_no_figure():
    figures = given_figures(1.0, Lifecycle(data=LifeData(labels_to_buy=5.0)))

    assert not {"usd_per_label", "validation_usd"} & figures.keys()
