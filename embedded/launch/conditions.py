"""Conditions of actions."""

from __future__ import annotations

from ._base import Condition, perform, substitutions

_TRUE, _FALSE = ('true', '1'), ('false', '0')


class InvalidConditionExpressionError(ValueError):
    """An expression that is neither true nor false."""

    def __init__(self, expression, unexpanded_expression, valid_expressions):
        super().__init__(f"invalid condition expression '{expression}', expected one of {valid_expressions}")


def evaluate_condition_expression(context, expression):
    """The truth value of 'true', 'false', '1' or '0' in any case; raises InvalidConditionExpressionError."""
    text = perform(context, expression).strip().lower()
    if text not in _TRUE + _FALSE:
        raise InvalidConditionExpressionError(text, expression, [*_TRUE, *_FALSE])
    return text in _TRUE


class IfCondition(Condition):
    """Holds when an expression is true."""

    def __init__(self, predicate_expression):
        self._expression = substitutions(predicate_expression)
        super().__init__(predicate=lambda context: evaluate_condition_expression(context, self._expression))

    def describe(self):
        """For people."""
        return f"IfCondition({' + '.join(part.describe() for part in self._expression)})"


class UnlessCondition(IfCondition):
    """Holds when an expression is false."""

    def evaluate(self, context):
        """Whether it holds."""
        return not super().evaluate(context)

    def describe(self):
        """For people."""
        return f"UnlessCondition({' + '.join(part.describe() for part in self._expression)})"
