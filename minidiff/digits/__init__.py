"""Part B's models: how they are trained and measured."""
