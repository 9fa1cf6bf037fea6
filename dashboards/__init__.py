"""Grafana dashboards and Prometheus rules; `python -m dashboards.grafana_files` writes the JSON."""
