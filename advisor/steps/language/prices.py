"""Which APIs the traffic of a language model is priced at, beside devices: those that the workload names, its family's, the cheapest."""

from collections.abc import Iterator

from advisor.files.catalog import read_token_price, read_token_prices
from advisor.schema.catalog import TokenPrice
from advisor.schema.language import Architecture
from advisor.schema.workload import GenerationWorkload, Lifecycle, LifeOptions, LifeServing
from advisor.units import parse_moment

ANSWERING = ("chat", "responses")
# Families by the beginning of the names of their classes in transformers and of their models at vendors.
FAMILIES = {
    "deepseek": "deepseek",
    "glm": "glm",
    "gptoss": "gpt-oss",
    "gemma": "gemma",
    "kimi": "kimi",
    "llama": "llama",
    "minimax": "minimax",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "qwen": "qwen",
}
MOST_OF_FAMILY, MOST_OTHERS = 2, 2
# A prompt and an answer as far as a price list is sorted by them, where a trace has the lengths.
USUAL_INPUT, USUAL_OUTPUT = 1000, 200
ANOTHER = "prices of APIs are of other models where no list has this one: their quality is not compared here"


def token_prices_beside(
    model: Architecture, workload: GenerationWorkload, *, now: str
) -> tuple[tuple[TokenPrice, ...], tuple[str, ...]]:
    """Return the prices to compare with, those that the workload names first, and what is to be said of them."""
    now = parse_moment(now)
    named = tuple(read_token_price(name) for name in _named(workload.lifecycle or Lifecycle()))
    listed = sorted(_on_sale(now), key=lambda price: _usd(price, workload))
    family = _family_of(model)
    kin = [price for price in listed if family is not None and price.model.startswith(family)][:MOST_OF_FAMILY]
    # Of each vendor one: the cheapest models of a list are mostly names of the same.
    others = list({price.provider: price for price in reversed(listed)}.values())[::-1]
    cheapest = sorted(others, key=lambda price: _usd(price, workload))[:MOST_OTHERS]
    found = tuple({(price.provider, price.model): price for price in (*named, *kin, *cheapest)}.values())
    return found, (ANOTHER,) if found else ()


def _named(life: Lifecycle) -> Iterator[str]:
    names = ((life.serving or LifeServing()).api_model, (life.options or LifeOptions()).alternative_api)
    yield from (name for name in names if name is not None)


def _on_sale(now: str) -> Iterator[TokenPrice]:
    """Yield the models that answer in text and are sold today."""
    for price in read_token_prices():
        is_retired = price.deprecated is not None and price.deprecated <= now[:10]
        if price.mode in ANSWERING and price.usd_per_million_output_tokens is not None and not is_retired:
            yield price


def _usd(price: TokenPrice, workload: GenerationWorkload) -> float:
    """Return what a million requests of the median lengths cost."""
    tokens = workload.tokens
    read, made = (tokens.input.p50, tokens.output.p50) if tokens is not None else (USUAL_INPUT, USUAL_OUTPUT)
    return read * price.usd_per_million_input_tokens + made * (price.usd_per_million_output_tokens or 0.0)


def _family_of(model: Architecture) -> str | None:
    """Return how a vendor's names of models of this family begin."""
    name = model.architecture.lower()
    return next((vendor for ours, vendor in FAMILIES.items() if name.startswith(ours)), None)
