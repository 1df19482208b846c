"""Files, paths, pictures, devices and the network: what the theory does not care about."""
