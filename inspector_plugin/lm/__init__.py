"""Language models: finding, loading and running them. The only room that touches transformers."""
