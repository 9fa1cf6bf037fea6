"""Names of stored pages, by Python's own SHA-256.

SGLang compiles a C++ program for them at their first use, in the middle of a pass: it takes a
compiler, which an image need not have, and on a busy machine longer than an engine may be silent.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
from sglang.srt.mem_cache import utils
from sglang.srt.mem_cache.cpp_utils.native_hash import _native_hash_input

_LARGEST_NARROW = 2**32 - 1
_WIDE = b"\xff"
"""Put before tokens of eight bytes, so that no page of four-byte tokens has the same name."""


def use() -> None:
    """Have SGLang name pages by this; call in the scheduler process. Idempotent."""
    utils.get_native_hash = page_names


def page_names(
    token_ids: Any, prior_digest: bytes | None, page_size: int | None = None
) -> str | list[str]:
    """Return the name of each page of a sequence, or of all of it; equal to SGLang's own.

    A name is the digest of the one before and of the page's tokens.

    Args:
        token_ids: A key of SGLang's radix tree, or numbers.
        prior_digest: Digest of what comes before; None at the beginning.
        page_size: Tokens of a page; None names the whole.

    Raises:
        IndexError: A token is negative.
    """
    raw, length, width, is_bigram = _native_hash_input(token_ids)
    tokens = np.asarray(raw)
    if tokens.size and tokens.min() < 0:
        raise IndexError("token id must be a non-negative int64")
    if is_bigram:
        units = np.stack((tokens[:length], tokens[1 : length + 1]), axis=1)
    else:
        units = tokens[: length * width].reshape(length, width)
    size = max(length, 1) if page_size is None else page_size
    narrow = not units.size or units.max() <= _LARGEST_NARROW
    words = np.ascontiguousarray(units, "<u4" if narrow else "<u8")
    names, digest = [], prior_digest or b""
    for start in range(0, length if page_size else 1, size):
        page = words[start : start + size]
        if narrow:
            content = page.tobytes()
        elif page.max() <= _LARGEST_NARROW:
            content = page.astype("<u4").tobytes()
        else:
            content = _WIDE + page.tobytes()
        digest = sha256(digest + content).digest()
        names.append(digest.hex())
    return names if page_size else names[0]
