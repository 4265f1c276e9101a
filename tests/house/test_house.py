"""The rules of the house, as far as a sentence can be a test."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("schema", "kernels", "tinyinterp")


def sources(*folders: str) -> list[Path]:
    return sorted(p for f in folders for p in (ROOT / f).rglob("*.py") if f != "tinyinterp" or not _linked(p))


def _linked(path: Path) -> bool:
    return path.relative_to(ROOT / "tinyinterp").parts[0] in ("kernels", "schema")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, in absolute names."""
    room = path.relative_to(ROOT).parts[0]
    package = "tinyinterp" if room == "tinyinterp" else f"tinyinterp.{room}"
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = [*package.split("."), *path.relative_to(ROOT / room).parts[:-1]]
                base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            found.add(base)
            if base in ("tinyinterp", package):
                found |= {f"{base}.{a.name}" for a in node.names}
    return found


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 420


@pytest.mark.parametrize("path", sources("schema"), ids=lambda p: p.name)
def test_schema_knows_only_errors(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith("tinyinterp.") or name.startswith(("tinyinterp.schema", "tinyinterp.errors")), name


@pytest.mark.parametrize("path", sources("kernels"), ids=lambda p: p.name)
def test_kernels_know_only_schema_and_errors(path: Path) -> None:
    allowed = ("tinyinterp.schema", "tinyinterp.errors", "tinyinterp.kernels")
    for name in imports(path):
        assert not name.startswith("tinyinterp.") or name.startswith(allowed), name


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(ROOT)))
def test_numba_is_named_in_one_place(path: Path) -> None:
    if path == ROOT / "kernels" / "jit.py" or path.parent == ROOT / "kernels" / "micro":
        return
    for name in imports(path):
        assert name.split(".")[0] not in ("numba", "llvmlite"), name


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(ROOT)))
def test_words(path: Path) -> None:
    text = re.sub(r"(ctypes|importlib)\.util", "", path.read_text())
    forbidden = re.search(r"\b(ctx|utils?|impl|blob|helper|manager)\b", text, re.IGNORECASE)
    assert not forbidden, forbidden and forbidden.group()


def test_the_links_are_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(["git", "ls-files", "-s", "tinyinterp/kernels", "tinyinterp/schema"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["120000", "120000"]
