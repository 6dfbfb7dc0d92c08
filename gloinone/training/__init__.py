"""What a laboratory's own slides and outlines become before a network learns from them: checked, read once, parted."""
