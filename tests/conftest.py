"""What holds for every test: none fails because the machine that it runs on is slow or busy, and none changes how signals are met."""

import gc
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import SHARED

# Modules that take longest. They are begun first, so that none is still at work when all others are done.
LONGEST = (
    "test_cluster",
    "test_benchmarks",
    "test_cli",
    "test_recommend",
    "test_packaging",
    "test_screening",
    "test_mutation",
    "test_profiler",
    "test_telemetry",
)

settings.register_profile("any machine", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives to the end: to look through it for garbage again and again takes a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules that take longest before the others; within a module, and among the others, nothing changes place."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


# As a process at a terminal has them: who puts the tests into the background has some of them ignored, in what tests start as well.
SIGNALS = {
    signal.SIGINT: signal.default_int_handler,
    **dict.fromkeys((signal.SIGTERM, signal.SIGHUP, signal.SIGALRM), signal.SIG_DFL),
}


def _as_at_a_terminal() -> None:
    for number, handler in SIGNALS.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def signals_as_before():
    """A command that was run in this process, in a test or a fixture of a module, leaves it deaf to what ends processes."""
    _as_at_a_terminal()
    yield
    _as_at_a_terminal()


@pytest.fixture(scope="session", autouse=True)
def _no_process_is_left():
    yield
    SHARED.end()
