"""Figures of the file: what its sources say of a sum that stands for several releases."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.lifetime.given import given_figures
from advisor.schema.workload import Lifecycle, LifeData

SUM = Lifecycle(
    fine_tunings_per_year=12.0,
    data=LifeData(validation_usd=120_000.0),
    ranges={"validation_usd": (80_000.0, 200_000.0)},
)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("a review of each of four releases", 4),
        ("a study of each of 3 yearly releases", 3),
        ("of each of one release", 1),
        ("each of Twelve releases", 12),
        ("each of 0013 releases, as agreed", 13),
    ],
)
def test_a_sum_of_so_many_releases_is_that_of_each(source, count):
    figures = given_figures(1.0, msgspec.structs.replace(SUM, sources={"validation_usd": source}))
    each = figures["validation_usd_per_release"]

    assert (120_000 / count, 80_000 / count, 200_000 / count) == (each.value, each.low, each.high)
    assert "validation_usd" not in figures and f"{source}; the sum divided by {count}" == each.source


@pytest.mark.parametrize(
    "source",
    [
        *("a study", "of each release", "each of many releases", "four releases", ""),
        *(
            "each of 0 releases",
            "each of -4 releases",
            "each of 4.5 releases",
            "each of thirteen releases",
            "each of four released",
        ),
    ],
)
def test_a_source_that_tells_no_number_of_releases_leaves_the_sum_as_it_is(source):
    figures = given_figures(1.0, msgspec.structs.replace(SUM, sources={"validation_usd": source}))

    assert 120_000 == figures["validation_usd"].value and "validation_usd_per_release" not in figures


def test_what_is_not_written_is_no_figure():
    figures = given_figures(1.0, Lifecycle(data=LifeData(labels_to_buy=5.0)))

    assert not {"usd_per_label", "validation_usd"} & figures.keys()


@given(st.integers(1, 10**6), st.floats(1.0, 1e12))
def test_all_releases_that_a_source_counts_make_up_the_sum_again(count, usd):
    data = LifeData(validation_usd=usd)
    told = Lifecycle(fine_tunings_per_year=1.0, data=data, sources={"validation_usd": f"each of {count} releases"})

    assert usd == pytest.approx(given_figures(1.0, told)["validation_usd_per_release"].value * count)


def test_what_is_given_of_each_release_is_not_read_out_of_a_source():
    data = LifeData(validation_usd=120_000.0, validation_usd_per_release=5.0)
    told = Lifecycle(fine_tunings_per_year=1.0, data=data, sources={"validation_usd": "each of four releases"})

    figures = given_figures(1.0, told)

    assert (120_000, 5) == (figures["validation_usd"].value, figures["validation_usd_per_release"].value)
