"""Advice of every kind that tests read: services, language models, batch jobs, and every scenario that comes with advisor, classified."""

from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from advisor.decide.advice.advise import advise
from advisor.schema.advice import Advice
from advisor.schema.generation import GenerationAdvice
from advisor.schema.profile import Profile
from advisor.schema.record import Record
from advisor.steps.advise import rules_with
from advisor.steps.classify import classify_file
from tests.decide import test_offline as jobs
from tests.decide.advice.test_advise import a_question
from tests.decide.generation import test_advise as decoders
from tests.decide.generation.elsewhere import test_advise as elsewhere
from tests.lives import MARKET
from tests.profiles import fixed_cost_law, profile, request

NOW = "2026-11-22T07:43:23Z"
SEEDS = range(2000, 2012)
ROOT = Path(__file__).parents[1]
SCENARIOS, PORTFOLIO = ROOT / "examples" / "scenarios", ROOT / "examples" / "portfolio" / "platform-team.yaml"
ITEMS = (1_000, 20_000, 100_000, 400_000)


class Behind(NamedTuple):
    """Advice and the profile that it rests on."""

    advice: Advice
    profile: Profile


@cache
def behind(seed: int) -> Behind:
    """Advice on a random profile and workload, at a random price."""
    random = Random(seed)
    measured, asked = a_question(random)
    price = 10 ** random.uniform(-3, 2)
    asked = replace(asked, hardware=replace(asked.hardware, price_usd_per_hour={"local": price}))
    return Behind(advise(measured, request(asked, measured, market=MARKET, rules=rules_with(None, now=NOW)), None), measured)


def priced(seed: int) -> Advice:
    """Advice on a random profile and workload, at a random price."""
    return behind(seed).advice


@cache
def chats() -> tuple[GenerationAdvice, ...]:
    """Advice on a decoder at three rates, measured steadily and otherwise."""
    found = []
    steady, noisy = decoders.measured(), decoders.measured(levels=decoders.NOISY)
    for requests_per_s, measured in ((5.0, steady), (80.0, noisy), (200.0, steady)):
        asked = decoders.workload(requests_per_s, quality=decoders.FLOOR, brings=decoders.tokens(100, 20))
        found.append(decoders.advised(asked, measured))
    return tuple(found)


@cache
def others() -> dict[str, Record]:
    """Advice on language models elsewhere and on batch jobs, and every scenario classified."""
    found: dict[str, Record] = {f"elsewhere {rate}": elsewhere.advised(elsewhere.chat(rate)) for rate in (30.0,)}
    quick = profile(fixed_cost_law(0.002, 0.004), settings=((1, 1), (1, 2)))
    found |= {f"job {items}": jobs.advised(quick, jobs.job(items)) for items in ITEMS}
    return found | {path.stem: classify_file(path, None, now=NOW) for path in sorted(SCENARIOS.glob("*.yaml"))}
