"""The sections of a report: one module for each thing that it says."""
