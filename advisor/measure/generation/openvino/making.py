"""The forms of a checkpoint in OpenVINO: written beside the profile, kept as long as they are what would be written again."""

from pathlib import Path

import msgspec

from advisor import __version__
from advisor.disk.writing import write_atomically
from advisor.measure.decoder.decoder_folder import read_label
from advisor.measure.generation.making import MARK, Made, Mark
from advisor.measure.generation.openvino.export import SCHEMES, Scheme, is_still, write_openvino
from advisor.measure.model import kept_files

# What a form is called, and the scheme that it is written under.
FORMS: dict[str, Scheme] = {f"openvino-{scheme}": scheme for scheme in SCHEMES}
EXACT = "openvino-fp32"  # computes what the checkpoint does
TITLES = {
    EXACT: "32-bit floats, for OpenVINO's engine",
    "openvino-int8-weight-only": "weights in 8 bits, a scale for each output of a matrix, for OpenVINO's engine",
}


def made(checkpoint: Path, folder: Path, name: str, *, sha256: str, max_tokens: int) -> Made:
    """Return a form of the checkpoint, whose digest is `sha256`, in a folder of its name inside `folder`.

    One that an earlier run wrote is kept. Raises InputError for a checkpoint that is wrong or not modeled, MissingDependencyError without
    the extra.
    """
    place = folder / name
    recipe = kept_files.recipe((sha256, name, max_tokens, kept_files.versions_of("openvino", "numpy"), __version__))
    mark = _mark(place)
    if mark is None or mark.recipe != recipe or not is_still(place, mark.sha256):
        written = write_openvino(checkpoint, place, scheme=FORMS[name], max_tokens=max_tokens)
        mark = Mark(recipe=recipe, sha256=written.sha256)
        write_atomically(place / MARK, msgspec.json.encode(mark) + b"\n")
    total = sum(path.stat().st_size for path in place.iterdir() if path.is_file())
    return Made(folder=place, sha256=mark.sha256, bytes=total, weight_bytes=read_label(place).weight_bytes)


def _mark(place: Path) -> Mark | None:
    """Return what lies in a folder that was made, None where that cannot be told."""
    try:
        return msgspec.json.decode((place / MARK).read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
