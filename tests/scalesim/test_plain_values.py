"""What agents keep is JSON-like, and what is not is said."""

import msgspec
import numpy as np
import pytest

from scalesim.me import ModelReply
from scalesim.plain_values import packed


def test_replies_are_text_and_numpys_numbers_are_numbers() -> None:
    value = {"said": ModelReply("hi"), "at": [np.float64(1.5), np.int32(2)], "ok": None}
    assert msgspec.msgpack.decode(packed(value)) == {"said": "hi", "at": [1.5, 2], "ok": None}


@pytest.mark.parametrize("value", [object(), {"a": [object()]}, 2**80, 1j, {"a": [{"b"}]}])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="use dicts, lists, text"):
        packed(value)
