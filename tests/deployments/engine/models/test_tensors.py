from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from scalesim.deployments.engine.models.tensors import header, read_into
from scalesim.errors import InvalidRequestError
from tests.support.model_files import write_model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model") / "model.safetensors"


def test_what_is_read_is_what_was_saved(file: Path) -> None:
    known = header(file)
    data = bytearray(known.data_bytes)
    read_into(memoryview(data), file, known)
    saved = load_file(file)
    assert known.entries.keys() == saved.keys()
    dtypes = {"F32": np.float32, "F16": np.float16}
    for name, entry in known.entries.items():
        found = np.frombuffer(data[entry.begin : entry.end], dtypes[entry.dtype])
        np.testing.assert_array_equal(found.reshape(entry.shape), saved[name])


def test_a_file_that_is_not_whole_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(InvalidRequestError, match=r"model\.safetensors has"):
            header(file)
    file.write_bytes(whole + b"x")
    with pytest.raises(InvalidRequestError, match="bytes of data"):
        header(file)


@pytest.mark.parametrize(
    "claim",
    [
        [],
        {"t": 1},
        {"t": {"dtype": "F32", "shape": [1]}},
        {"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}},
        {"t": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}},
        {"t": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}},
        {"t": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {
            "t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "u": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        },
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, claim: object) -> None:
    text = json.dumps(claim).encode()
    file = tmp_path / "liar.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(InvalidRequestError, match="save the model as safetensors"):
        header(file)


def test_a_file_cut_short_while_it_is_read_is_an_error(file: Path) -> None:
    known = header(file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InvalidRequestError, match="became shorter"):
        read_into(memoryview(bytearray(known.data_bytes)), file, known)
