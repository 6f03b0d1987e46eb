"""From a primitive's name to LLVM IR.

    emit(name, dtype, args, fresh, flags) -> (lines, result)     one application, as instructions
    complete(text) -> (text, symbols)                            a module with the helpers it calls, transitively

`dtype` is that of the (last) arguments, `args` their texts, `fresh` gives new names.  `flags` are the fast-math flags
the caller grants the arithmetic instructions themselves, never the insides of a function.  With `scalar=True` functions
come from libm: faster in a chain of scalars, where the inlined polynomials are made for loops that vectorise.

Divisors and shift counts are any integers here and never trap: raising is a check that the program makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from iverson.backend import elementary, gaussian, guarded, power, runtime, special, trigonometric
from iverson.backend.abi import LLVM_TYPE
from iverson.backend.guarded import GUARDED
from iverson.backend.special import PURE
from iverson.backend.text import BITS, SUFFIX, Code, Value, function
from iverson.core.prims import TABLE
from iverson.core.syntax import DType

Lines = list[str]
_DTYPE = {t: d for d, t in LLVM_TYPE.items()}


def emit(
    name: str, dtype: DType, args: Sequence[str], fresh: Callable[[], str], flags: str = "", *, scalar: bool = False
) -> tuple[Lines, str]:
    """The instructions of one primitive applied to operands, and the operand that is its result."""
    row = TABLE[name]
    first = row.first or dtype
    types = [LLVM_TYPE[first], *(LLVM_TYPE[dtype] for _ in args[1:])]
    code = Code(fresh, flags)
    operands = [Value(code, a, t) for a, t in zip(args, types, strict=True)]
    kind, _, what = row.recipe.partition(":")
    match kind:
        case "op":
            result = _OPERATIONS[what](code, *operands)
        case "cmp":
            result = _compare(what, *operands)
        case "llvm":
            result = operands[0].call(what, *operands[1:])
        case "cast":
            result = _cast(code, operands[0], DType(row.name))
        case "inline":
            result = _INLINE[what](code, *operands)
        case "call":
            variant = "_scalar" if scalar and what in _LIBM and dtype.is_float else ""
            result = code.invoke(f"iv_{what}_{SUFFIX[operands[-1].type]}{variant}", operands[-1].type, *operands)
        case _:
            raise NotImplementedError(f"no recipe {row.recipe!r} for the primitive {name}")
    return code.lines, result.text


# --- instructions -----------------------------------------------------------------------------------------------------

_OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": lambda code, a, b: a + b,
    "sub": lambda code, a, b: a - b,
    "mul": lambda code, a, b: a * b,
    "div": lambda code, a, b: a / b,
    "neg": lambda code, a: -a,
    "stop": lambda code, a: a,
    "keep": lambda code, a: a,
    "recompute": lambda code, a: a,
    "and": lambda code, a, b: a & b,
    "or": lambda code, a, b: a | b,
    "xor": lambda code, a, b: a ^ b,
    "not": lambda code, a: ~a,
    "select": lambda code, p, a, b: code.select(p, a, b),
}


def _compare(what: str, a: Value, b: Value) -> Value:
    if a.type in ("double", "float"):
        return a.compare("une" if what == "ne" else f"o{what}", b)
    signed = what if what in ("eq", "ne") else f"{'u' if a.type == 'i1' else 's'}{what}"
    return a.compare(signed, b)


def _cast(code: Code, x: Value, to: DType) -> Value:
    """To int: truncation, and out of range or NaN some integer, always the same one for one execution."""
    source, target = _DTYPE[x.type], LLVM_TYPE[to]
    if source is to:
        return x
    if to is DType.BOOL:
        return x.compare("une" if source.is_float else "ne", 0)
    if source is DType.BOOL:
        return x.convert("uitofp" if to.is_float else "zext", target)
    if source.is_float and to.is_float:
        return x.convert("fpext" if target == "double" else "fptrunc", target)
    if source.is_float:
        return code.let(f"freeze {target} {x.convert('fptosi', target).text}", target)
    if to.is_float:
        return x.convert("sitofp", target)
    return x.convert("sext" if BITS[target] > BITS[x.type] else "trunc", target)


# --- short sequences --------------------------------------------------------------------------------------------------


def _is_float(x: Value) -> bool:
    return x.type in ("double", "float")


def _plain(code: Code, *values: Value) -> tuple[Code, list[Value]]:
    """The same code without fast-math flags."""
    plain = Code(code.fresh, "", code.lines)
    return plain, [Value(plain, v.text, v.type) for v in values]


def _safe_divisor(code: Code, b: Value) -> Value:
    """1 for the two divisors for which the machine may trap, 0 and -1."""
    return code.select((b + 1).compare("ult", 2), 1, b)


def _exponent(b: Value) -> int | None:
    """k where b is the constant 2**k."""
    power = int(b.text) if b.text.isdecimal() else 0
    return power.bit_length() - 1 if power > 0 and power & (power - 1) == 0 else None


def _floordiv(code: Code, a: Value, b: Value) -> Value:
    if _is_float(a):
        return code.invoke(f"iv_floordiv_{SUFFIX[a.type]}", a.type, a, b)
    if (k := _exponent(b)) is not None:
        return a.op("ashr", k)
    d = _safe_divisor(code, b)
    q = a.op("sdiv", d)
    r = a - q * d
    down = r.compare("ne", 0) & ((r ^ d) < 0)
    q = q - down.convert("zext", a.type)
    return code.select(b.equals(-1), -a, q)


def _mod(code: Code, a: Value, b: Value) -> Value:
    if _is_float(a):
        return code.invoke(f"iv_mod_{SUFFIX[a.type]}", a.type, a, b)
    if (k := _exponent(b)) is not None:
        return a & ((1 << k) - 1)
    d = _safe_divisor(code, b)
    r = a.op("srem", d)
    return r + code.select(r.compare("ne", 0) & ((r ^ d) < 0), d, 0)


def _remainder(code: Code, a: Value, b: Value) -> tuple[Value, Value]:
    """fmod, and whether it is non-zero with the wrong sign."""
    r = code.invoke(f"iv_fmod_{SUFFIX[a.type]}", a.type, a, b)
    return r, r.compare("one", 0.0) & (b < 0.0).compare("ne", r < 0.0)


def _float_mod(code: Code, a: Value, b: Value) -> Value:
    """fmod, with the divisor's sign."""
    r, wrong = _remainder(code, a, b)
    return code.select(r.equals(0.0), code.number(a.type, 0.0).call("copysign", b), code.select(wrong, r + b, r))


