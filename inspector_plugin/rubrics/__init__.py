"""Rubrics: checking, generating, refining and tuning them."""
