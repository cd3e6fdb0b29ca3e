"""Places of packages."""

from __future__ import annotations

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import Substitution
from launch._base import perform, substitutions
from launch.substitutions import SubstitutionFailure


class FindPackage(Substitution):
    """Base of the places of a package."""

    def __init__(self, package):
        self._package = substitutions(package)

    package = property(lambda self: self._package, doc='Its name.')

    def find(self, package_name):
        """The place."""
        raise NotImplementedError()

    def perform(self, context):
        """The place; raises SubstitutionFailure when there is no such package."""
        try:
            return self.find(perform(context, self._package))
        except PackageNotFoundError as error:
            raise SubstitutionFailure(str(error)) from None


class FindPackagePrefix(FindPackage):
    """Where it is installed."""

    def find(self, package_name):
        """The folder."""
        return get_package_prefix(package_name)


class FindPackageShare(FindPackage):
    """Where its launch files and parameters are."""

    def find(self, package_name):
        """The folder."""
        return get_package_share_directory(package_name)