def _float_floordiv(code: Code, a: Value, b: Value) -> Value:
    """The floor of the exact quotient, as NumPy has it: (a - fmod) / b, to the nearest integer."""
    r, wrong = _remainder(code, a, b)
    quotient = (a - r) / b
    quotient = code.select(wrong, quotient - 1.0, quotient)
    below = quotient.call("floor")
    nearest = code.select(quotient - below > 0.5, below + 1.0, below)
    nearest = code.select(quotient.equals(0.0), code.number(a.type, 0.0).call("copysign", a / b), nearest)
    return code.select(b.equals(0.0), a / b, nearest)


def _abs(code: Code, x: Value) -> Value:
    if _is_float(x):
        return x.call("fabs")
    return code.let(f"call {x.type} @llvm.abs.{SUFFIX[x.type]}({x.type} {x.text}, i1 false)", x.type)


def _sign(code: Code, x: Value) -> Value:
    if not _is_float(x):
        return (x > 0).convert("zext", x.type) - (x < 0).convert("zext", x.type)
    negative = code.select(x < 0.0, code.number(x.type, -1.0), 0.0)
    return code.select(x.compare("uno", x), x, code.select(x > 0.0, 1.0, negative))


def _extremum(which: str, code: Code, a: Value, b: Value) -> Value:
    """NaN if either is; of zeros of both signs either, which is what lets it vectorise."""
    if not _is_float(a):
        return a.call(f"s{which}", b)
    marked = Code(code.fresh, " ".join(dict.fromkeys((*code.flags.split(), "nsz"))), code.lines)
    return Value(marked, a.text, a.type).call(f"{which}imum", b)


