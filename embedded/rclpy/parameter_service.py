"""The six services by which tools read and set a node's parameters."""

from __future__ import annotations

import weakref

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from .exceptions import ParameterNotDeclaredException, ParameterUninitializedException
from .parameter import PARAMETER_SEPARATOR_STRING, Parameter
from .qos import qos_profile_parameters


class ParameterService:
    """Serves `~/get_parameters` and the other five."""

    def __init__(self, node):
        self._node = weakref.proxy(node)
        for name, type_, callback in (
                ('describe_parameters', DescribeParameters, self._describe),
                ('get_parameters', GetParameters, self._get), ('get_parameter_types', GetParameterTypes, self._types),
                ('list_parameters', ListParameters, self._list), ('set_parameters', SetParameters, self._set),
                ('set_parameters_atomically', SetParametersAtomically, self._set_atomically)):
            node.create_service(type_, f'~/{name}', callback, qos_profile=qos_profile_parameters)

    def _describe(self, request, response):
        try:
            response.descriptors = self._node.describe_parameters(request.names)
        except ParameterNotDeclaredException:
            response.descriptors = []
        return response

    def _get(self, request, response):
        for name in request.names:
            try:
                response.values.append(self._node.get_parameter(name).get_parameter_value())
            except (ParameterNotDeclaredException, ParameterUninitializedException):
                response.values.append(Parameter(name).get_parameter_value())
        return response

    def _types(self, request, response):
        try:
            response.types = bytes(type_.value for type_ in self._node.get_parameter_types(request.names))
        except ParameterNotDeclaredException:
            response.types = []
        return response

    def _list(self, request, response):
        names, prefixes = [], set()
        for name in self._node._parameters:
            if self._listed(name, request.prefixes, request.depth):
                names.append(name)
                if PARAMETER_SEPARATOR_STRING in name:
                    prefixes.add(name.rpartition(PARAMETER_SEPARATOR_STRING)[0])
        response.result.names, response.result.prefixes = names, sorted(prefixes)
        return response

    @staticmethod
    def _listed(name, prefixes, depth):
        """Whether a name is within the depth (0: any) below one of the prefixes (none: the root)."""
        if not prefixes:
            return depth == 0 or name.count('.') < depth
        return any(name == prefix or (name.startswith(prefix + '.') and
                                      (depth == 0 or name[len(prefix) + 1:].count('.') < depth))
                   for prefix in prefixes)

    def _set(self, request, response):
        for message in request.parameters:
            try:
                result = self._node.set_parameters_atomically([Parameter.from_parameter_msg(message)])
            except (ParameterNotDeclaredException, RuntimeError, ValueError) as error:
                result = SetParametersResult(successful=False, reason=str(error))
            response.results.append(result)
        return response

    def _set_atomically(self, request, response):
        try:
            response.result = self._node.set_parameters_atomically(
                [Parameter.from_parameter_msg(message) for message in request.parameters])
        except (ParameterNotDeclaredException, RuntimeError, ValueError) as error:
            response.result = SetParametersResult(successful=False, reason=str(error))
        return response
