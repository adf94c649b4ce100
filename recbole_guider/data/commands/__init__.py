"""What ``python -m recbole_guider.data`` does, a file for each command but ``prepare``."""
