"""Data: reading rows, stored scores and benchmarks, and telling problems apart."""
