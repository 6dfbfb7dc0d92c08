"""Finding glomeruli as circles: network, targets, losses, decoding, merging over tiles, prediction, training."""
