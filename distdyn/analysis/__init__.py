"""What is read from recordings and from models: measures."""
