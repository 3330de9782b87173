"""What chooses actions: language models behind brains, scripted reference controllers and replay."""
