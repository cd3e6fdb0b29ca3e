from setuptools import find_packages, setup

package_name = "wbvla_core"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["robots/*.yaml", "contracts/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", "README.md"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="wbvla maintainers",
    maintainer_email="maintainers@wbvla.dev",
    description="ROS-free, torch-free core of wbvla",
    license="Apache-2.0",
    tests_require=["pytest"],
)
