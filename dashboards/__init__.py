"""Grafana dashboards and Prometheus rules; `python -m dashboards.generate` writes the JSON."""
