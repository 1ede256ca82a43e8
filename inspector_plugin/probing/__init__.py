"""Probes: features of a language model, fitting and choosing classifiers, packs on disk."""
