"""From real numbers to integers: what every format shares. NumPy only."""
