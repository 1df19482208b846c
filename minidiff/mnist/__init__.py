"""Part B: small UNets trained from scratch on MNIST, a one-step denoiser and two DDPMs."""
