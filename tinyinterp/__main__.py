"""`python -m tinyinterp`, the same as the command `tinyinterp`."""

import sys

from tinyinterp.cli import main

if __name__ == "__main__":
    sys.exit(main())
