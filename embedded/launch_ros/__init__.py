"""The part of Humble's launch_ros that the launch files of this workspace use."""
