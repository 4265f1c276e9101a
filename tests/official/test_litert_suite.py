"""The official interpreter tests that need no compiled C++: all of them pass with only the import changed."""

from __future__ import annotations

import io

import pytest

from tests.official.litert_suite import checkout, run


def test_the_official_tests_pass() -> None:
    folder = checkout()
    if folder is None:
        pytest.skip("TINYINTERP_LITERT is not set")
    passed, count, failed = run(folder, io.StringIO())
    assert failed == []
    assert (passed, count) == (30, 30)
