"""What a terminal shows: the answer on stdout, progress on stderr, and texts of others without what would steer it."""
