"""What a student is worth as a draft: how many of its tokens in a row its teacher would have said too. A doorway to `torch`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from advisor.measure.quality.evaluation import BOOTSTRAP_DRAWS, LEVEL
from advisor.measure.runtime.ort_session import Say
from advisor.schema.distillation import Accepted
from advisor.schema.record import Estimate

PROMPTS, PROMPT_TOKENS, ANSWER_TOKENS = 16, 32, 48
FEWEST_PROMPT_TOKENS = 4
DRAFT_TOKENS = (1, 2, 3, 4, 5, 8)


def measured(student: Any, teacher: Any, texts: Sequence[Sequence[int]], seed: int, say: Say) -> tuple[Accepted, ...]:
    """Return tokens a step by how many are drafted, on greedy answers of the teacher to the beginnings of texts (ids); none without any."""
    prompts = [list(ids[: min(PROMPT_TOKENS, len(ids))]) for ids in texts if len(ids) >= FEWEST_PROMPT_TOKENS][:PROMPTS]
    agreed = []
    for number, prompt in enumerate(prompts, 1):
        say(f"trying the student as a draft, text {number} of {len(prompts)}")
        found = _agreed(student, teacher, prompt)
        if len(found):
            agreed.append(found)
    if len(agreed) < 2:
        return ()
    return tuple(Accepted(draft_tokens=count, tokens_per_step=_estimated(agreed, count, seed)) for count in DRAFT_TOKENS)


def _agreed(student: Any, teacher: Any, prompt: list[int]) -> np.ndarray:
    """Return for each token of the teacher's answer (tokens,) whether the student, behind all before it, would say the same.

    As long as every token is accepted, what the student reads is the teacher's answer: one pass over that shows all runs.
    """
    import torch

    asked = torch.tensor([prompt])
    room = getattr(teacher.config, "max_position_embeddings", None) or len(prompt) + ANSWER_TOKENS
    count = min(ANSWER_TOKENS, room - len(prompt))
    if count < 1:
        return np.zeros(0, dtype=bool)
    with torch.no_grad():
        whole = teacher.generate(
            asked, attention_mask=torch.ones_like(asked), max_new_tokens=count, do_sample=False, pad_token_id=0
        )
        said = student(input_ids=whole).logits[0].argmax(dim=-1)
    return np.asarray((said[len(prompt) - 1 : -1] == whole[0, len(prompt) :]).numpy())


def steps_of(agreed: np.ndarray, count: int) -> tuple[int, int]:
    """Return the tokens that steps made and how many steps, where each drafts so many: those that are accepted, and one of the teacher's.

    Steps that the end of the answer cut short do not count.
    """
    tokens = steps = place = 0
    while place + count < len(agreed):
        wrong = np.flatnonzero(~agreed[place : place + count])
        made = 1 + (int(wrong[0]) if len(wrong) else count)
        tokens, steps, place = tokens + made, steps + 1, place + made
    return tokens, steps


def _estimated(agreed: Sequence[np.ndarray], count: int, seed: int) -> Estimate:
    """Return the mean tokens a step with its interval, a bootstrap over texts."""
    made = np.array([steps_of(found, count) for found in agreed])
    random = np.random.default_rng(seed)
    drawn = made[random.integers(0, len(made), size=(BOOTSTRAP_DRAWS, len(made)))].sum(axis=1)
    value = made[:, 0].sum() / max(made[:, 1].sum(), 1)
    low, high = np.quantile(drawn[:, 0] / np.maximum(drawn[:, 1], 1), (LEVEL, 1 - LEVEL))
    source = f"greedy answers to {len(agreed)} texts that were held out, bootstrap over texts"
    return Estimate(value=float(value), low=float(min(low, value)), high=float(max(high, value)), basis="measured", source=source)
