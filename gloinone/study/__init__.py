"""What a study asks of many glomeruli: levels of one core, the same glomerulus at several of them, volumes."""