def _shift(opcode: str, code: Code, x: Value, count: Value) -> Value:
    bits = BITS[x.type]
    if opcode == "ashr":
        return x.op("ashr", count.call("umin", bits - 1))
    out = count.compare("uge", bits)
    return code.select(out, 0, x.op(opcode, count & (bits - 1)))


def _umulhi(code: Code, a: Value, b: Value) -> Value:
    bits = BITS[a.type]
    wide = [code.let(f"zext {v.type} {v.text} to i{2 * bits}", f"i{2 * bits}") for v in (a, b)]
    product = code.let(f"mul i{2 * bits} {wide[0].text}, {wide[1].text}", f"i{2 * bits}")
    high = code.let(f"lshr i{2 * bits} {product.text}, {bits}", f"i{2 * bits}")
    return code.let(f"trunc i{2 * bits} {high.text} to {a.type}", a.type)


def _bits(code: Code, x: Value) -> Value:
    return x.bits() if x.type == "double" else x.bits().convert("sext", "i64")


_INLINE: dict[str, Callable[..., Value]] = {
    "floordiv": _floordiv,
    "mod": _mod,
    "abs": _abs,
    "sign": _sign,
    "min": partial(_extremum, "min"),
    "max": partial(_extremum, "max"),
    "shl": partial(_shift, "shl"),
    "shr": partial(_shift, "ashr"),
    "lshr": partial(_shift, "lshr"),
    "umulhi": _umulhi,
    "bits": _bits,
    "isnan": lambda code, x: x.compare("uno", x),
    "isinf": lambda code, x: x.call("fabs").equals(float("inf")),
    "isfinite": lambda code, x: x.call("fabs") < float("inf"),
}

# --- functions --------------------------------------------------------------------------------------------------------

_UNARY: dict[str, Callable[..., Value]] = {
    **elementary.UNARY,
    **trigonometric.INVERSE,
    **gaussian.UNARY,
    "cbrt": power.cbrt,
    "trigamma": special.trigamma,
    "erfinv": special.erfinv,
}
_BINARY: dict[str, Callable[..., Value]] = {
    "pow": power.pow, "atan2": trigonometric.atan2, "hypot": power.hypot,
}  # fmt: skip
_FOREIGN = {
    **{name: name for name in ("j0", "j1", "y0", "y1")},
    "digamma": "iv_scipy_digamma",
}
# libm's are faster alone, by their shorter chains of dependent instructions; its others aren't
_LIBM = ("exp", "exp2", "log", "log2", "log10", "pow", "sin", "cos", "asin", "acos")


def _promoted(name: str, arity: int) -> str:
    """Single precision by way of double."""

    def body(code: Code, *args: Value) -> Value:
        wide = [x.convert("fpext", "double") for x in args]
        if name == "pow":
            result = power.pow_single(code, *wide)
        else:
            result = code.invoke(f"iv_{name}_f64", "double", *wide)
        return result.convert("fptrunc", "float")

    return function(f"iv_{name}_f32", "float", arity, body)


_POLYGAMMA = f"""
define internal double @iv_polygamma_f64(i64 %n, double %x) {PURE} {{
  %zeroth = icmp eq i64 %n, 0
  br i1 %zeroth, label %digamma, label %higher
digamma:
  %psi = call double @iv_digamma_f64(double %x)
  ret double %psi
higher:
  %order = sitofp i64 %n to double
  %y = call double @iv_polygamma_higher_f64(double %order, double %x)
  ret double %y
}}
"""
_POLYGAMMA_SINGLE = f"""
define internal float @iv_polygamma_f32(i64 %n, float %x) {PURE} {{
  %wide = fpext float %x to double
  %y = call double @iv_polygamma_f64(i64 %n, double %wide)
  %narrow = fptrunc double %y to float
  ret float %narrow
}}
"""


