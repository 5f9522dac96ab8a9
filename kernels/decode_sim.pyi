from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PREFILL_FIRST: int
CHUNKED: int
MIXED: int

class Served(NamedTuple):
    first_token_s: NDArray[np.float64]  # (requests,) when each had its first token
    last_token_s: NDArray[np.float64]  # (requests,) when each had its last token
    arrived_s: NDArray[np.float64]  # (requests,) when each arrived
    longest_gap_s: NDArray[np.float64]  # (requests,) the longest time between two tokens of each; 0 with one token
    preemptions: NDArray[np.int64]  # (requests,) how often each was preempted
    steps: int  # that were taken
    prefill_s: float  # of reading prompts; of a mixed step its part by the terms of its cost, the constant not counted
    decode_s: float  # of decoding; with prefill_s the time that the replica was busy
    idle_s: float  # that nobody was there
    running_integral: float  # requests x s that they ran: over end_s, how many ran on average
    waiting_integral: float  # requests x s that they waited for their admission
    kv_peak_tokens: int  # the most that the cache held, the shared prefix counted
    end_s: float  # when the last request was finished

def simulate(
    arrival_s: NDArray[np.float64],
    input_tokens: NDArray[np.int64],
    output_tokens: NDArray[np.int64],
    prefix_hit_tokens: NDArray[np.int64],
    *,
    prefill_cost: NDArray[np.float64],
    decode_cost: NDArray[np.float64],
    mixed_cost: NDArray[np.float64] | None = None,
    decode_extra_s: NDArray[np.float64] | None = None,
    token_extra_s: NDArray[np.float64] | None = None,
    policy: int,
    max_running_requests: int,
    chunk_tokens: int = 0,
    kv_tokens: int,
    shared_prefix_tokens: int = 0,
    step_factors: NDArray[np.float64],
    stall_at_s: NDArray[np.float64] | None = None,
    stall_s: NDArray[np.float64] | None = None,
    clients: int = 0,
    think_s: NDArray[np.float64] | None = None,
) -> Served: ...
