"""The same networks, faster: fused norms, recorded CUDA graphs, batches that fit a CPU."""
