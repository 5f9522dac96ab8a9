"""ONNX Runtime says nothing to the terminal: what it has to say of a file is in the error that it raises."""

import subprocess
import sys

# In the place of the package: it warns as it is imported on a machine with a graphics card that it cannot read, and later unless told.
CHATTY = """
import os
def warn(): os.write(2, b"[W:onnxruntime:Default, device_discovery.cc:164] GPU device discovery failed\\n")
level = 2
warn()
def set_default_logger_severity(wanted):
    global level
    level = wanted
def disable_telemetry_events(): pass
def get_available_providers():
    if level < 4:
        warn()
    return ["CPUExecutionProvider"]
"""
ASK = "from advisor.measure.runtime import ort_session; print(ort_session.providers()[0])"


def test_what_it_warns_of_while_it_is_imported_and_later_reaches_nobody(tmp_path):
    (tmp_path / "onnxruntime.py").write_text(CHATTY)
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {ASK}"]

    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ("CPUExecutionProvider\n", "") == (ran.stdout, ran.stderr)
