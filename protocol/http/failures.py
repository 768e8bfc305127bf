"""What a log may say of an unexpected exception: its type and where it happened.

Never its message, never local variables: both may hold words of a document (AC-4.2a-3).
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

_FRAMES: Final = 5


def whereabouts(error: BaseException) -> str:
    """`ZeroDivisionError at handle (package_b.py:75) > send (ledger.py:12)`: the innermost frames, outermost first."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = (f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in frames)
    return f"{type(error).__name__} at {' > '.join(places)}"
