"""What a terminal shows: the answer on stdout, progress on stderr, and foreign texts without control characters."""
