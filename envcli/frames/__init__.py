"""Pictures of what happened: single frames, what they are put together to, and how they are shown."""
