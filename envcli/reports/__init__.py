"""What run folders say together: one file a noun, none of them imports torch."""
