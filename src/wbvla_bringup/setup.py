import os
from glob import glob

from setuptools import setup

package_name = "wbvla_bringup"
share = f"share/{package_name}"


def tree(source, target):
    """(folder, files) pairs that install every file below ``source`` under ``target``."""
    return [
        (
            os.path.normpath(os.path.join(target, os.path.relpath(folder, source))),
            [os.path.join(folder, f) for f in files],
        )
        for folder, _, files in os.walk(source)
        if files
    ]


setup(
    name=package_name,
    version="0.1.0",
    packages=[],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (share, ["package.xml", "README.md"]),
        *(
            (f"{share}/{folder}", glob(f"{folder}/*.*"))
            for folder in ("launch", "params", "rviz", "foxglove", "rosdep")
        ),
        *tree("../../models", f"{share}/models"),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="wbvla maintainers",
    maintainer_email="maintainers@wbvla.dev",
    description="Launch files, parameters, viewer layouts, model bundles and rosdep keys of wbvla",
    license="Apache-2.0",
    tests_require=["pytest"],
)
