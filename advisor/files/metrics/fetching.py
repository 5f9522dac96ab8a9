"""The bytes of metrics: of a file, or, where the user names an address, fetched from there. Nothing else of advisor opens a connection."""

import re
import time
from pathlib import Path

from advisor.disk.reading import STANDARD_INPUT, refuse_special, standard_input
from advisor.errors import InputError
from advisor.inert.text import inert

MOST_BYTES = 16 * 2**20  # a server with thousands of series has a few MB
STEP_S, LONGEST_S = 10.0, 30.0  # to wait for any next bytes, and for all of them
PIECE_BYTES = 2**16
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_address(source: str) -> bool:
    """Return whether a source is an address and no file."""
    return ADDRESS.match(source) is not None


def read_source(source: str) -> tuple[bytes, float | None]:
    """Return the content of a file or an address, and when it was written or fetched, in seconds since 1970; None: unknown."""
    if is_address(source):
        return _fetched(source), time.time()
    path = Path(source)
    if path == STANDARD_INPUT:
        return _limited(standard_input(), source), None
    refuse_special(path, "--metrics")
    try:
        with path.open("rb") as file:
            return _limited(file.read(MOST_BYTES + 1), source), path.stat().st_mtime
    except FileNotFoundError:
        raise InputError(f"--metrics: {path}: no such file", hint="give a file, or the http:// address of a server") from None
    except (OSError, ValueError) as error:
        raise InputError(f"--metrics: {path}: {getattr(error, 'strerror', None) or error}", hint="name a file") from error


def _fetched(address: str) -> bytes:
    import http.client
    from urllib import error as errors
    from urllib import request
    from urllib.parse import urlsplit

    shown = inert(address)
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError as error:
        raise InputError(f"--metrics: {shown}: no address ({error})", hint="write it as http://host:port/metrics") from error
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise InputError(f"--metrics: {shown}: no address of http or https", hint="write it as http://host:port/metrics")
    if parts.username is not None:
        raise InputError("--metrics: an address with a name and a password", hint="fetch it with curl, and give the file")
    opener = request.OpenerDirector()  # without the handlers of files and FTP, which a server could redirect to
    for handler in (request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPRedirectHandler):
        opener.add_handler(handler())
    for last in (request.HTTPDefaultErrorHandler, request.HTTPErrorProcessor):
        opener.add_handler(last())
    deadline_s = time.monotonic() + LONGEST_S
    content = bytearray()
    try:
        with opener.open(address, timeout=STEP_S) as answer:
            while piece := answer.read1(PIECE_BYTES):
                content += piece
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"not complete after {LONGEST_S:g} s")
                _limited(bytes(content) if len(content) > MOST_BYTES else b"", address)
    except (errors.URLError, http.client.HTTPException, OSError, ValueError) as error:
        said = " ".join(str(getattr(error, "reason", None) or error).split())[:120]
        code = f"{error.code} " if isinstance(error, errors.HTTPError) else ""
        raise InputError(
            f"--metrics: {shown}: cannot be fetched ({code}{said or type(error).__name__})",
            hint="check the address, and that it can be reached from here; or fetch it with curl, and give the file",
        ) from error
    return bytes(content)


def _limited(content: bytes, source: str) -> bytes:
    if len(content) > MOST_BYTES:
        raise InputError(
            f"--metrics: {inert(source)}: more than {MOST_BYTES // 2**20} MiB", hint="query the few metrics that are needed"
        )
    return content
