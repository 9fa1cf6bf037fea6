"""What a comparison leaves behind: a table, `report.json` and a self-contained `report.html`."""

from simulations.report.files import write_report
from simulations.report.table import print_table

__all__ = ["print_table", "write_report"]
