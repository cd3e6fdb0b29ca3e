"""Where packages are: the folders of the source checkout."""

from __future__ import annotations

from pathlib import Path

from wbvla_embedded import packages


class PackageNotFoundError(KeyError):
    """A package that is not in the checkout."""

    def __str__(self):
        return f"package '{self.args[0]}' not found, known are: {', '.join(packages.package_paths()) or 'none'}"


def get_package_share_path(package_name, print_warning=True):
    """Folder with the package's launch files, parameters and interfaces; raises PackageNotFoundError."""
    try:
        return Path(packages.package_paths()[package_name])
    except KeyError:
        raise PackageNotFoundError(package_name) from None


def get_package_share_directory(package_name, print_warning=True):
    """The same as a string."""
    return str(get_package_share_path(package_name, print_warning))


def get_package_prefix(package_name):
    """In a checkout the same folder."""
    return get_package_share_directory(package_name)


def get_packages_with_prefixes():
    """Package name -> folder."""
    return {name: str(path) for name, path in packages.package_paths().items()}
