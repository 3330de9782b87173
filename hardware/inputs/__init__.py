"""Hardware e-stop inputs behind one protocol."""
