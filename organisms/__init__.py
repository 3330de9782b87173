"""Small language models of our own with planted dispositions: how they are made, what is planted, which are shipped.

Nothing here is imported by a trial but ``shelf``; PyTorch is needed to train, llama.cpp to run (``docs/organisms.md``).
"""
