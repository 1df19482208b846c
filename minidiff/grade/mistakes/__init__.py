"""The catalogue of what students get wrong, with a hint for each."""
