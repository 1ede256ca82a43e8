"""lm_eval's side: finding our tasks, and judging what lm_eval has generated."""
