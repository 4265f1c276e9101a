"""For all tests: threads share even the smallest program, so that sharing is what two threads are tested with; and no program
is taken from the disk, but where that is what is tested."""

from __future__ import annotations

import os

os.environ.setdefault("TINYINTERP_SHARE_ABOVE", "0")
os.environ.setdefault("TINYINTERP_KEEP", "0")
