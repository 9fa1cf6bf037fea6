"""`import scalesim.auto`: this process's calls say which agent makes them, its code unchanged.

To be imported before what calls the model. Clients are pointed to the stack of SCALESIM_BASE_URL,
requests carry the agent that acts, and frameworks are watched for who acts next once they are
imported. `scalesim run` does the same for a program with all its child processes, and adds a
report.
"""

from __future__ import annotations

from scalesim.environment import point_clients_to_stack
from scalesim.integrations.registry import install_all

point_clients_to_stack()
install_all()
