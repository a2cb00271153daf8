"""What accompanies a training: its optimizer, its limits, its records, and Ctrl-C."""
