"""Runs a World: one driver for all, in this process or over Ray workers."""
