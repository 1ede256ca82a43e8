"""LAGER: scores from the score-token logits of all layers of a language model.

Source: Lai et al., arXiv 2508.03550.
"""
