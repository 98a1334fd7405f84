"""`python -m sercourse`: the same as the command `sercourse`."""

from sercourse.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
