"""The facts of a decoder, and what the profile of one holds, as plain text for a terminal."""

from advisor import units
from advisor.inert.text import inert
from advisor.schema.generation import DecodePoint, DecoderFacts, GenerationSite, MixedPoint, PrefillPoint
from advisor.tell.generation.naming import cache_of_a_token, layers, room_of_a_request
from advisor.tell.generation.tables import GIVEN_AS


def decoder_lines(facts: DecoderFacts) -> list[str]:
    """Return the facts of a decoder, a line each."""
    window = "" if facts.window_tokens is None else f", attention looks back {facts.window_tokens:,}"
    each = f"{cache_of_a_token(facts)} per token" if facts.encoder is None else f"per token {cache_of_a_token(facts)}"
    most_bytes = units.size(facts.kv_bytes_per_token * facts.context_tokens)
    rows = (
        ("model", f"{facts.architecture}, given as {GIVEN_AS[facts.given_as]} (sha256 {facts.sha256[:12]})"),
        ("weights", f"{units.count(facts.parameters)} parameters in {layers(facts)}, vocabulary {facts.vocabulary:,}"),
        (
            "attention",
            f"{facts.attention_heads} heads of {facts.head_dimension}, {facts.kv_heads} of keys and values, hidden size "
            f"{facts.hidden_size:,}",
        ),
        ("context", f"{room_of_a_request(facts)}{window}"),
        ("KV cache", f"{each}, {most_bytes} for a request that fills the context"),
    )
    return [f"{name:<9} {value}" for name, value in rows]


def site_words(site: GenerationSite, *, is_only: bool) -> str:
    """Describe what one machine measured of a decoder."""
    points: list[PrefillPoint | DecodePoint | MixedPoint] = [*site.prefill, *site.decode, *site.mixed]
    steps = sum(len(visit.wall_s) for point in points for visit in point.visits)
    noise = f", noise floor {units.percent(site.noise_fraction)}" if site.noise_fraction is not None else ""
    where = "" if is_only else f"{inert(site.hardware.id)}, "
    return (
        f"{where}{units.counted(len(site.variants), 'variant')}, {len(points)} points, {steps:,} steps "
        f"in {units.seconds(site.measuring_s)}{noise}"
    )
