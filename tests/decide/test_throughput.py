"""What one device serves within the target, of sites whose true service times are known."""

import pytest
from msgspec.structs import replace

from advisor.decide.throughput import throughput_at_target
from advisor.errors import InputError
from advisor.schema.record import Estimate
from advisor.schema.workload import Baseline
from tests import profiles

LAW = profiles.fixed_cost_law(0.002, 0.010)  # 12 ms an item alone, 10 ms each in large batches


def throughput(measured=None, *, requests_per_s=50.0, **asked) -> Estimate:
    measured = measured or profiles.profile(LAW)
    workload = profiles.workload(requests_per_s, **asked)
    return throughput_at_target(measured, measured.sites[0], workload, requests_per_s=requests_per_s, where="p.json")


def test_no_device_serves_more_than_it_has_time_for_and_a_patient_target_comes_near_it():
    hurried, patient = (throughput(latency_s=target_s) for target_s in (0.03, 2.0))

    assert hurried.low <= hurried.value <= hurried.high
    assert hurried.value < patient.value <= 1 / 0.012
    assert 0.8 / 0.012 < patient.value


def test_what_a_device_serves_is_told_to_be_measured_with_its_profile_target_and_configuration():
    found = throughput()

    assert "measured" == found.basis
    assert "p.json: " in found.source and "p90 within 100 ms, fp32, 1 instance of 1 thread" in found.source


@pytest.mark.parametrize("requests_per_s", [0.01, 5_000.0])
def test_it_hangs_on_no_traffic(requests_per_s):
    assert throughput().value == pytest.approx(throughput(requests_per_s=requests_per_s).value, rel=0.1)


def test_bursts_leave_less_of_it():
    assert throughput(burstiness_cv=3.0).value < throughput().value


def test_the_configuration_that_runs_today_is_the_one_that_counts():
    assert throughput().value < throughput(baseline=Baseline(max_batch_size=16)).value
    with pytest.raises(InputError, match=r"baseline\.variant: 'int8' is not in the profile"):
        throughput(baseline=Baseline(variant="int8"))


def test_service_times_beyond_those_that_were_measured_are_called_projected():
    lengths = profiles.profile(profiles.power_law(0.001, length=0.5), lengths=(32, 64))
    asked = profiles.SequenceLength(p50=32, p95=400)

    assert "projected" == throughput(lengths, sequence_length=asked).basis


def test_a_target_that_is_kept_at_no_rate_is_refused_with_its_key():
    with pytest.raises(InputError, match=r"slo\.latency_s: p\.json: .* keeps p90 within 5 ms at no rate") as error:
        throughput(latency_s=0.005)

    assert "baseline" in error.value.hint


def test_service_times_whose_upper_end_misses_the_target_are_refused_too():
    law = profiles.profile(LAW)
    doubtful = [
        replace(
            entry,
            visits=tuple(
                replace(visit, latency_s=tuple(second * factor for second in visit.latency_s))
                for visit, factor in zip(entry.visits, (0.7, 1.0, 1.5), strict=True)
            ),
        )
        for entry in law.sites[0].measurements
    ]

    with pytest.raises(InputError, match="at no rate at the upper end of its service times"):
        throughput(profiles.with_site(law, measurements=tuple(doubtful)), latency_s=0.025)
