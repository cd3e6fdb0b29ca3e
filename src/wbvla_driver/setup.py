from setuptools import find_packages, setup

package_name = "wbvla_driver"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", "README.md"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="wbvla maintainers",
    maintainer_email="maintainers@wbvla.dev",
    description="Authority, safety states, upper-body interpolation and the 200 Hz link to the actuators",
    license="Apache-2.0",
    tests_require=["pytest"],
    entry_points={"console_scripts": ["driver_node = wbvla_driver.node:main"]},
)
