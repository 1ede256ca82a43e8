"""How far judges agree, with bootstrap intervals clustered by problem."""
