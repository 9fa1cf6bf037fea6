"""What a comparison leaves behind: a table, `report.json` and a self-contained `report.html`."""

from scalesim.simulations.report.report_files import write_report
from scalesim.simulations.report.table import print_table

__all__ = ["print_table", "write_report"]
