"""Parts of the benchmarks that judge published measurements, as modules, and a model whose steps follow straight lines."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from advisor.decide.generation.service.step_time import Costs

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DECODE = np.array([5e-3, 2e-5, 3e-8])
READ = np.array([1e-3, 2e-5, 0.0])


def part(name: str) -> ModuleType:
    """Return a part of the benchmarks; they are in the checkout alone, not in the sdist."""
    if not BENCHMARKS.is_dir():
        pytest.skip("benchmarks are in the checkout alone, not in the sdist", allow_module_level=True)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(f"parts.{name}")
    finally:
        sys.path.remove(str(BENCHMARKS))


class StraightSteps:
    """Steps whose seconds are sums of straight lines, which the laws of the simulation hit exactly."""

    ground = "roofline"

    def __init__(self, slowness: float = 1.0, *, outside_s: float = 0.0, planned_steps: float = 0.0) -> None:
        self.slowness, self.outside_s, self.planned_steps = slowness, outside_s, planned_steps

    def decode_s(self, batch: np.ndarray, context_tokens: np.ndarray) -> np.ndarray:
        a, b, c = self.slowness * DECODE
        return np.asarray(a + b * np.asarray(batch) + c * np.asarray(context_tokens))

    def prefill_s(self, tokens: np.ndarray, past_tokens: np.ndarray, prompts: int = 1) -> np.ndarray:
        a, b, _ = self.slowness * READ
        return np.asarray(a + b * np.asarray(tokens) + 0.0 * np.asarray(past_tokens))

    def factors_of(self, figure: str) -> tuple[float, float]:
        return {"decode": (0.9, 1.2), "prefill": (0.5, 2.0), "batch": (0.8, 1.25)}[figure]

    def costs(
        self, draw: int | None, *, longest_context: int, max_running: int, token_budget: int = 1, kv_tokens: int | None = None
    ) -> Costs:
        times = self.slowness * (1.0 if draw is None else 0.9 + 0.01 * draw)
        mixed = np.array([*DECODE, *READ[1:]])
        return Costs(times * READ, times * DECODE, times * mixed, outside_s=self.outside_s, planned_steps=self.planned_steps)
