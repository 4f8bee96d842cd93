"""`python -m distdyn` is `distdyn`."""

from distdyn.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
