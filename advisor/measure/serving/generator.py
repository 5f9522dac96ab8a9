"""The process that sends requests at times fixed beforehand, whatever the server does: an open loop, so no coordinated omission.

Writes the number of each request to stdout, eight bytes little-endian, when it is due.
"""

import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from advisor.measure.runtime import machine, stalls


def main() -> None:
    """Send as `argv` asks: file of due times (requests,) in seconds after the start, file for the times sent, start on time.monotonic.

    The last argument is the file for what a watcher of the clock saw meanwhile, in JSON.
    """
    machine.end_with_parent()
    machine.wake_punctually()
    due_s = np.load(sys.argv[1])
    start_s = float(sys.argv[3])
    sent_s = np.empty_like(due_s)
    with stalls.beside() as seen:
        _send((due_s + start_s).tolist(), sent_s)
    np.save(Path(sys.argv[2]), sent_s - start_s)
    Path(sys.argv[4]).write_bytes(msgspec.json.encode(seen))


def _send(due_s: list[float], sent_s: np.ndarray) -> None:
    out = sys.stdout.buffer
    for number, due in enumerate(due_s):
        # Sleeping to the last instant: a spinning generator would take a core from the server it measures.
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        out.write(number.to_bytes(8, "little"))
        out.flush()
        sent_s[number] = time.monotonic()


if __name__ == "__main__":
    main()
