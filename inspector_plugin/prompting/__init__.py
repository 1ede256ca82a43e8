"""Judging by asking a language model: prompts, replies, and where the replies come from."""
