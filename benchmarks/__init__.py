"""Seeded scripts that print one table and write JSON, a peer in the same run."""
