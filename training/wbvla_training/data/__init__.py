"""From recorded bags to checked datasets that train: convert, check, show, read."""
