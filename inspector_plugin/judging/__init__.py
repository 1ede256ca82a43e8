"""Judging: what a judge is, and the one pipeline from requests to judgements."""
