"""The kernels that come with advisor, in the form in which the decision asks for the steps of a replica."""

import functools

from advisor.decide.generation.elsewhere.steps import StepsOf
from advisor.decide.generation.projection.step_model import Foundations, StepModel
from advisor.files.kernel_tables import read_kernel_tables


def steps_of_catalog() -> StepsOf:
    """Return what makes the model of a replica's steps; the tables are read once, and replicas on one device share its kernels."""
    return functools.partial(StepModel, foundations=Foundations(read_kernel_tables()))
