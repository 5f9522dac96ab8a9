"""What libraries in C write to stderr can be kept from the user, and only as long as that is asked for."""

import os

from advisor.measure.runtime.quiet import STDERR, without_native_words


def test_what_is_written_below_python_is_dropped_meanwhile(capfd):
    with without_native_words():
        os.write(STDERR, b"[W:onnxruntime:Default] no such card\n")
    os.write(STDERR, b"error: ours\n")

    assert "error: ours\n" == capfd.readouterr().err


def test_it_is_heard_again_after_a_failure(capfd):
    try:
        with without_native_words():
            raise ValueError
    except ValueError:
        os.write(STDERR, b"heard\n")

    assert "heard\n" == capfd.readouterr().err


def test_a_closed_stderr_stays_closed():
    kept = os.dup(STDERR)
    os.close(STDERR)
    try:
        with without_native_words():
            pass
        is_closed = not os.path.exists(f"/proc/self/fd/{STDERR}")
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)

    assert is_closed
