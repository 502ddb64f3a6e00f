"""Players drawn by a program, on whom difficulty policies are compared."""
