from setuptools import find_packages, setup

package_name = "wbvla_lmo_node"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", "README.md"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="wbvla maintainers",
    maintainer_email="maintainers@wbvla.dev",
    description="Locomotion policy at 50 Hz: robot state and locomotion command to leg and waist set-points",
    license="Apache-2.0",
    tests_require=["pytest"],
    entry_points={"console_scripts": ["lmo_node = wbvla_lmo_node.node:main"]},
)
