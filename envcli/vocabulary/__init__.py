"""What can be typed: groups, choices and keys, and the classes that they name."""
