"""Claims heard everywhere, worked out: each holds in one workload and not in another, by the number that the README quotes."""

from pathlib import Path

import msgspec
import pytest

from advisor import units
from advisor.decide.lifetime import cost
from advisor.decide.lifetime.inputs import life_of
from advisor.decide.verdict.facts import life_facts
from advisor.files.market import market_of
from advisor.files.workload import read_workload, traffic_of
from advisor.steps.classify import classify_file

FOLDER = Path(__file__).parents[1] / "examples" / "claims"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
NOW = "2026-11-28T08:00:00+00:00"


def read(name):
    return read_workload(FOLDER / f"{name}.yaml")


def values(name, **sections):
    """The inputs of a claim's workload, with keys of its sections changed."""
    workload = read(name)
    lifecycle = workload.lifecycle
    for section, changes in sections.items():
        lifecycle = msgspec.structs.replace(
            lifecycle, **{section: msgspec.structs.replace(getattr(lifecycle, section), **changes)}
        )
    rate, course = traffic_of(workload, FOLDER / f"{name}.yaml")
    market = market_of(lifecycle, workload.hardware, workload.energy, beside=FOLDER)
    return life_of(rate, lifecycle, market, course=course).values


def serving_usd(x):
    return cost.costs(x)["serving"]


def cut_by_quantizing(name):
    before, after = (serving_usd(values(name, model={"bytes_per_parameter": each})) for each in (2.0, 0.5))
    assert read(name).lifecycle.model.bytes_per_parameter == 2
    return 1 - after / before


def gain_of_drafting(name):
    x = values(name)
    return life_facts(x, cost.costs(x), {})["speculation_gain"]


def second_year_over_first(name):
    x = values(name)
    one, two = (serving_usd({**x, "horizon_months": months}) for months in (12.0, 24.0))
    return (two - one) / one


def tokens_and_bill_of_agents(name):
    x = values(name)
    single = {**x, "agent_multiplier": 1.0}
    tokens = [life_facts(each, cost.costs(each), {})["tokens_per_day"] for each in (x, single)]
    return tokens[0] / tokens[1], serving_usd(x) / serving_usd(single)


def bill_on_tpu(name):
    told = classify_file(FOLDER / f"{name}.yaml", None, now=NOW)
    [move] = [entry for entry in told.outlook.opportunities if entry.lever == "other-device"]
    [serving] = [line.usd.value for line in told.verdict.lines if line.what == "serving"]
    assert "tpu_v6e" in move.after
    return 1 - move.saving_usd_per_year.value * told.horizon_months / 12 / serving


def share_of_inference(name):
    return classify_file(FOLDER / f"{name}.yaml", None, now=NOW).verdict.shares["inference"].value


def quoted(claim, said):
    [row] = [line for line in README.splitlines() if f"`{claim}-holds.yaml`" in line]
    return said in row


CLAIMS = {
    "quantization": (cut_by_quantizing, 0.6, 0.7, units.percent, "{} less"),
    "speculation": (gain_of_drafting, 2.0, 3.0, units.number, "{} times"),
    "gpu-to-tpu": (bill_on_tpu, 0.28, 0.38, units.percent, "to {}"),
    "share-of-inference": (share_of_inference, 0.8, 0.9, units.percent, "{}:"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_holds_in_one_workload_and_not_in_the_other_and_the_readme_quotes_both(claim):
    work_out, low, high, told, words = CLAIMS[claim]

    holds, fails = work_out(f"{claim}-holds"), work_out(f"{claim}-fails")

    assert low <= holds <= high
    assert not low <= fails <= high
    assert quoted(claim, words.format(told(holds))) and quoted(claim, words.format(told(fails))), (told(holds), told(fails))


def test_prices_of_tokens_fall_tenfold_a_year_and_those_of_devices_do_not():
    tokens, devices = (second_year_over_first(f"falling-prices-{name}") for name in ("holds", "fails"))

    assert 0.1 == pytest.approx(tokens, rel=1e-6) and 1 == pytest.approx(devices)
    assert quoted("falling-prices", "10 % of the first") and quoted("falling-prices", "100 %:")


def test_agents_multiply_tokens_by_ten_or_more_and_the_bill_with_them_only_where_tokens_are_paid():
    assert (15, 15) == pytest.approx(tokens_and_bill_of_agents("agents-holds"))
    assert (4, 1) == pytest.approx(tokens_and_bill_of_agents("agents-fails"))
    assert quoted("agents", "15 times the tokens and 15 times the bill") and quoted(
        "agents", "4 times the tokens and once the bill"
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_is_told_of_in_the_readme_and_is_answered(path):
    assert f"`{path.name}`" in README
    assert path.stem == read_workload(path).name

    assert classify_file(path, None, now=NOW).headline
