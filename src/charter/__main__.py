"""``python -m charter``: the command, where it is not on the path."""

from charter.cli import main

if __name__ == "__main__":
    main()
