"""Recorded requests. With NumPy, which those who ask about a rate alone do without, so not among the workload's other records."""

import numpy as np

from advisor.schema.record import Record


class Trace(Record, frozen=True, kw_only=True):
    """Recorded requests: ascending arrival times, and lengths if they were recorded; `notes` say how the file was read."""

    arrival_s: np.ndarray  # (requests,)
    sequence_length: np.ndarray | None  # (requests,)
    notes: tuple[str, ...] = ()
    sha256: str = ""  # of the file as it is stored


class Requests(Record, frozen=True, kw_only=True):
    """Recorded requests to a generative model: ascending arrival times, and how many tokens each brought and got.

    Both lengths are None where the workload gives them itself: of the trace its times alone count then.
    """

    arrival_s: np.ndarray  # (requests,)
    input_tokens: np.ndarray | None  # (requests,) of the prompt, whole
    output_tokens: np.ndarray | None  # (requests,) at least one each
    notes: tuple[str, ...] = ()
    sha256: str = ""  # of the file as it is stored
