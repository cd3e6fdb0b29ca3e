from setuptools import find_packages, setup

package_name = "wbvla_vla_node"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["scripts/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", "README.md"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="wbvla maintainers",
    maintainer_email="maintainers@wbvla.dev",
    description="Camera, sentence and state to arm targets and locomotion commands, 10 Hz",
    license="Apache-2.0",
    tests_require=["pytest"],
    entry_points={"console_scripts": ["vla_node = wbvla_vla_node.node:main"]},
)
