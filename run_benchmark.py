"""Runs a grid and renders its leaderboard; see ``python run_benchmark.py --help``."""

import sys

from recbole_guider.cli import main

if __name__ == "__main__":
    sys.exit(main())
