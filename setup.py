"""The compiled half of the build; everything else is in pyproject.toml."""

from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup

# Named one by one: a glob over absent sources builds a package without kernels and without an error.
KERNELS = ("queue_sim", "decode_sim", "search", "pareto", "core_ping")


def extension(kernel: str) -> Extension:
    """Return the build of kernels/`kernel`.pyx as advisor.kernels.`kernel`."""
    source = Path("kernels", f"{kernel}.pyx")
    if not source.is_file():
        raise SystemExit(
            f"{source} is missing: the kernels are never left out; restore the file or take its name out of setup.py"
        )
    return Extension(
        f"advisor.kernels.{kernel}",
        [str(source)],
        include_dirs=[np.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        # No -march=native: a wheel runs on machines other than the one that built it. No debug symbols: they are most of a file.
        extra_compile_args=["-O3", "-g0"],
    )


setup(
    ext_modules=cythonize([extension(kernel) for kernel in KERNELS], build_dir="build/cython", language_level=3),
    options={"build_ext": {"parallel": len(KERNELS)}},
)
