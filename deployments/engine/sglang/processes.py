"""The processes of an SGLang engine, watched by us instead of by SGLang."""

from __future__ import annotations

import ctypes
import signal
from typing import Any

_SIG_IGN = 1


def take_over(engine: Any) -> dict[str, Any]:
    """Return an engine's `multiprocessing` processes by name; none of them ends this one any more.

    SGLang's watchdog sends this process SIGQUIT when one of them crashes, and so does a scheduler
    that fails: with this process the answers of all its requests would be lost without a word.
    """
    watchdog = engine.tokenizer_manager._subprocess_watchdog
    watchdog.stop()
    # Python lets the main thread only change a signal's disposition; Ray runs actors in another.
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGQUIT, _SIG_IGN)
    return dict(zip(watchdog._names, watchdog._processes, strict=True))
