from setuptools import find_packages, setup

package_name = "wbvla_sim"

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
    description="MuJoCo twin of the robot: plant, scenes, gantry, renderers, lock-step runner",
    license="Apache-2.0",
    tests_require=["pytest"],
    entry_points={
        "console_scripts": [
            "plant = wbvla_sim.plant_process:main",
            "sim_node = wbvla_sim.sim_node:main",
        ],
    },
)
