"""The policy of a pipeline, from its file or as it comes with advisor."""

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from advisor.errors import InputError
from advisor.files.records import read_yaml
from advisor.schema.gate.policy import FallLimit, Limit, Policy, QualityLimit, RiseLimit, TargetLimit, ValidityLimit

BOUNDS = {
    RiseLimit: ("max_increase", "max"),
    FallLimit: ("max_decrease", "min"),
    QualityLimit: ("max_drop", "min", "max"),
    ValidityLimit: ("min",),
}


def read_policy(path: Path) -> Policy:
    """Return the policy in a YAML file; raise InputError for a limit without a figure, and for two that contradict each other."""
    policy = read_yaml(path, Policy, what="policy")
    if not any(True for _ in _limits(policy)):
        raise InputError(f"{path}: holds no limit", hint="write one, such as cost_usd_per_month: {max_increase: 5 %}")
    for name, limit in _limits(policy):
        _check(path, name, limit)
    return policy


def usual_policy() -> Policy:
    """Return the policy that comes with advisor, with limits for advice of every kind."""
    with as_file(files("advisor.catalog").joinpath("policy.yaml")) as path:
        return read_yaml(path, Policy, what="policy")


def _limits(policy: Policy) -> Iterator[tuple[str, Limit]]:
    for name in policy.__struct_fields__:
        limit = getattr(policy, name)
        if limit is not None:
            yield name, limit


def _check(path: Path, name: str, limit: Limit) -> None:
    if isinstance(limit, TargetLimit):
        return
    bounds = BOUNDS[type(limit)]
    if all(getattr(limit, bound) is None for bound in bounds):
        raise InputError(f"{path}: {name}: names no limit", hint=f"give one of: {', '.join(bounds)}")
    if isinstance(limit, QualityLimit) and limit.min is not None and limit.max is not None:
        raise InputError(
            f"{path}: {name}: min and max contradict each other: a metric drops or rises as quality is lost",
            hint="give min for a metric such as accuracy, max for one such as perplexity",
        )
