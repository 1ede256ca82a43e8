"""The judge `lager`: scores from the score-token logits of all layers (arXiv 2508.03550)."""
