"""The figures beside a leaderboard, as SVG."""
