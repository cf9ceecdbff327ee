"""What is installed here: the libraries that envcli may use, what packages add to it, and all versions."""
