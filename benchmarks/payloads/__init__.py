"""Payloads over their tiers: storage, adapters."""
