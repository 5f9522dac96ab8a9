"""Every step that writes a time stamp refuses, before it does anything, what is no time."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import pytest

from advisor import steps
from advisor.errors import InputError


def _that_take_a_time() -> dict[str, Callable[..., Any]]:
    """Return the public functions of all steps that have a parameter `now`."""
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(steps.__path__, f"{steps.__name__}.")]
    return {
        f"{module.__name__}.{name}": function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and "now" in inspect.signature(function).parameters
    }


STEPS = _that_take_a_time()


def test_steps_that_take_a_time_are_found() -> None:
    assert {"advisor.steps.profile.profile", "advisor.steps.advise.advise_on"} < set(STEPS)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("senseless", ["benchmark", "", "2026-11-31T00:00:00+00:00"])
def test_what_is_no_time_is_refused_at_the_border(step: str, senseless: str) -> None:
    required = {
        name: None
        for name, parameter in inspect.signature(STEPS[step]).parameters.items()
        if parameter.default is parameter.empty
    }

    with pytest.raises(InputError, match=re.escape(f"{senseless!r} is not a time")):
        STEPS[step](**(required | {"now": senseless}))
