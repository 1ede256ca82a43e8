"""Whole procedures made of the other parts: judging on a cluster, and the like."""
