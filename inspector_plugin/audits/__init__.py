"""Audits: what a judge makes of responses whose quality is known."""
