"""Floor 3: the method on one page, many slides in order, and every file that is written."""
