"""Solutions and their derivatives: `iv.linear_solve`, `iv.root`, `iv.fixed_point`, `iv.minimize`.

The derivative of a solution x(θ) of F(θ, x) = 0 is had from the equation, not from the steps that led to it:

    ∂F/∂x ẋ = -∂F/∂θ θ̇                   (the implicit function theorem)
    (∂F/∂x)ᵀ λ = x̄,   θ̄ = -(∂F/∂θ)ᵀ λ    in reverse mode: memory doesn't depend on the number of steps

θ is whatever F reads from around it.  The rule is a `custom_vjp`, so it serves both modes, and orders above the first
differentiate the rule, in which the adjoint equation is one more solution with a rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iverson.core.build import dtype_of
from iverson.core.rewrite import rename
from iverson.lang import functional, iterative, state
from iverson.lang.calls import call
from iverson.lang.errors import error
from iverson.lang.inner import like, numeric, subprogram, value_of
from iverson.lang.shapes import require_same
from iverson.lang.staging import active, builder
from iverson.lang.values import full, materialise
from iverson.run.custom import custom_vjp
from iverson.run.jacobians import jacfwd
from iverson.run.jit import Derived
from iverson.run.transforms import grad, jvp, kept, linear_transpose, value_and_grad, vjp

Function = Callable[..., Any]


@dataclass(frozen=True)
class _Options:
    """How to solve."""

    method: str | Function
    tol: float | None = None
    maxiter: int | None = None
    unconverged: str = "warn"
    restart: int = 20
    preconditioner: Function | None = None

    def __post_init__(self) -> None:
        if self.unconverged not in ("warn", "raise", "ignore"):
            raise ValueError(f"unconverged is 'warn', 'raise' or 'ignore', not {self.unconverged!r}")

    def tolerance(self, dtype: np.dtype[Any], exponent: float) -> float:
        """`tol`, or a power of the rounding error."""
        return float(np.finfo(dtype).eps ** exponent) if self.tol is None else self.tol


def linear_solve(
    matvec: Function,
    b: Any,
    x0: Any = None,
    *,
    method: str = "gmres",
    tol: float | None = None,
    maxiter: int | None = None,
    restart: int = 20,
    preconditioner: Function | None = None,
    unconverged: str = "warn",
) -> Any:
    """x with matvec(x) = b, for a linear function that is given by its products alone.

    x has the structure and shapes of b, a pytree of floats.  `method` is "gmres", or "cg" for a symmetric positive
    definite matvec; `x0` where to start, `preconditioner` a linear function that approximates the inverse.  It is
    solved when |b - matvec(x)| <= tol |b|; `tol` is about 1e-11 unless given, 1e-5 in single precision.

    The derivative is that of the solution, in b and in what matvec reads from around it, in both modes and any order;
    the transposed system is solved by the same method.

    If it is not solved after `maxiter` products, that is a RuntimeWarning; `unconverged` may also be "raise", a
    RuntimeError, or "ignore".  Raises ValueError for an unknown method, TypeError or ValueError where matvec doesn't
    give a result like its argument.

    >>> iv.linear_solve(lambda x: np.array([2.0, 4.0]) * x, np.array([1.0, 1.0]))
    array([0.5 , 0.25])
    """
    if method not in ("gmres", "cg"):
        raise ValueError(f"method is 'gmres' or 'cg', not {method!r}")
    options = _Options(method, tol, maxiter, unconverged, restart, preconditioner)
    return _run(_linear_solve, matvec, options, b, x0)


def root(
    f: Function,
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str | Function = "newton",
    tol: float | None = None,
    maxiter: int = 100,
    unconverged: str = "warn",
) -> Any:
    """x with f(x, *args) = 0, by Newton's method from x0; x is a number, an array or a pytree, and f(x) is like it.

    `method` is "newton", with the Jacobian, or "krylov", with products of it and GMRES, for many unknowns; or a solver
    of yours, a function of (f, x0) that gives x.  It is solved when |f(x)| <= tol max(1, |f(x0)|).  The derivative is
    that of the solution, in args and in what f reads from around it, in both modes and any order.

    If it is not solved after `maxiter` turns, that is a RuntimeWarning; `unconverged` may also be "raise", a
    RuntimeError, or "ignore".

    >>> iv.grad(lambda a: iv.root(lambda x: x * x - a, 1.0))(4.0)
    0.25
    """
    _require_method(method, "newton", "krylov")
    return _run(_root, f, _Options(method, tol, maxiter, unconverged), x0, args)


def fixed_point(
    f: Function,
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str | Function = "iteration",
    tol: float | None = None,
    maxiter: int = 10_000,
    unconverged: str = "warn",
) -> Any:
    """x with x = f(x, *args), by iteration from x0.

    `method` is "iteration", or "anderson", which extrapolates from the last ten steps and takes fewer where f contracts
    slowly; or a solver of yours, a function of (f, x0) that gives x.  It ends when a step is at most tol (1 + |x|).
    The derivative is that of the fixed point: see root.

    >>> iv.fixed_point(np.cos, 1.0)
    0.7390851332151607
    """
    _require_method(method, "iteration", "anderson")
    return _run(_fixed_point, f, _Options(method, tol, maxiter, unconverged), x0, args)


def minimize(
    f: Function,
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str | Function = "bfgs",
    tol: float | None = None,
    maxiter: int = 1000,
    unconverged: str = "warn",
) -> Any:
    """The x near x0 where f(x, *args), a scalar, is least.

    `method` is "bfgs", or "lbfgs" for many unknowns, both with a line search for Wolfe's conditions; or a solver of
    yours, a function of (f, x0) that gives x.  It ends when the gradient is at most tol max(1, gradient at x0).  The
    derivative is that of the minimum, where the gradient is 0: see root.

    >>> iv.minimize(lambda x: (x - 3.0) ** 2, 0.0)
    3.0
    """
    _require_method(method, "bfgs", "lbfgs")
    return _run(_minimize, f, _Options(method, tol, maxiter, unconverged), x0, args)


def _require_method(method: Any, *names: str) -> None:
    if not callable(method) and method not in names:
        raise ValueError(f"method is {' or '.join(map(repr, names))}, or a function of (f, x0), not {method!r}")


def _run(solver: Function, f: Function, options: _Options, *args: Any) -> Any:
    """The solver, in a staged program or as one."""
    if active():
        return solver(f, options, *args)
    return kept(_program, f, solver, options)(*args)


def _program(f: Function, solver: Function, options: _Options) -> Function:
    program = Derived(lambda *args: solver(f, options, *args), f, solver.__name__.strip("_"))
    beside = [g for g in (options.preconditioner, options.method) if callable(g)]
    if beside:  # what they depend on is watched, too
        program.__wrapped__ = functools.partial(f, *beside)
    return program


# --- vectors ----------------------------------------------------------------------------------------------------------


class _Vectors:
    """Pytrees like `model` as vectors."""

    def __init__(self, model: Any, what: str) -> None:
        leaves, self.spec = state.flatten(model)
        self.models = [numeric(x) for x in leaves]
        self.what = what
        kinds = {x.dtype for x in self.models}
        if len(kinds) != 1 or next(iter(kinds)).kind != "f":
            names = ", ".join(sorted(map(str, kinds))) or "nothing"
            raise error(TypeError, f"{what} must be floats of one dtype, not {names}")
        (self.dtype,) = kinds

    def vector(self, tree: Any, what: str) -> Any:
        leaves, spec = state.flatten(tree)
        if spec != self.spec:
            raise error(TypeError, f"{what} must have the structure of {self.what}")
        parts = []
        for x, model in zip(map(numeric, leaves), self.models, strict=True):
            if x.ndim != model.ndim:
                raise error(
                    ValueError, f"{what} must have the shape of {self.what}: it has {x.ndim} axes, not {model.ndim}"
                )
            for m, n in zip(x.shape, model.shape, strict=True):
                require_same(m, n, f"{what} must have the shape of {self.what}")
            x = x if x.dtype == self.dtype else x.astype(self.dtype)
            parts.append(call(np.ravel, x))
        return parts[0] if len(parts) == 1 else call(np.concatenate, parts)

    def tree(self, vector: Any) -> Any:
        leaves, start = [], 0
        for model in self.models:
            if not model.ndim:
                leaves.append(vector[start])
                start = start + 1
                continue
            part = vector if len(self.models) == 1 else vector[start : start + model.size]
            leaves.append(part.reshape(model.shape))
            start = start + model.size
        return state.unflatten(self.spec, leaves)

    def trees(self, f: Function) -> Function:
        """A function of vectors as one of trees."""
        return lambda t: self.tree(f(self.vector(t, "what the solver tries")))

    def map(self, f: Function, what: str) -> Function:
        """f as a function of vectors."""
        return lambda v, *args: self.vector(call(f, self.tree(v), *args), what)


class _Equations:
    """A function of a vector, and of the floats that it reads from around it: those as `values`."""

    def __init__(self, f: Function, example: Any) -> None:
        self.sub = subprogram(f, (example,), {}, [0])
        (self.own,) = self.sub.function.params[len(self.sub.args) - 1 :]
        self.outer = [p for p in self.sub.function.params[:-1] if dtype_of(p).is_float]
        self.values = tuple(map(value_of, self.outer))

    def __call__(self, values: Sequence[Any], x: Any) -> Any:
        env = dict(zip(self.outer, map(materialise, values), strict=True))
        (out,) = builder().splice(rename(self.sub.function.body, {**env, self.own: materialise(x)}))
        return like(self.sub.outs[0], out)


def _pulled(f: Function, values: tuple[Any, ...], x: Any, ct: Any) -> tuple[Any, ...]:
    """The cotangents of `values` in f(values, x)."""
    return vjp(lambda v: f(v, x), values)[1](ct)[0] if values else ()


# --- linear systems ---------------------------------------------------------------------------------------------------


class _System:
    """A linear function, its transpose, and how to solve with it."""

    def __init__(self, product: Function, transposed: Function, precondition: Function, options: _Options) -> None:
        self.product, self.transposed, self.precondition, self.options = product, transposed, precondition, options

    def turned(self) -> _System:
        """The transposed system."""
        if self.options.method == "cg":
            return self

        def precondition(v: Any) -> Any:
            return linear_transpose(self.precondition, v)(v)[0]

        return _System(self.transposed, self.product, precondition, self.options)

    def solve(self, values: tuple[Any, ...], b: Any, x0: Any) -> Any:
        o = self.options
        tol = o.tolerance(b.dtype, 0.7)
        maxiter = 10 * b.shape[0] + 100 if o.maxiter is None else o.maxiter
        precondition = lambda v: _stopped(self.precondition(v))  # noqa: E731
        matvec = lambda v: self.product(values, v)  # noqa: E731
        if o.method == "cg":
            return call(iterative.cg, matvec, b, x0, precondition, tol, maxiter, o.unconverged)
        return call(iterative.gmres, matvec, b, x0, precondition, tol, maxiter, o.restart, o.unconverged)


def _stopped(x: Any) -> Any:
    """x as a constant."""
    return call(functional.stop_gradient, x)


def _zeros(like: Any) -> Any:
    return full(like.shape, 0, like.dtype)


@functools.partial(custom_vjp, nondiff_argnums=(0,))
def _solution(system: _System, values: tuple[Any, ...], b: Any, x0: Any) -> Any:
    return system.solve(values, b, x0)


def _solution_forward(system: _System, values: tuple[Any, ...], b: Any, x0: Any) -> Any:
    x = _solution(system, values, b, x0)
    return x, (values, x)


def _solution_backward(system: _System, kept: Any, ct: Any) -> Any:
    values, x = kept
    adjoint = _solution(system.turned(), values, ct, _zeros(ct))
    return _pulled(system.product, values, x, -adjoint), adjoint, None


_solution.defvjp(_solution_forward, _solution_backward)


def _linear_solve(matvec: Function, options: _Options, b: Any, x0: Any = None) -> Any:
    vectors = _Vectors(b, "the right-hand side")
    right = vectors.vector(b, "")
    start = _zeros(right) if x0 is None else _stopped(vectors.vector(x0, "x0"))
    equations = _Equations(vectors.map(matvec, "the result of matvec"), right)
    given = options.preconditioner
    precondition = (lambda v: v) if given is None else vectors.map(given, "the result of the preconditioner")

    def transposed(values: Any, y: Any) -> Any:
        return linear_transpose(lambda x: equations(values, x), y)(y)[0]

    system = _System(equations, transposed, precondition, options)
    return vectors.tree(_solution(system, equations.values, right, start))


# --- equations --------------------------------------------------------------------------------------------------------


class _Problem:
    """Equations F(θ, x) = 0, how they are solved for x, and how systems with ∂F/∂x are."""

    def __init__(self, equations: _Equations, solve: Function, dense: bool, options: _Options) -> None:
        self.equations, self.solve, self.dense, self.options = equations, solve, dense, options

    def adjoint(self, values: tuple[Any, ...], x: Any, ct: Any) -> Any:
        """λ with (∂F/∂x)ᵀ λ = ct."""
        if self.dense:
            return call(np.linalg.solve, jacfwd(lambda y: self.equations(values, y))(x).T, ct)
        _, pullback = vjp(lambda y: self.equations(values, y), x)
        return _linear_solve(lambda v: pullback(v)[0], _Options("gmres", unconverged=self.options.unconverged), ct)


@functools.partial(custom_vjp, nondiff_argnums=(0,))
def _implicit(problem: _Problem, values: tuple[Any, ...], x0: Any) -> Any:
    return problem.solve(values, x0)


def _implicit_forward(problem: _Problem, values: tuple[Any, ...], x0: Any) -> Any:
    x = _implicit(problem, values, x0)
    return x, (values, x)


def _implicit_backward(problem: _Problem, kept: Any, ct: Any) -> Any:
    values, x = kept
    if not values:
        return (), None
    return _pulled(problem.equations, values, x, -problem.adjoint(values, x, ct)), None


_implicit.defvjp(_implicit_forward, _implicit_backward)


def _solved(x0: Any, dense: bool, options: _Options, f: Function, solve: Function, what: str) -> Any:
    """The solution of f(x) = 0, for which `solve(function of a vector, x0)` looks."""
    vectors = _Vectors(x0, "x0")
    start = _stopped(vectors.vector(x0, "x0"))
    equations = _Equations(lambda v: vectors.vector(f(vectors.tree(v)), what), start)
    problem = _Problem(equations, lambda values, x: solve(lambda v: equations(values, v), x), dense, options)
    return vectors.tree(_implicit(problem, equations.values, start))


class _Own:
    """A solver of the user's, on vectors."""

    def __init__(self, solver: Function, x0: Any) -> None:
        self.solver, self.vectors = solver, _Vectors(x0, "x0")

    def __call__(self, f: Function, x: Any) -> Any:
        return self.vectors.vector(call(self.solver, f, self.vectors.tree(x)), "the solver's result")


