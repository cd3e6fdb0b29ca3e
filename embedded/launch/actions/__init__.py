"""Actions of launch files."""

from ._process import ExecuteProcess
from ._simple import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
    UnsetEnvironmentVariable,
)

__all__ = ['DeclareLaunchArgument', 'EmitEvent', 'ExecuteProcess', 'GroupAction', 'IncludeLaunchDescription',
           'LogInfo', 'OpaqueFunction', 'RegisterEventHandler', 'SetEnvironmentVariable',
           'SetLaunchConfiguration', 'Shutdown', 'TimerAction', 'UnsetEnvironmentVariable']
