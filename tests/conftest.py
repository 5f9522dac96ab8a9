"""What holds for every test: none fails because the machine that it runs on is slow or busy."""

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import SHARED

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def _no_process_is_left():
    yield
    SHARED.end()
