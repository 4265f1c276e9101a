"""The documentation holds: links lead somewhere, generated pages are up to date, snippets run."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

from docs import generate
from docs.sections import fill, section

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("*.md"))]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_resolve(path: Path) -> None:
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(there.read_text()), f"{target}: no such heading"


@pytest.mark.parametrize("path", [p for p in PAGES if ">>> " in p.read_text()], ids=name)
def test_snippets_run(path: Path) -> None:
    result = doctest.testfile(str(path), module_relative=False, optionflags=OPTIONS, encoding="utf-8")
    assert result.attempted and not result.failed


EXAMPLES = [p for room in ("tinyinterp", "tinyinterp/commands", "kernels", "schema") for p in sorted((ROOT / room).glob("*.py"))
            if ">>> " in p.read_text()]


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_examples_of_functions_run(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = module if module.startswith("tinyinterp.") else f"tinyinterp.{module}"
    result = doctest.testmod(import_module(module.removesuffix(".__init__")), optionflags=OPTIONS)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("page", generate.PAGES, ids=str)
def test_generated_pages_are_up_to_date(page: str) -> None:
    assert (ROOT / page).read_text() == generate.PAGES[page](), "run: python -m docs.generate"


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        path = todo.pop()
        seen.add(path)
        for target in re.findall(r"\]\(([^)#]+\.md)[^)]*\)", path.read_text()):
            if (there := (path.parent / target).resolve()) not in seen and there.exists():
                todo.append(there)
    assert {name(p) for p in PAGES if p not in seen} == set()


def test_sections() -> None:
    page = "a\n<!-- begin:x, written by y -->\nold\n<!-- end:x -->\nb\n"
    assert section(fill(page, "x", "new\n"), "x") == "new"
    assert fill(page, "x", "old") == page
    with pytest.raises(ValueError, match="0 sections"):
        fill(page, "z", "")


def test_the_readme_has_the_two_commands() -> None:
    blocks = re.findall(r"```\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks[:2] == ["pip install . && tinyinterp demo", 'pip install -e ".[test]" && pytest']
