"""Our envs as those of other libraries, and theirs as ours: one file a library."""
