"""The central actor: what every agent's distance, place and residency is, and what to do next."""
