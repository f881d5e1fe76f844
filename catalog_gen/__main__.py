"""`python -m catalog_gen`: the same as the `catalog-gen` command."""

from catalog_gen.cli import main

if __name__ == "__main__":
    main()
