"""The harness is imported by its full name (`tests.faults.…`), also when pytest was not started with `python -m`."""

import sys
from pathlib import Path

PROJECT = str(Path(__file__).resolve().parents[3])
if PROJECT not in sys.path:
    sys.path.insert(0, PROJECT)
