"""As `scalesim sim run`, without the rest of the command: python -m scalesim.simulations."""

from scalesim.simulations.run_command import app

if __name__ == "__main__":
    app()
