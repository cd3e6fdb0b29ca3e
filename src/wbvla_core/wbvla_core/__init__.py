"""ROS-free, torch-free core of wbvla: what must be the same in training, simulation and on the robot."""
