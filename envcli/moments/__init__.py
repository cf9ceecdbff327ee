"""Mean and deviation of streams, each by a few numbers that several processes may share."""
