from setuptools import find_packages, setup

package_name = "wbvla_teleop"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["layouts/*.yaml", "reach_maps/*.npz"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml", "README.md"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="wbvla maintainers",
    maintainer_email="maintainers@wbvla.dev",
    description="Operators' devices to commands, episodes to rosbags",
    license="Apache-2.0",
    tests_require=["pytest"],
    entry_points={
        "console_scripts": [
            "recorder = wbvla_teleop.recorder:main",
            "teleop_node = wbvla_teleop.node:main",
        ]
    },
)
