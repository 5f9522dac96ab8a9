"""A smaller decoder as a draft, really served with and without, for one request and for eight; and whether the advice is what follows."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from advisor.decide.generation.summaries import Speedups
from advisor.files.records import read_json
from advisor.measure.generation.making import described
from advisor.measure.generation.openvino.engine import Draft, engine_time, version
from advisor.measure.generation.openvino.export import Scheme, write_openvino
from advisor.measure.generation.openvino.speculation import Engines, open_engines, pairs, speculation
from advisor.measure.generation.tokenizing import read_windows
from advisor.measure.quality import learned
from advisor.measure.runtime.machine import core_count
from advisor.schema.distillation import Distilled
from advisor.schema.generation import Clock, Speculation
from advisor.steps.distillation.of_decoders import drafted_tokens
from advisor.steps.distillation.students import LABEL
from harness import Figures, Size, Unknown

FORM: Scheme = "int8-weight-only"  # of both, as `advisor recommend` tries them
LOADS = (1, 8)
PROMPT_TOKENS, CONTEXT_TOKENS = 48, 256
ANSWER_TOKENS: dict[Size, dict[int, int]] = {"full": {1: 48, 8: 32}, "quick": {1: 32, 8: 20}, "tiny": {1: 4, 8: 4}}
ROUNDS: dict[Size, int] = {"full": 8, "quick": 4, "tiny": 3}
KEYS = ("acceptance", *(f"{key}_{load}" for load in LOADS for key in ("speed_ratio", "advised", "advice_agrees")))
USES = {"on": 1.0, "off": 0.0}


class Asked(NamedTuple):
    """Which draft of which model, on what text, by which clock."""

    model: Path
    draft: Path
    text: Path | None  # None: tokens at random
    clock: Clock
    size: Size


def not_drafted(reason: str) -> Figures:
    """Return the figures where no draft was tried."""
    return dict.fromkeys(KEYS, Unknown(reason))


def drafted(asked: Asked, folder: Path) -> tuple[Figures, list[dict[str, Any]]]:
    """Return the figures of a draft and a row for each load; what is advised follows from some rounds, the figures are of others."""
    if version() is None:
        return not_drafted("OpenVINO's engine is not installed: pip install 'serving-advisor[openvino]'"), []
    facts, smaller = described(asked.model), described(asked.draft)
    label = asked.draft / LABEL
    accepted = read_json(label, Distilled, made_by="advisor distill").outcome.accepted if label.is_file() else ()
    count = drafted_tokens(accepted, smaller.parameters / facts.parameters)
    for name, place in (("model", asked.model), ("draft", asked.draft)):
        write_openvino(place, folder / name, scheme=FORM, max_tokens=min(CONTEXT_TOKENS, facts.context_tokens))
    prompts = _prompts(asked, facts.vocabulary)
    engines = open_engines(
        folder / "model",
        threads=core_count(),
        most_running=max(LOADS),
        longest_prompt=max(map(len, prompts)),
        output_tokens=max(ANSWER_TOKENS[asked.size].values()),
        proposer=Draft(folder / "draft", count),
    )
    half = len(prompts) // 2
    known, again = ({load: _measured(asked, engines, part, load) for load in LOADS} for part in (prompts[:half], prompts[half:]))
    advised = Speedups([known[load] for load in LOADS])
    figures: Figures = {"acceptance": again[1].acceptance.value if again[1].acceptance else Unknown("not measured")}
    rows = []
    for load in LOADS:
        use, speedup = advised.use(load), again[load].speedup
        figures[f"speed_ratio_{load}"] = speedup.value
        figures[f"advised_{load}"] = USES.get(use, Unknown("not shown either way"))
        figures[f"advice_agrees_{load}"] = float(not ((use == "on" and speedup.high < 1) or (use == "off" and speedup.low > 1)))
        rows += [_row(name, found[load], use) for name, found in (("advised by", known), ("measured", again))]
    return figures, rows


def _prompts(asked: Asked, vocabulary: int) -> list[np.ndarray]:
    """Return prompts, twice as many as rounds at the largest load need: texts that the draft did not learn from."""
    count = 2 * ROUNDS[asked.size] * max(LOADS)
    if asked.text is None:
        random = np.random.default_rng(0)
        return [random.integers(0, vocabulary, size=PROMPT_TOKENS // 2, dtype=np.int64) for _ in range(count)]
    windows = read_windows(
        asked.model,
        asked.text,
        window_tokens=PROMPT_TOKENS,
        most_tokens=count * PROMPT_TOKENS,
        vocabulary=vocabulary,
        seed=0,
        learned=learned.read(asked.draft) or b"",
    )
    found = [np.array(tokens, dtype=np.int64) for tokens in windows.tokens]
    return [found[place % len(found)] for place in range(count)]


def _measured(asked: Asked, engines: Engines, prompts: Sequence[np.ndarray], load: int) -> Speculation:
    clock = engine_time(engines.off.threads) if asked.clock == "cpu" else None
    return speculation(
        list(
            pairs(
                engines,
                prompts,
                running=load,
                output_tokens=ANSWER_TOKENS[asked.size][load],
                rounds=ROUNDS[asked.size],
                clock=clock or time.perf_counter,
            )
        ),
        text="given",
        draft=asked.draft.name,
        running=load,
        proposed_tokens=engines.on.proposed,
        clock=asked.clock,
    )


def _row(name: str, found: Speculation, use: str) -> dict[str, Any]:
    accepted, speedup = found.acceptance, found.speedup
    return {
        "rounds": name,
        "running": found.running_requests,
        "draft_tokens": found.proposed_tokens,
        "acceptance": None if accepted is None else accepted.value,
        "tokens_per_step": found.tokens_per_step.value,
        "tpot_off_s": found.tpot_off_s.value,
        "tpot_on_s": found.tpot_on_s.value,
        "speed_ratio": speedup.value,
        "speed_ratio_low": speedup.low,
        "speed_ratio_high": speedup.high,
        "advised": use,
    }
