"""What is read from recordings, and what is asked of the equations."""
