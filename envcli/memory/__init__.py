"""Where rows live: memory that several processes map, a lock in it, and what one rollout leaves to the next."""
