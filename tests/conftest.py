"""Tests run small models: a second thread only waits, most of all on a busy machine."""

import torch

torch.set_num_threads(1)
