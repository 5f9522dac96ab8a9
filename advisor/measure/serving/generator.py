"""The process that sends requests at times fixed beforehand, whatever the server does: an open loop, so no coordinated omission.

Writes the number of each request to stdout, eight bytes little-endian, when it is due.
"""

import sys
import time
from pathlib import Path

import numpy as np

from advisor.measure.runtime import machine


def main() -> None:
    """Send as `argv` asks: file of due times (requests,) in seconds after the start, file for the times sent, start on time.monotonic."""
    machine.wake_punctually()
    due_s = np.load(sys.argv[1])
    start_s = float(sys.argv[3])
    sent_s = np.empty_like(due_s)
    out = sys.stdout.buffer
    for number, due in enumerate((due_s + start_s).tolist()):
        # Sleeping to the last instant: a spinning generator would take a core from the server it measures.
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        out.write(number.to_bytes(8, "little"))
        out.flush()
        sent_s[number] = time.monotonic()
    np.save(Path(sys.argv[2]), sent_s - start_s)


if __name__ == "__main__":
    main()
