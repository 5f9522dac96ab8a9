"""The few ways in which advisor refuses to go on, each with a way out for the user."""


class AdvisorError(Exception):
    """A fault that the user can mend: what is wrong and where, and the way out."""

    def __init__(self, fault: str, *, hint: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.hint = hint


class InputError(AdvisorError):
    """A file, a key or a value that the user gave is wrong."""


class ModelError(AdvisorError):
    """The model cannot be read, exported or run."""


class MissingDependencyError(AdvisorError):
    """A package of an optional extra is needed and absent."""
