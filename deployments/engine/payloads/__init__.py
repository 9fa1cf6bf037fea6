"""Payload kinds. Third parties add theirs under the entry-point group `scalesim.payloads`."""
