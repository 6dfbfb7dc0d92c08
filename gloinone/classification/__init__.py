"""Names each crop: normal, one of three kinds of global sclerosis, or no glomerulus."""
