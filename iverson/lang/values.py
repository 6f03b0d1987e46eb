"""Arrays of a staged program.

An `Arr` is a view: a source (mostly a storage cell), a shape, and the map from the view's indices to the source's.
Views copy nothing; a read happens when the operation that needs it is staged, a write rebinds the cell.

What functions on arrays are written with:

    lift(x)                           anything array-like as an Arr or a Num
    generate(shape, fn, dtype)        the array of fn(i, ...) over all indices: one For
    elementwise(fn, *operands)        fn on the elements of broadcast operands
    fold(monoid, shape, fn)           fn(i, ...) combined over all indices
    arr.read(index)                   one element, at indices known to be inside
    materialise(x)                    the core variable with the contents of x, contiguous and whole
    owned(var)                        an Arr of a fresh core array
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from iverson.core.build import dtype_of, extents_of, literal, make_type
from iverson.core.syntax import Atom, Map, Monoid, Read, Reduce, Var, arity
from iverson.lang.arithmetic import InPlace
from iverson.lang.dtypes import Kind, core_dtype, front_dtype, is_complex, supported
from iverson.lang.errors import error
from iverson.lang.lengths import rectangular
from iverson.lang.messages import sketch
from iverson.lang.num import Num, cast, constant, integer, is_scalar, kind_of, unify
from iverson.lang.shapes import (
    Extent,
    Shape,
    atoms,
    broadcast,
    certainly_differ,
    extent_atom,
    from_atom,
    product,
    require_same,
    stretch,
)
from iverson.lang.sources import Source, Storage, enforce
from iverson.lang.staging import Cell, Each, builder, current

Index = Sequence[Any]
Elements = Callable[..., Any]


def _identity(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return index


class Arr(InPlace):
    """A NumPy array of a staged program."""

    __slots__ = ("__weakref__", "at", "prefix", "readonly", "shape_", "source")
    __array_priority__ = 1000.0

    def __init__(
        self,
        source: Source,
        shape: Shape,
        at: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None,
        prefix: tuple[Any, ...] | None = (),
        readonly: str = "",
    ) -> None:
        self.source = source
        self.shape_ = shape
        self.at = at or _identity
        self.prefix = prefix if isinstance(source, Storage) else None  # the view is source[prefix], or None
        self.readonly = readonly  # why this view can't be written
        if isinstance(source, Storage):
            source.cell.views.add(self)

    def shadow(self) -> Arr:
        """The same view, not counted among those in use: for what may be forgotten."""
        other = object.__new__(type(self))
        for name in ("source", "shape_", "at", "prefix", "readonly"):
            setattr(other, name, getattr(self, name))
        return other

    def revive(self) -> Arr:
        """A shadow as a view in use."""
        return type(self)(self.source, self.shape_, self.at, self.prefix, self.readonly)

    def like(self, other: Arr) -> Arr:
        """This view with the Python type of another one (a list, say)."""
        return type(other)(self.source, self.shape_, self.at, self.prefix, self.readonly)

    def is_same(self, other: object) -> bool:
        """Whether two views are one."""
        if not isinstance(other, Arr) or len(self.shape_) != len(other.shape_):
            return False
        if isinstance(self.source, Storage) and isinstance(other.source, Storage):
            one = self.source.cell is other.source.cell
        else:
            one = self.source is other.source
        alike = self.at is other.at or (self.prefix is not None and self.prefix == () == other.prefix)
        return one and alike

    # --- what arrays know ---------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def shape(self) -> Shape:
        return self.shape_

    @shape.setter
    def shape(self, value: Any) -> None:
        view = self.reshape(value)
        if view.source is not self.source:
            raise error(AttributeError, "incompatible shape for in-place modification: use .reshape")
        self.shape_, self.at, self.prefix = view.shape_, view.at, view.prefix

    @property
    def ndim(self) -> int:
        return len(self.shape_)

    @property
    def size(self) -> Extent:
        return product(self.shape_)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Extent:
        return self.size * self.itemsize

    @property
    def T(self) -> Arr:
        axes = range(self.ndim)
        return self.permuted(tuple(reversed(axes)))

    @property
    def real(self) -> Any:
        return self if not is_complex(self.dtype) else elementwise(lambda z: z.real, self)

    @property
    def imag(self) -> Any:
        return elementwise(lambda z: z.imag, self)

    def conj(self) -> Any:
        return self if not is_complex(self.dtype) else elementwise(lambda z: z.conjugate(), self)

    conjugate = conj

    @property
    def kind(self) -> Kind:
        return Kind(self.dtype)

    @property
    def cell(self) -> Cell | None:
        return self.source.cell if isinstance(self.source, Storage) else None

    @property
    def whole(self) -> bool:
        """Whether this is all of a cell, in its order."""
        return self.prefix == ()

    def __len__(self) -> int:
        n = self.length
        if isinstance(n, int):
            return n
        raise error(
            TypeError,
            "len() of this array is only known when the program runs, and Python's own len must be an int; in "
            "functions whose source is staged len() works, elsewhere use x.shape[0]",
        )

    @property
    def length(self) -> Extent:
        if not self.shape_:
            raise error(TypeError, "len() of unsized object: the array has no axes")
        return self.shape_[0]

    # --- reading and views --------------------------------------------------------------------------------------------

    def read(self, index: Index, safe: bool = True) -> Num:
        """One element; `safe` if the indices are known to be inside the view."""
        return self.source.read(self.place(index, safe), safe)

    def place(self, index: Index, safe: bool) -> tuple[Any, ...]:  # of an element, in the source
        at = self.at(tuple(index))
        if not (safe or self.at is _identity):
            enforce(self.source, at, index, self.shape_)
        return at

    def view(self, shape: Shape, at: Callable[[tuple[Any, ...]], tuple[Any, ...]], prefix: Any = None) -> Arr:
        """A view of this view: `at` maps its indices to this one's."""
        outer = self.at
        return Arr(self.source, shape, lambda index: outer(at(index)), prefix, self.readonly)

    def permuted(self, axes: tuple[int, ...]) -> Arr:
        """The axes in another order."""
        if axes == tuple(range(self.ndim)):
            return self
        place = {a: k for k, a in enumerate(axes)}
        return self.view(
            tuple(self.shape_[a] for a in axes), lambda index: tuple(index[place[a]] for a in range(len(axes)))
        )

    def __getitem__(self, index: Any) -> Any:
        from iverson.lang.indexing import get

        return get(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        from iverson.lang.indexing import put

        put(self, index, value)

    def __iter__(self) -> Any:
        n = self.length
        if not isinstance(n, int):
            raise error(
                TypeError,
                "Python iterates here over an array whose length is only known when the program runs; a for "
                "statement, a comprehension or a reduction in a function whose source is staged can do that",
            )
        return (self[k] for k in range(n))

    def item(self, *index: Any) -> Any:
        if index:
            return self[index if len(index) > 1 else index[0]]
        for n in self.shape_:
            if isinstance(n, int) and n != 1:
                raise error(ValueError, "can only convert an array of size 1 to a Python scalar")
            require_same(n, 1, "can only convert an array of size 1 to a Python scalar")
        return self.read((0,) * self.ndim)

    def tolist(self) -> Any:
        return copy(self) if self.ndim else self.read(())

    def staged_number(self) -> Any:
        """The element of an array without axes."""
        return self if self.ndim else self.read(())

    def staged_truth(self) -> Any:
        several = "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"
        if any(certainly_differ(n, 1) for n in self.shape_):
            raise error(ValueError, several)
        for n in self.shape_:
            require_same(n, 1, several)
        return self.read((0,) * self.ndim)

    def __getattr__(self, name: str) -> Any:
        from iverson.lang.table import method

        return method(self, name)

    def copy(self, order: str = "C") -> Arr:
        return copy(self)

    def __copy__(self) -> Arr:
        return copy(self)

    def __deepcopy__(self, memo: Any) -> Arr:
        return copy(self)

    def astype(self, dtype: Any, order: str = "K", casting: str = "unsafe", copy: bool = True) -> Arr:
        d = supported(dtype)
        if not copy and d == self.dtype:
            return self
        return generate(self.shape_, lambda *index: cast(self.read(index), d), d)

    def reshape(self, *shape: Any, order: str = "C") -> Arr:
        from iverson.lang.indexing import reshape

        return reshape(self, shape[0] if len(shape) == 1 else shape, order)

    # --- protocols and operators --------------------------------------------------------------------------------------

    def operate(self, function: np.ufunc, *operands: Any) -> Any:
        from iverson.lang.table import apply_ufunc

        return apply_ufunc(function, "__call__", operands, {}) if all(map(is_operand, operands)) else NotImplemented

    def update(self, function: np.ufunc, operand: Any) -> Any:
        from iverson.lang.indexing import update

        update(function, self, Ellipsis, operand)
        return self

    def __array_ufunc__(self, function: np.ufunc, how: str, *inputs: Any, **kwargs: Any) -> Any:
        from iverson.lang.table import apply_ufunc

        return apply_ufunc(function, how, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from iverson.lang.table import apply_function

        return apply_function(function, args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise error(
            TypeError,
            "an array of the staged program is passed to code that isn't staged and needs its contents (docs/names.md "
            "lists the functions of NumPy and SciPy that are staged)",
        )

    def __bool__(self) -> bool:
        return bool(self.staged_truth())

    def __index__(self) -> int:
        return self.item().__index__()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __repr__(self) -> str:
        lengths = ", ".join(str(n) if isinstance(n, int) else "?" for n in self.shape_)
        return f"<array of a staged program, {self.dtype.name}[{lengths}]>"

    def __str__(self) -> str:
        return sketch(repr(self))


# --- making arrays ----------------------------------------------------------------------------------------------------


def owned(var: Atom, dtype: np.dtype[Any] | None = None, name: str = "") -> Arr:
    """A new cell that holds `var`, seen whole."""
    d = dtype or front_dtype(dtype_of(var))
    lengths = extents_of(var)[:-1] if is_complex(d) else extents_of(var)
    return Arr(Storage(current().cell(var, d, name)), tuple(map(from_atom, lengths)))


def indices(shape: Shape, index: Sequence[Var]) -> list[Num]:
    """Loop indices over a shape, with what is known of them."""
    affine = current().affine_of
    out = []
    for i, n in zip(index, atoms(shape), strict=True):
        base, offset = affine(n)
        out.append(integer(i, 0, (base, offset - 1)))
    return out


def in_parallel(shape: Shape, body: Callable[..., Any], yields: Any) -> tuple[Var, ...]:
    """A For whose body is staged in a scope of its own; `body` takes Nums and gives core atoms."""
    state = current()

    def staged(*index: Var) -> Any:
        with state.scope(Each()) as scope:
            outs = body(*indices(shape, index))
        inner = {*index, *(v for let in scope.lets for v in let.vars)}
        if any(n in inner for o in outs for n in extents_of(o)):
            with state.scope(scope):
                outs = tuple(rectangular(o, inner) for o in outs)
        builder().splice(state.block(scope, ()))
        return outs

    return builder().for_(atoms(shape), staged, yields)


def generate(shape: Sequence[Extent], fn: Elements, dtype: Any = None, name: str = "") -> Any:
    """The array of fn(i, ...) for all indices: Nums, Python scalars, or arrays of one shape.

    With `dtype` the elements are cast to it.  If fn gives a tuple, one array for each of its members.  A shape without
    axes gives a 0-dimensional array.
    """
    shape = tuple(shape)
    found: list[tuple[np.dtype[Any], bool]] = []

    def body(*index: Num) -> tuple[Atom, ...]:
        values = fn(*index)
        found.clear()
        outs = []
        for value in values if isinstance(values, tuple) else (values,):
            d = supported(dtype) if dtype is not None else supported(kind_or_array(value))
            found.append((d, isinstance(values, tuple)))
            outs.append(element(value, d))
        return tuple(outs)

    if not shape:
        results: Sequence[Atom] = body()
    else:
        results = in_parallel_maps(shape, body)
    made = tuple(owned(r, d, name) for r, (d, _) in zip(results, found, strict=True))
    return made if found and found[0][1] else made[0]


def in_parallel_maps(shape: Shape, body: Callable[..., tuple[Atom, ...]]) -> tuple[Var, ...]:
    """A For of Maps, as many as the body has values."""

    counted: list[Map] = []  # the number of results is only known after the body is staged

    def counting(*index: Num) -> tuple[Atom, ...]:
        outs = body(*index)
        counted.extend(Map() for _ in outs)
        return outs

    return in_parallel(shape, counting, counted)


def kind_or_array(value: Any) -> np.dtype[Any]:
    return value.dtype if isinstance(value, Arr) else kind_of(value).dtype


def element(value: Any, dtype: np.dtype[Any]) -> Atom:
    """The core atom of an element: a scalar, an array, or a pair for a complex number."""
    if isinstance(value, Arr):
        return materialise(value if value.dtype == dtype else value.astype(dtype))
    x = cast(value, dtype)
    return pair(x) if x.im is not None else x.atom


def pair(z: Num) -> Var:
    """A complex number as an array of two."""
    assert z.im is not None
    b, re, im = builder(), z.atom, z.im
    return b.map(2, lambda c: b.o.select(b.o.eq(c, 0), re, im))


def elementwise(fn: Elements, *operands: Any, dtype: Any = None) -> Any:
    """fn on the elements of broadcast operands: a Num if all are scalars, else an array (or a tuple of arrays)."""
    lifted = [lift(x) for x in operands]
    arrays = [x for x in lifted if isinstance(x, Arr)]
    if not any(a.ndim for a in arrays):
        values = [x.read(()) if isinstance(x, Arr) else x for x in lifted]
        out = fn(*values)
        return out if dtype is None else cast(out, supported(dtype))
    shape = broadcast([a.shape for a in arrays])

    def body(*index: Num) -> Any:
        return fn(*(x.read(stretch(index, x.shape)) if isinstance(x, Arr) else x for x in lifted))

    return generate(shape, body, dtype)


def fold(monoid: Monoid, shape: Sequence[Extent], fn: Elements) -> Any:
    """fn(i, ...) combined over all indices: a Num, or a tuple of them for a monoid of tuples."""
    found: list[Num] = []

    def body(*index: Num) -> tuple[Atom, ...]:
        values = fn(*index)
        found[:] = [constant(v) for v in (values if isinstance(values, tuple) else (values,))]
        if any(v.im is not None for v in found):
            raise error(TypeError, f"complex numbers have no {monoid}")
        return tuple(v.atom for v in found)

    shape = tuple(shape)
    if not shape:
        outs: Sequence[Atom] = body()
    else:
        outs = in_parallel(shape, body, (Reduce(monoid),))
    nums = tuple(Num(o, v.weak) for o, v in zip(outs, found, strict=True))
    return nums if arity(monoid) > 1 else nums[0]


def total(shape: Sequence[Extent], fn: Elements) -> Num:
    """The sum of fn(i, ...), of complex numbers too."""
    shape = tuple(shape)
    found: list[Num] = []

    def body(*index: Num) -> tuple[Atom, ...]:
        found[:] = [constant(fn(*index))]
        x = found[0]
        return (x.atom,) if x.im is None else (x.atom, x.im)

    yields: list[Reduce] = []

    def counting(*index: Num) -> tuple[Atom, ...]:
        outs = body(*index)
        yields.extend(Reduce("add") for _ in outs)
        return outs

    outs = in_parallel(shape, counting, yields) if shape else body()
    return Num(outs[0], found[0].weak, outs[1] if len(outs) > 1 else None)


def full(shape: Sequence[Extent], value: Any, dtype: Any = None) -> Arr:
    """An array of one value."""
    d = supported(dtype) if dtype is not None else kind_of(value).dtype
    x = cast(value, d)
    return generate(shape, lambda *_: x, d)


def copy(x: Any) -> Arr:
    """A new array with the contents of x."""
    a = lift_array(x)
    return generate(a.shape, lambda *index: a.read(index), a.dtype)


def materialise(x: Any) -> Atom:
    """The core variable that holds the contents of an array, whole and in order; a copy unless it is there.

    It may be another array's storage, or a row of one: to be read, or consumed (which copies if need be).
    """
    a = lift_array(x)
    if a.prefix is not None and a.cell is not None:
        contents = current().contents(a.cell)
        if not a.prefix:
            return contents
        if a.ndim:
            return builder().emit(Read(contents, tuple(map(extent_atom, a.prefix)), True))[0]  # type: ignore[arg-type]
    if not a.ndim:
        return element(a.read(()), a.dtype)
    return current().contents(copy(a).cell)  # type: ignore[arg-type]


def is_operand(value: Any) -> bool:
    """Whether an operator of arrays takes a value."""
    return isinstance(value, Arr | np.ndarray | list | tuple) or is_scalar(value) or hasattr(value, "staged_array")


# --- lifting ----------------------------------------------------------------------------------------------------------


def lift(value: Any) -> Any:
    """Anything array-like as an Arr; scalars as they are."""
    if isinstance(value, Arr) or is_scalar(value):
        return value
    if isinstance(value, np.ndarray):
        return captured(value)
    if isinstance(value, list | tuple):
        return stack([lift(v) for v in value])
    if hasattr(value, "staged_array"):
        return value.staged_array()
    if hasattr(value, "__array__") and not isinstance(value, type):
        return captured(np.asarray(value), value)
    raise error(TypeError, f"{type(value).__name__} is neither a number nor an array")


def lift_array(value: Any) -> Arr:
    """The same, with scalars as 0-dimensional arrays."""
    x = lift(value)
    return x if isinstance(x, Arr) else generate((), lambda: x)


def stack(values: Sequence[Any]) -> Arr:
    """Scalars or arrays of one shape along a new first axis: np.array of a list."""
    values = list(values)
    if not values:
        return full((0,), 0.0)
    if any(isinstance(v, Arr) for v in values):
        arrays = [lift_array(v) for v in values]
        shape = arrays[0].shape
        for a in arrays[1:]:
            if a.ndim != len(shape):
                raise error(ValueError, "the rows of a list have an inhomogeneous shape: it is not an array")
            shape = tuple(_same_row(m, n) for m, n in zip(shape, a.shape, strict=True))
        d = np.result_type(*(a.dtype for a in arrays))
        return assemble(arrays, shape, d)
    nums = unify(*values)
    d = nums[0].dtype
    return assemble([generate((), lambda x=x: x, d) for x in nums], (), d)


def _same_row(m: Extent, n: Extent) -> Extent:
    return require_same(m, n, "the rows of a list have an inhomogeneous shape: their lengths differ")


def assemble(parts: Sequence[Arr], shape: Shape, dtype: np.dtype[Any]) -> Arr:
    """Arrays of one shape, few, written one after the other into a new one."""
    from iverson.lang.indexing import contribute

    def body(acc: Var) -> tuple[()]:
        for k, part in enumerate(parts):
            if shape:
                in_parallel(
                    shape, lambda *i, k=k, part=part: contribute(acc, (k, *i), cast(part.read(i), dtype)) or (), ()
                )
            else:
                contribute(acc, (k,), cast(part.read(()), dtype))
        return ()

    start = materialise(full((len(parts), *shape), 0, dtype))
    return owned(builder().accumulate([("set", [start])], body)[0], dtype)


def table(numbers: np.ndarray) -> Arr:
    """Numbers that are known now as a hidden input of the program, one for equal tables; it isn't written."""
    return captured(numbers, key=(numbers.dtype.str, numbers.tobytes()))


def captured(array: np.ndarray, owner: Any = None, key: Hashable = None) -> Arr:
    """An array from outside of the function: a hidden input of the program, the same each time it is met."""
    state = current()
    key = id(array if owner is None else owner) if key is None else key
    if key not in state.captured:
        d = supported(array.dtype)
        lengths = (*array.shape, 2) if is_complex(d) else array.shape
        var = Var(make_type(core_dtype(d), [literal(n) for n in lengths]), "const")
        cell = Cell(var, d, 0, "const")
        state.captured[key] = array if owner is None else owner, var, Arr(Storage(cell), array.shape)
    return state.captured[key][2]
