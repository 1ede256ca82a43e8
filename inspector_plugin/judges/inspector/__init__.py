"""The judge `inspector`: probes on a frozen language model's hidden states (arXiv 2601.22588)."""
