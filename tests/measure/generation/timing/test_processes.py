"""Processes of variants: each has what its engine is asked, and all are open at once only where memory holds them."""

import pytest

from advisor.measure.generation import variant_process
from advisor.measure.generation.openvino import profiling
from advisor.measure.generation.timing.processes import COPIES_OF_WEIGHTS, MEMORY_SHARE, Variants
from advisor.measure.generation.variant_process import Setting
from advisor.measure.timing.ledger import Ledger
from tests.generation_profiles import profile

FACTS = profile().model
WEIGHTS_BYTES, SLOTS, MAX_TOKENS = 1000, 8, 1000
SETTING = Setting(intra_op_num_threads=1, slots=SLOTS, max_tokens=MAX_TOKENS)


@pytest.fixture
def variants(tmp_path):
    """Return what makes the processes of two variants, by the memory that is free."""
    folders = {name: tmp_path / name for name in ("fp32", "openvino-fp32")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "weights").write_bytes(bytes(WEIGHTS_BYTES))

    def made(free_bytes=None):
        return Variants(
            folders,
            Ledger(60.0),
            slots=SLOTS,
            max_tokens=MAX_TOKENS,
            threads=(1, 2),
            engines={"openvino-fp32": "openvino"},
            free_bytes=lambda: free_bytes,
        )

    return made


def test_each_variant_is_asked_by_its_engine(variants):
    assert variant_process.visited is variants().process("fp32").visited
    assert profiling.visited is variants().process("openvino-fp32").visited


def test_all_are_open_at_once_where_memory_holds_each_on_all_of_its_threads(variants):
    caches = (SLOTS * MAX_TOKENS, profiling.cache_tokens(SETTING))
    on_one = sum(COPIES_OF_WEIGHTS * WEIGHTS_BYTES + tokens * FACTS.kv_bytes_per_token for tokens in caches)
    settings = [("fp32", 1), ("openvino-fp32", 1)]

    for enough, fits in ((0.99, False), (1.01, True)):
        free_bytes = int(enough * on_one / MEMORY_SHARE)
        assert fits is variants(free_bytes).fit_together(FACTS, settings)
        assert not variants(free_bytes).fit_together(FACTS)
        assert fits is variants(2 * free_bytes).fit_together(FACTS)
    assert variants(None).fit_together(FACTS)