def _own(options: _Options, x0: Any) -> _Own | None:
    return _Own(options.method, x0) if callable(options.method) else None


def _root(f: Function, options: _Options, x0: Any, args: tuple[Any, ...]) -> Any:
    dense = options.method == "newton"
    own = _own(options, x0)

    def solve(g: Function, x: Any) -> Any:
        if own is not None:
            return own(own.vectors.trees(g), x)

        def step(v: Any, r: Any) -> Any:
            if dense:
                return call(np.linalg.solve, jacfwd(g)(v), r)
            loosely = _Options("gmres", tol=1e-3, unconverged="ignore")
            return _linear_solve(lambda d: jvp(g, (v,), (d,))[1], loosely, r)

        tol = options.tolerance(x.dtype, 0.7)
        return call(iterative.newton, g, step, x, tol, options.maxiter, options.unconverged)

    return _solved(x0, dense, options, lambda x: call(f, x, *args), solve, "the result of the function")


def _fixed_point(f: Function, options: _Options, x0: Any, args: tuple[Any, ...]) -> Any:
    vectors, own = _Vectors(x0, "x0"), _own(options, x0)

    def distance(x: Any) -> Any:
        leaves, spec = state.flatten(x)
        after = state.flatten(vectors.tree(vectors.vector(call(f, x, *args), "the result of the function")))[0]
        return state.unflatten(spec, [a - b for a, b in zip(leaves, after, strict=True)])

    def solve(g: Function, x: Any) -> Any:
        mapped = lambda v: v - g(v)  # noqa: E731
        if own is not None:
            return own(vectors.trees(mapped), x)
        method = iterative.anderson if options.method == "anderson" else iterative.iterate
        return call(method, mapped, x, options.tolerance(x.dtype, 0.7), options.maxiter, options.unconverged)

    return _solved(x0, False, options, distance, solve, "the result of the function")


def _minimize(f: Function, options: _Options, x0: Any, args: tuple[Any, ...]) -> Any:
    gradient = grad(lambda x: call(f, x, *args))
    vectors, own = _Vectors(x0, "x0"), _own(options, x0)
    value = _Equations(lambda v: call(f, vectors.tree(v), *args), vectors.vector(x0, ""))

    def solve(g: Function, x: Any) -> Any:
        constants = tuple(map(_stopped, value.values))
        height = lambda v: value(constants, v)  # noqa: E731
        if own is not None:
            return own(lambda t: height(vectors.vector(t, "what the solver tries")), x)
        method = iterative.lbfgs if options.method == "lbfgs" else iterative.bfgs
        both, tol = value_and_grad(height), options.tolerance(x.dtype, 0.5)
        return call(method, both, x, tol, options.maxiter, options.unconverged)

    return _solved(x0, False, options, gradient, solve, "the gradient")
