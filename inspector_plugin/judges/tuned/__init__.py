"""The judge `tuned`: an encoder or a language model that was fine-tuned on scores."""
