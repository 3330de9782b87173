"""``python -m redbutton``: the command line."""

from redbutton.cli.main import main

if __name__ == "__main__":
    main()
