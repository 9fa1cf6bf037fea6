"""The file of measured values that takes the place of the assumed ones."""

from __future__ import annotations

import json
from pathlib import Path

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.hardware import Calibration


def read_calibration(path: Path | None) -> Calibration:
    """Return the calibration in a file, the assumed one without a file.

    The file is one JSON object; each name in it replaces the value assumed for a field of
    `policies.capacity.hardware.Calibration`. All are numbers above 0, shares are at most 1:

    - `prefill_share`: floating-point operations per second reached in prefill (2 per parameter
      and token) over the GPU's peak.
    - `decode_share`: bytes per second read in decode (weights, and the batch's KV) over its
      memory bandwidth.
    - `link_share`: bytes per second of paged KV copies from host memory over its link's.
    - `storage_bytes_per_s`: reads of the storage tier.
    - `memory_share`: device memory for weights and KV over all of it.
    - `launch_s`, `call_s`, `admission_s`, `insertion_s`: a processor's seconds for a pass and for a
      request; may be 0, and the plan does not read them.
    - `slots`: requests decoded together at most.
    - `fresh_tokens`, `output_tokens`, `state_tokens`: of a request, where the trace names none.

    Raises:
        InvalidRequestError: The file cannot be read, or holds something else.
    """
    if path is None:
        return Calibration()
    try:
        return Calibration(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"the calibration {str(path)!r} cannot be used ({error}): give a JSON object with "
            f"names of {', '.join(Calibration.__slots__)}",
            "calibration",
        ) from None
