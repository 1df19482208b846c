"""Official weights: what is in a folder (check), and fetching them (pull)."""
