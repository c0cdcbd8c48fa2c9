"""`python -m sluice`: the same as `sluice`. Decides nothing."""

from __future__ import annotations

import sys

from sluice.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
