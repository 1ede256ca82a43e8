"""The judge `prompt`: asking a language model for a score and a justification."""
