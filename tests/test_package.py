"""What is installed: one package, whatever folders a user's own program stands beside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import scalesim
from tests.support.sources import PRODUCT, ROOT

PARTS = tuple(part for part in PRODUCT if part != "scalesim")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """The names in the wheel of this tree."""
    out = tmp_path_factory.mktemp("wheel")
    build = f"build -b {out}/build egg_info -e {out} bdist_wheel -b {out}/bdist -d {out}"
    code = f"import setuptools; setuptools.setup(script_args={['-q', *build.split()]})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    return zipfile.Path(next(out.glob("*.whl")))


@pytest.mark.slow
def test_the_wheel_installs_scalesim_and_nothing_else(wheel: zipfile.Path) -> None:
    top = {entry.name for entry in wheel.iterdir() if not entry.name.endswith(".dist-info")}
    assert top == {"scalesim"}
    package = wheel / "scalesim"
    assert all((package / part / "__init__.py").is_file() for part in PARTS)
    for data in (
        "py.typed",
        "deployments/engine/requirements-cpu.txt",
        "simulations/report/page.html.j2",
    ):
        assert (package / data).is_file(), data


@pytest.mark.slow
def test_folders_of_a_user_s_own_hide_nothing(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).mkdir()
        (tmp_path / part / "__init__.py").write_text("raise RuntimeError('not ours')")
    code = f"import importlib; [importlib.import_module('scalesim.' + p) for p in {PARTS}]"
    subprocess.run(
        [sys.executable, "-c", f"{code}; import scalesim.simulations.run_command"],
        cwd=tmp_path,
        check=True,
    )


def test_the_version_is_that_of_the_installed_package() -> None:
    assert scalesim.__version__.count(".") == 2
