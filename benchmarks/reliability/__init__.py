"""Faults in a running stack under load: what is lost, and how soon it heals."""
