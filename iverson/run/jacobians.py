"""jacfwd, jacrev, jacobian, hessian, hvp: derivatives of functions with many results.

Complex arguments and results follow `run/leaves.py`.  With `holomorphic` the complex derivative is had from half of the
real one: by columns from the tangents of the arguments' real parts, by rows from the results' real parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iverson.core.syntax import Atom, Literal
from iverson.diff.tape import AUTO, Policy
from iverson.lang import state
from iverson.lang.branch import ifexp
from iverson.lang.calls import call
from iverson.lang.errors import error
from iverson.lang.inner import Subprogram, is_numeric, numeric, subprogram, value_of
from iverson.lang.num import Num, constant
from iverson.lang.shapes import Extent, atoms, product
from iverson.lang.values import elementwise, generate, owned
from iverson.run import derive
from iverson.run.jit import Derived
from iverson.run.leaves import Argnums, Chosen, is_inexact, require_pair
from iverson.run.tape import Tape, unplanned
from iverson.run.transforms import grad, jvp


def jacfwd(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian of f by forward mode, one product per input: best for few inputs.

    For each floating-point result an array [shape of the result..., shape of the argument...], in the structure of the
    result and, within it, of the argument.  With `has_aux` f returns (result, anything), and it is (Jacobian,
    anything).  `holomorphic`: f is a complex function of complex numbers with a complex derivative, which it is then.

    Raises TypeError for an argument that isn't floating-point, and for a complex one without `holomorphic`.

    >>> iv.jacfwd(lambda x: x * x[::-1])(np.array([1.0, 2.0]))
    array([[2., 1.],
           [2., 1.]])
    """

    def stage(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen(args, argnums, holomorphic)
        if holomorphic:
            real, g = _of_real_parts(_checked(f, has_aux, _complex), args, chosen)
        elif any(d.kind == "c" for d in chosen.dtypes):
            raise error(
                TypeError,
                "forward mode by columns needs real arguments: say holomorphic=True if the function has a complex "
                "derivative, or use iv.jacrev for real results",
            )
        else:
            real, g = args, _checked(f, has_aux, lambda x: x)
        return _jacobian(subprogram(g, real, kwargs, chosen.leaves), chosen, "jacfwd", has_aux)

    return Derived(stage, f, "Jacobian by forward mode")


def jacrev(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    tape: Tape = "auto",
) -> Callable[..., Any]:
    """The Jacobian of f by reverse mode, one product per output: best for few outputs.  See jacfwd.

    In a complex argument z = x + iy it is df/dx - i df/dy, of real results.  `tape` as in iv.value_and_grad.
    """
    told = unplanned(tape)

    def stage(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen(args, argnums, holomorphic)
        g = _checked(f, has_aux, (lambda x: _complex(x).real) if holomorphic else _real)
        return _jacobian(subprogram(g, args, kwargs, chosen.leaves), chosen, "jacrev", has_aux, told)

    return Derived(stage, f, "Jacobian by reverse mode")


def jacobian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    tape: Tape = "auto",
) -> Callable[..., Any]:
    """The Jacobian of f by the mode that needs fewer products: forward unless the results are fewer than the inputs.

    Where that depends on the lengths of arguments, the run decides; results of lengths that f computes go by reverse
    mode.  See jacfwd.
    """
    columns = jacfwd(f, argnums, has_aux, holomorphic)
    rows = jacrev(f, argnums, has_aux, holomorphic, tape)

    def stage(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen(args, argnums, holomorphic)
        sub = subprogram(_checked(f, has_aux, lambda x: x), args, kwargs, chosen.leaves)
        head = sub.head(sub.result[0])
        outside = {*sub.function.params}
        results = [x for x in head.outs if is_inexact(x)]
        lengths = [n for x in results for n in atoms(x.shape)]
        computed = not all(n in outside or isinstance(n, Literal) for n in lengths)
        if computed or (not holomorphic and any(d.kind == "c" for d in chosen.dtypes)):
            return rows(*args, **kwargs)
        few = constant(_count([numeric(chosen.values[k]) for k in chosen.leaves]) <= _count(results))
        return ifexp(few, lambda: columns(*args, **kwargs), lambda: rows(*args, **kwargs))

    return Derived(stage, f, "Jacobian")


def hessian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    tape: Tape = "auto",
) -> Callable[..., Any]:
    """The Hessian, forward over reverse mode: [shape of the result..., shape of the argument..., the same again...].

    Of arguments that are pytrees, and of several, a block for each pair, as a tree of trees.  See jacfwd.
    """
    return jacfwd(jacrev(f, argnums, has_aux, holomorphic, tape), argnums, has_aux, holomorphic)


def hvp(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, tape: Tape = "auto") -> Callable[..., Any]:
    """A function of (*args, v) that gives the Hessian of f at args, times v: forward over reverse, O(1) times f's work.

    v is like the argument `argnums`, or a tuple of several.  With `has_aux` f returns (value, anything), and it is
    (product, anything).

    >>> iv.hvp(lambda x, c: c * (x**3).sum())(np.array([1.0, 2.0]), 2.0, np.array([1.0, 0.0]))
    array([12.,  0.])
    """
    gradient = grad(f, argnums, has_aux, tape)

    def stage(*args: Any, **kwargs: Any) -> Any:
        if not args:
            raise error(TypeError, "iv.hvp takes the arguments of the function and then the vector")
        *given, v = args
        places = [argnums] if isinstance(argnums, int) else list(argnums)
        Chosen(given, argnums)  # raises unless these have derivatives

        def of_chosen(*chosen: Any) -> Any:
            actual = list(given)
            for k, x in zip(places, chosen, strict=True):
                actual[k] = x
            return call(gradient, *actual, **kwargs)

        directions = (v,) if isinstance(argnums, int) else tuple(v)
        if len(directions) != len(places):
            raise error(TypeError, f"iv.hvp needs one vector an argument: {len(places)}, not {len(directions)}")
        _, product, *aux = jvp(of_chosen, tuple(given[k] for k in places), directions, has_aux=has_aux)
        return (product, *aux) if has_aux else product

    return Derived(stage, f, "Hessian-vector product")


# --- the pieces -------------------------------------------------------------------------------------------------------


def _jacobian(sub: Subprogram, chosen: Chosen, rule: str, has_aux: bool, told: Policy = AUTO) -> Any:
    """The Jacobian of the first of a pair of results, and with `has_aux` the second."""
    head = sub.head(sub.result[0])
    outs = iter(derive.apply(head, rule, policy=told))

    def block(k: int) -> Any:
        x = head.outs[k]
        if not is_inexact(x):
            return None
        if rule == "jacrev":
            return chosen.cotangents([next(outs) for _ in chosen.leaves])
        return chosen.like([_column(x, next(outs)) for _ in chosen.leaves])

    blocks = [block(k) for k in range(len(head.outs))]
    jacobian = head.map_outs(lambda k: blocks[k])
    return (jacobian, sub.rebuild(sub.apply(sub.function))[1]) if has_aux else jacobian


def _column(x: Any, atom: Atom) -> Any:
    """A block of a result by forward mode; the pairs of a complex one lie between its axes and the argument's."""
    if x.dtype.kind != "c":
        return value_of(atom)
    parts, n = owned(atom), x.ndim

    def element(*i: Any) -> Num:
        re, im = (parts.read((*i[:n], c, *i[n:])) for c in (0, 1))
        return Num(re.atom, False, im.atom)

    joined = generate((*parts.shape[:n], *parts.shape[n + 1 :]), element)
    return joined if joined.ndim else joined.read(())


def _checked(f: Callable[..., Any], has_aux: bool, of_leaf: Callable[[Any], Any]) -> Callable[..., Any]:
    """f as a function that gives a pair, with `of_leaf` of the leaves that have a derivative in the first of it."""

    def pair(*args: Any, **kwargs: Any) -> Any:
        result = call(f, *args, **kwargs)
        out, aux = require_pair(result, f) if has_aux else (result, None)
        if out is None:
            name = getattr(f, "__name__", "f")
            raise error(TypeError, f"{name} returns None, which has no derivative (see iv.functional)")
        leaves, tree = state.flatten(out)
        leaves = [of_leaf(numeric(x)) if is_numeric(x) and is_inexact(numeric(x)) else x for x in leaves]
        return state.unflatten(tree, leaves), aux

    return pair


def _complex(x: Any) -> Any:
    if x.dtype.kind != "c":
        raise error(TypeError, f"with holomorphic=True the function must return complex numbers, not {x.dtype}")
    return x


def _real(x: Any) -> Any:
    if x.dtype.kind == "c":
        raise error(
            TypeError,
            "reverse mode by rows needs real results: say holomorphic=True if the function has a complex derivative",
        )
    return x


def _of_real_parts(f: Callable[..., Any], args: tuple[Any, ...], chosen: Chosen) -> tuple[Any, Callable[..., Any]]:
    """The arguments with the chosen leaves replaced by their real parts, and f as a function of those."""
    leaves, tree = state.flatten(args)
    imaginary = {k: numeric(leaves[k]).imag for k in chosen.leaves}
    real = [numeric(x).real if k in imaginary else x for k, x in enumerate(leaves)]

    def joined(re: Any, im: Any) -> Any:
        return elementwise(lambda x, y: Num(constant(x).atom, False, constant(y).atom), re, im)

    def of_real_parts(*given: Any, **kwargs: Any) -> Any:
        parts = state.flatten(given)[0]
        whole = [joined(x, imaginary[k]) if k in imaginary else x for k, x in enumerate(parts)]
        return call(f, *state.unflatten(tree, whole), **kwargs)

    return state.unflatten(tree, real), of_real_parts


def _count(values: Sequence[Any]) -> Extent:
    total: Any = 0
    for x in values:
        total = total + product(x.shape)
    return total  # type: ignore[no-any-return]
