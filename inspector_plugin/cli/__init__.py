"""The command line: `inspector`, one file per command."""
