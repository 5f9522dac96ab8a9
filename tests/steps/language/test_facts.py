"""What a configuration says of weights and cache, by kind of layer."""

from pathlib import Path

import pytest

from advisor.measure.architecture.config import read_architecture
from advisor.steps.language.facts import facts_of
from tests.steps.language.test_advise import CONFIGS


@pytest.mark.parametrize(
    ("name", "weights", "kv"),
    [
        ("llama-3.1-8b", 16.06e9, 131_072),
        ("llama-3.1-70b", 141.1e9, 327_680),
        ("qwen3-30b-a3b", 61.1e9, 98_304),
        ("deepseek-v3", None, 70_272),
    ],
)
def test_the_cache_of_a_token_is_that_of_all_layers(name, weights, kv):
    facts = facts_of(read_architecture(CONFIGS / f"{name}.json"))

    assert kv == facts.kv_bytes_per_token == sum(entry.kv_bytes_per_token for entry in facts.kv_by_layers)
    assert weights is None or weights == pytest.approx(facts.weight_bytes, rel=0.01)


def test_each_kind_of_layer_has_its_own(tmp_path):
    facts = facts_of(read_architecture(Path(CONFIGS) / "gpt-oss-20b.json"))

    assert 2 == len(facts.kv_by_layers) and facts.kv_bytes_per_token > 0
