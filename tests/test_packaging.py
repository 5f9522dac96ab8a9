"""What users install, made by the real tools: sdist, wheel out of the sdist, and an editable install beside other packages."""

import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNELS = {"core_ping", "decode_sim", "pareto", "queue_sim", "search"}
DATA_SUFFIXES = {".json", ".csv", ".h", ".j2", ".py", ".pyi", ".pyx", ".yaml"}
# Folder of the checkout -> where it installs.
INSTALLED_AS = {"advisor": "advisor", "kernels": "advisor/kernels", "rules": "advisor/rules", "templates": "advisor/templates"}
# What a checkout has and a release has not.
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "*.egg-info", "*.so"
)
# `make test` builds both, the wheel out of the sdist, before it runs the tests: they are looked at, not built once more.
IS_BUILT = os.environ.get("ADVISOR_INSTALLED_AS") == "wheel"
# Loaded by the commands that need them and by no other.
HEAVY = {"jinja2", "onnx", "onnxruntime", "optimum", "psutil", "rich", "torch", "transformers"}


def _run(*command: str | Path, cwd: Path, check: bool = True, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run a tool without network; its words are part of the failure."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "PIP_", "PYTEST_"))}
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | {"PIP_NO_INDEX": "1", "PYTHONSAFEPATH": "1"} | changed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0 or not check, f"{command}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
    return ran


def _build(kind: str, source: Path, target: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    return _run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", target, source, cwd=target, check=check)


def _sources() -> dict[str, str]:
    """Return path in the checkout -> path in site-packages, of every file that must be installed."""
    return {
        path.relative_to(ROOT).as_posix(): f"{installed}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, installed in INSTALLED_AS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in DATA_SUFFIXES or path.name == "py.typed"
    }


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist that `make test` has just built; elsewhere one built from a copy of the checkout."""
    if IS_BUILT:
        return next((ROOT / "dist").glob("*.tar.gz"))
    tree = tmp_path_factory.mktemp("checkout") / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
    _build("sdist", tree, tree.parent)
    return next(tree.parent.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree that a user finds in the sdist."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.fixture(scope="session")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the sdist and from nothing else."""
    if IS_BUILT:
        return zipfile.ZipFile(next((ROOT / "dist").glob("*.whl")))
    folder = tmp_path_factory.mktemp("wheel")
    _build("wheel", unpacked, folder)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture(scope="session")
def neighbors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that is installed here but us: what an install without network can build on."""
    folder = tmp_path_factory.mktemp("neighbors")
    for site in {path for path in sys.path if Path(path).name == "site-packages"}:
        for entry in Path(site).iterdir():
            ours = entry.name.startswith(("advisor", "serving_advisor", "__editable__"))
            if not ours and entry.suffix != ".pth" and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def editable_python(unpacked: Path, neighbors: Path) -> Path:
    """The interpreter of a fresh environment with an editable install."""
    home = unpacked.parent / "editable"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    (home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages" / "neighbors.pth").write_text(
        f"{neighbors}\n", encoding="utf-8"
    )
    install = ("install", "--no-deps", "--no-build-isolation", "--editable", unpacked)
    # Whether it is found does not depend on how fast it is, and optimizing takes most of the time.
    compiler = home / "cc"
    compiler.write_text('#!/bin/bash\nexec gcc "${@/#-O3/-O0}"\n', encoding="utf-8")
    compiler.chmod(0o755)
    _run(sys.executable, "-m", "pip", "--python", python, *install, cwd=home, CC=str(compiler))
    return python


def test_the_sdist_has_every_source(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}

    assert set() == set(_sources()) - shipped


def test_the_sdist_has_nothing_generated(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        generated = [name for name in archive.getnames() if name.endswith((".c", ".cpp", ".pyc", ".so"))]

    assert [] == generated


def test_the_wheel_has_every_source_where_it_is_imported(wheel: zipfile.ZipFile) -> None:
    assert set() == set(_sources().values()) - set(wheel.namelist())


def test_the_license_is_named_and_comes_along(sdist: Path, wheel: zipfile.ZipFile) -> None:
    [described] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}

    assert "License-Expression: Apache-2.0\n" in wheel.read(described).decode()
    assert [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")] and "LICENSE" in shipped


def test_the_wheel_has_every_kernel_compiled(wheel: zipfile.ZipFile) -> None:
    compiled = {Path(name).name.partition(".")[0] for name in wheel.namelist() if name.endswith(".so")}

    assert compiled == KERNELS


def test_the_wheel_installs_one_top_level_name(wheel: zipfile.ZipFile) -> None:
    top_level = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}

    assert top_level == {"advisor"}


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_missing_kernel_is_an_error_that_names_it(unpacked: Path, tmp_path: Path, kernel: str) -> None:
    shutil.copytree(unpacked, tmp_path / "tree", ignore=NOT_COPIED)
    (tmp_path / "tree" / "kernels" / f"{kernel}.pyx").unlink()

    build = _build("wheel", tmp_path / "tree", tmp_path, check=False)

    assert build.returncode != 0
    assert f"kernels/{kernel}.pyx is missing" in build.stdout + build.stderr


def test_an_editable_install_imports_its_kernels_and_finds_its_data(editable_python: Path, unpacked: Path) -> None:
    code = """
import importlib, importlib.resources, json
kernels = ("core_ping", "decode_sim", "pareto", "queue_sim", "search")
found = {name: importlib.import_module(f"advisor.kernels.{name}").__file__ for name in kernels}
for package in ("catalog.schemes", "rules", "templates"):
    with importlib.resources.as_file(importlib.resources.files(f"advisor.{package}")) as folder:
        found[package] = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
print(json.dumps(found))
"""
    found = json.loads(_run(editable_python, "-c", code, cwd=unpacked.parent).stdout)

    assert all(Path(found.pop(kernel)).is_relative_to(unpacked / "kernels") for kernel in KERNELS)
    for package, folder in {"catalog.schemes": "advisor/catalog/schemes", "rules": "rules", "templates": "templates"}.items():
        expected = {
            path.relative_to(unpacked / folder).as_posix()
            for path in (unpacked / folder).rglob("*")
            if path.suffix in DATA_SUFFIXES
        }
        assert expected <= set(found[package])


def test_an_editable_install_takes_no_name_of_others(editable_python: Path, unpacked: Path) -> None:
    code = "import importlib.util as u; print([name for name in ('kernels', 'rules', 'templates') if u.find_spec(name)])"

    assert _run(editable_python, "-c", code, cwd=unpacked.parent).stdout == "[]\n"


def test_the_command_loads_no_heavy_dependency(tmp_path: Path) -> None:
    code = "import sys, advisor.cli; print(*{name.partition('.')[0] for name in sys.modules})"

    assert set() == HEAVY & set(_run(sys.executable, "-c", code, cwd=tmp_path).stdout.split())


@pytest.mark.parametrize("module", ["advisor", "advisor.kernels", *(f"advisor.kernels.{kernel}" for kernel in sorted(KERNELS))])
def test_the_tests_run_on_the_installed_wheel(module: str) -> None:
    if not IS_BUILT:
        pytest.skip("only `make test` promises a wheel")
    site_packages = Path(str(importlib.metadata.distribution("serving-advisor").locate_file("")))

    imported = Path(importlib.import_module(module).__file__ or "")

    assert site_packages.name == "site-packages"
    assert imported.is_relative_to(site_packages / "advisor")
