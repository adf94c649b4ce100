"""What the papers printed, beside what runs here give."""
