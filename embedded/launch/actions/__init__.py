"""Actions of launch files."""

from ._process import ExecuteProcess
from ._simple import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueCoroutine,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
    UnregisterEventHandler,
    UnsetEnvironmentVariable,
    UnsetLaunchConfiguration,
)

__all__ = ['DeclareLaunchArgument', 'EmitEvent', 'ExecuteProcess', 'GroupAction', 'IncludeLaunchDescription',
           'LogInfo', 'OpaqueCoroutine', 'OpaqueFunction', 'RegisterEventHandler', 'SetEnvironmentVariable',
           'SetLaunchConfiguration', 'Shutdown', 'TimerAction', 'UnregisterEventHandler',
           'UnsetEnvironmentVariable', 'UnsetLaunchConfiguration']
