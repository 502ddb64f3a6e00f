"""Game about binary numbers and gates: its page, and the command that serves it."""
