"""The core language: grammar, primitives, builder, checker, printer, sizes, evaluator. Imports no other layer."""
