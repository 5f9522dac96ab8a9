"""Claims about projections to devices that were not measured."""

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decide.service import public_models, roofline
from advisor.files.catalog import read_hardware, read_public_measurements
from advisor.schema.catalog import ProjectionError, PublicMeasurements, PublicSeries

DEVICES = read_hardware()
SHIPPED = read_public_measurements()


def series(model: str = "a", *, batch_size: float = 8.0, **speeds: float) -> PublicSeries:
    return PublicSeries(
        model=model,
        family="",
        precision="fp16",
        framework="ort",
        scenario="static",
        batch_size=batch_size,
        flop_per_item=1e9,
        activations_per_item=1e6,
        parameters=1e7,
        items_per_s=speeds,
    )


def public(*known: PublicSeries, quantile: float = 2.0, efficiency: float = 0.4) -> PublicMeasurements:
    errors = tuple(
        ProjectionError(device_class=kind, ground=ground, quantile=quantile, rows=10, models=5)
        for kind in ("gpu", "cpu")
        for ground in ("anchored", "similar", "roofline")
    )
    return PublicMeasurements(series=known, errors=errors, efficiency={"gpu/fp16": efficiency}, sources={})


def test_where_the_target_is_always_so_many_times_as_fast_the_model_is_taken_to_be_too() -> None:
    anchors = [series(name, t4=speed, l4=3 * speed) for name, speed in (("a", 100.0), ("b", 200.0), ("c", 400.0))]

    said = public_models.ratio(series("mine", t4=150.0), "t4", "l4", public(*anchors))

    assert said is not None and "anchored" == said.ground
    assert 3.0 == pytest.approx(math.exp(said.log_value))
    assert said.log_margin == pytest.approx(2.0 * public_models.LEAST_SCALE)  # they agree: no less than repeating is off


def test_a_model_is_not_projected_from_its_own_rows() -> None:
    assert public_models.ratio(series("a", t4=100.0), "t4", "l4", public(series("a", t4=100.0, l4=300.0))) is None


def test_nearer_models_count_for_more() -> None:
    anchors = [series("near", batch_size=8.0, t4=100.0, l4=200.0), series("far", batch_size=512.0, t4=100.0, l4=800.0)]

    said = public_models.ratio(series("mine", batch_size=8.0, t4=100.0), "t4", "l4", public(*anchors))

    assert said is not None and 2.0 <= math.exp(said.log_value) < 2.5


def test_too_few_models_like_it_are_no_anchors() -> None:
    unlike = msgspec.structs.replace(
        series("a", t4=1.0, l4=2.0), precision="int8", framework="other", scenario="other", devices=8
    )

    assert public_models.ratio(series("mine", t4=100.0), "t4", "l4", public(unlike)) is None


def test_neighbors_that_disagree_make_the_interval_wide() -> None:
    agreeing = [series(name, t4=100.0, l4=200.0) for name in "abcd"]
    differing = [series(name, t4=100.0, l4=speed) for name, speed in zip("abcd", (100.0, 150.0, 300.0, 500.0), strict=True)]
    margins = [public_models.ratio(series("mine", t4=100.0), "t4", "l4", public(*known)) for known in (agreeing, differing)]

    assert margins[0] is not None and margins[1] is not None
    assert 3 * margins[0].log_margin < margins[1].log_margin


@given(st.floats(0.25, 4.0), st.floats(10.0, 1e5))
def test_there_and_back_is_where_one_began(times: float, speed: float) -> None:
    known = public(*(series(name, t4=speed, l4=times * speed) for name in "abc"))
    there = public_models.ratio(series("mine", t4=speed), "t4", "l4", known)
    back = public_models.ratio(series("mine", l4=times * speed), "l4", "t4", known)

    assert there is not None and back is not None
    assert 0.0 == pytest.approx(there.log_value + back.log_value, abs=1e-9)


def test_models_like_it_on_the_device_come_before_its_class() -> None:
    least = roofline.series_roofline_s(series(), DEVICES["t4"])
    assert least is not None
    known = public(*(series(name, t4=0.2 / least) for name in "abc"))

    similar = public_models.share_of_roofline(series("mine"), DEVICES["t4"], known)
    alone = public_models.share_of_roofline(series("mine"), DEVICES["l4"], known)

    assert similar is not None and "similar" == similar.ground and 0.2 == pytest.approx(math.exp(similar.log_value))
    assert alone is not None and "roofline" == alone.ground and 0.4 == pytest.approx(math.exp(alone.log_value))


def test_without_held_back_errors_of_its_kind_nothing_is_projected() -> None:
    known = msgspec.structs.replace(public(series("a", t4=100.0, l4=200.0)), errors=())

    assert public_models.ratio(series("mine", t4=100.0), "t4", "l4", known) is None
    assert public_models.share_of_roofline(series("mine"), DEVICES["t4"], known) is None
    assert public_models.share_of_roofline(series("mine"), DEVICES["tpu_v5e"], public()) is None


def test_a_precision_that_the_device_lacks_has_no_rate() -> None:
    assert roofline.peak_flop_per_s(DEVICES["v100_16"], "int8") is None
    assert roofline.peak_flop_per_s(DEVICES["t4"], "fp32") == DEVICES["t4"].peak_flop_per_s["fp32"]
    assert roofline.peak_flop_per_s(DEVICES["l4"], "fp32") == DEVICES["l4"].peak_flop_per_s["tf32"]


def test_the_roofline_rises_with_the_batch_and_never_faster_than_in_proportion() -> None:
    work = (roofline.Work(flop_per_item=1e9, bytes_per_item=1e6, weight_bytes=1e8, kernels=10),)
    least = [roofline.roofline_s(work, DEVICES["t4"], "fp32", batch) or 0.0 for batch in (1, 2, 4, 64, 128)]

    assert all(first <= second <= 2 * first for first, second in pairwise(least[:3]))
    assert 2 * least[3] == pytest.approx(least[4])


def test_what_is_shipped_says_how_far_every_ground_was_off_and_where_it_comes_from() -> None:
    grounds = {(error.device_class, error.ground) for error in SHIPPED.errors}

    assert grounds == {(kind, ground) for kind, ground in grounds if error_is_told(kind, ground)} and len(grounds) == 5
    assert all(source.date and "VERIFY" not in source.what for sources in SHIPPED.sources.values() for source in sources)


def error_is_told(kind: str, ground: str) -> bool:
    error = next(entry for entry in SHIPPED.errors if (entry.device_class, entry.ground) == (kind, ground))
    return error.rows >= 30 and error.models >= 5


def test_a_cpu_that_was_not_measured_is_known_to_a_factor_of_two() -> None:
    error = public_models.error_of(SHIPPED, "cpu", "roofline")

    assert error is not None and 1.8 < math.exp(error.quantile) < 4.0