def _outlined(text: str) -> str:
    """Too large to be inlined."""
    return text.replace(" alwaysinline ", " noinline ")


@cache
def definition(name: str) -> str:
    """The text of a helper, which may call further ones."""
    stem, _, suffix = name.removeprefix("iv_").rpartition("_")
    if suffix == "scalar":
        stem, _, suffix = stem.rpartition("_")
        arity = 2 if stem in _BINARY else 1
        return special.foreign(name, stem if suffix == "f64" else f"{stem}f", arity)
    match stem, suffix:
        case "pow", "i32" | "i64":
            return special.integer_power(suffix)
        case (("floordiv" | "mod"), _):
            type = "double" if suffix == "f64" else "float"
            body = _float_mod if stem == "mod" else _float_floordiv
            return function(name, type, 2, body)
        case "lgamma", "f64":
            return special.LGAMMA
        case "polygamma", "f64":
            return _POLYGAMMA
        case "polygamma", "f32":
            return _POLYGAMMA_SINGLE
        case "polygamma_higher", "f64":
            return _outlined(function(name, "double", 2, special.polygamma))
        case "hurwitz", "f64":
            return _outlined(function(name, "double", 2, special.hurwitz_function))
        case _, "f32" if stem in elementary.UNARY:
            return function(name, "float", 1, elementary.UNARY[stem])
        case _, "f32":
            return _promoted(stem, 2 if stem in _BINARY or stem == "fmod" else 1)
    if stem in GUARDED:
        return guarded.definition(stem)
    if stem in _FOREIGN:
        return special.foreign(name, _FOREIGN[stem])
    if stem == "trigamma":
        return _outlined(function(name, "double", 1, special.trigamma))
    if stem in _BINARY:
        return function(name, "double", 2, _BINARY[stem])
    return function(name, "double", 1, _UNARY[stem])


_CALLED = re.compile(r"@([A-Za-z_][\w.]*)\(")
_DEFINED = re.compile(r"^define [^@]*@([A-Za-z_][\w.]*)\(", re.MULTILINE)


def complete(text: str) -> tuple[str, tuple[str, ...]]:
    """The module with everything it calls defined or declared, and its foreign symbols (see `special.addresses`)."""
    parts, symbols = [text], set()
    defined, waiting = set(_DEFINED.findall(text)), set(_CALLED.findall(text))
    memory = runtime.definitions(maps=runtime.MAP in waiting)
    if waiting & runtime.NAMES:
        parts.append(memory)
        defined |= set(_DEFINED.findall(memory))
        symbols |= set(runtime.symbols())
    while todo := sorted(name for name in waiting - defined - symbols if not name.startswith("llvm.")):
        for name in todo:
            if name in special.DECLARATIONS:
                parts.append(special.DECLARATIONS[name] + "\n")
                symbols.add(name)
            elif name.startswith("iv_"):
                helper = definition(name)
                parts.append(helper)
                defined |= set(_DEFINED.findall(helper))
                waiting |= set(_CALLED.findall(helper))
            else:
                defined.add(name)  # the module's own declaration
    parts.append(_keep(name for name in defined if re.fullmatch(r"iv_\w+_far_(v\d|f64)", name)))
    return "".join(parts), tuple(sorted(symbols))


def _keep(names: Iterable[str]) -> str:
    """Vector variants are named in strings only: keep them until the vectoriser has looked."""
    kept = sorted(names)
    if not kept:
        return ""
    pointers = ", ".join(f"ptr @{name}" for name in kept)
    return f'@llvm.compiler.used = appending global [{len(kept)} x ptr] [{pointers}], section "llvm.metadata"\n'
