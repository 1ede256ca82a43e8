"""Language models: finding, loading and running them. The only place that touches transformers."""
