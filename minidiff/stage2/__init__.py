"""The second stage, 64 to 256 pixels: cascade.py is its walk, upscaler.py its studio."""
