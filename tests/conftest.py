"""For all tests: threads share even the smallest program, so that sharing is what two threads are tested with."""

from __future__ import annotations

import os

os.environ.setdefault("TINYINTERP_SHARE_ABOVE", "0")
