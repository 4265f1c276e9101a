"""What is installed: from the source distribution a wheel with all three rooms, under tinyinterp and nowhere else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(what: str, source: Path, out: Path) -> Path:
    """An sdist or a wheel, by hatchling alone: no index is asked."""
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(out)], cwd=source,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(p for p in out.iterdir() if p.name.endswith(".tar.gz" if what == "sdist" else ".whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the wheel that is made from the source distribution, as pip does it for a release."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    with tarfile.open(build("sdist", ROOT, out)) as archive:
        archive.extractall(out / "source", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (source,) = (out / "source").iterdir()
    with zipfile.ZipFile(build("wheel", source, out)) as archive:
        return set(archive.namelist())


def files(room: str) -> set[str]:
    return {str(p.relative_to(ROOT)) for p in (ROOT / room).rglob("*") if p.is_file() and "__pycache__" not in p.parts
            and (room != "tinyinterp" or p.relative_to(ROOT / room).parts[0] not in ("kernels", "schema"))}


def test_every_file_is_installed_once(wheel: set[str]) -> None:
    wanted = files("tinyinterp") | {f"tinyinterp/{name}" for room in ("kernels", "schema") for name in files(room)}
    assert {name for name in wheel if ".dist-info/" not in name} == wanted


def test_nothing_else_is_at_the_top(wheel: set[str]) -> None:
    assert {name.partition("/")[0] for name in wheel if ".dist-info/" not in name} == {"tinyinterp"}


def test_the_command_is_installed(wheel: set[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)
    assert any("LICENSE" in name for name in wheel)
