"""Functions that are straight-line code near zero and libm's far out, in loops that vectorise.

libm's side is called for every element, tests whether it is needed and mostly returns at once: a select between the
inlined code and this call, which has variants for vectors, costs .2 ns an element.  The alternatives are worse: a
branch in the loop costs 8, since each lane gets its own, and exact reduction without a branch some 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iverson.backend import power, trigonometric
from iverson.backend.special import PURE
from iverson.backend.text import Code, Value, constant, function

WIDTHS = (2, 4, 8)  # of the vector variants


@dataclass(frozen=True)
class Guarded:
    """`near` is right where |tested| <= limit; beyond, or where it isn't, libm's function of that name."""

    name: str
    arity: int
    near: Callable[..., Value]
    tested: Callable[..., Value]
    limit: float


def _itself(code: Code, x: Value) -> Value:
    return x


GUARDED: dict[str, Guarded] = {
    **{f.__name__: Guarded(f.__name__, 1, f, _itself, trigonometric.FAR) for f in trigonometric.DIRECT},
    "fmod": Guarded("fmod", 2, power.fmod, lambda code, a, b: a / b, 2.0**52),
}


def _variant(g: Guarded, width: int) -> str:
    """libm's function for a vector in which any element is far out; else anything."""
    vector, limit = f"<{width} x double>", constant("double", g.limit)
    lanes = []
    for i in range(width):
        lanes += [f"  %x{k}.{i} = extractelement {vector} %x{k}, i64 {i}" for k in range(g.arity)]
        args = ", ".join(f"double %x{k}.{i}" for k in range(g.arity))
        previous = f"%w{i - 1}" if i else "poison"
        lanes += [
            f"  %y{i} = call double @{g.name}({args})",
            f"  %w{i} = insertelement {vector} {previous}, double %y{i}, i64 {i}",
        ]
    params = ", ".join(f"{vector} %x{k}" for k in range(g.arity))
    attributes = f'noinline {PURE} "min-legal-vector-width"="{64 * width}"'
    body = "\n".join(lanes)
    return f"""
define internal {vector} @iv_{g.name}_far_v{width}({params}, {vector} %tested) {attributes} {{
  %a = call {vector} @llvm.fabs.v{width}f64({vector} %tested)
  %far = fcmp ogt {vector} %a, splat (double {limit})
  %any = call i1 @llvm.vector.reduce.or.v{width}i1(<{width} x i1> %far)
  br i1 %any, label %slow, label %fast
fast:
  ret {vector} %x0
slow:
{body}
  ret {vector} %w{width - 1}
}}
"""


def _scalar(g: Guarded) -> str:
    params = ", ".join(f"double %x{k}" for k in range(g.arity))
    return f"""
define internal double @iv_{g.name}_far_f64({params}, double %tested) noinline {PURE} {{
  %a = call double @llvm.fabs.f64(double %tested)
  %far = fcmp ogt double %a, {constant("double", g.limit)}
  br i1 %far, label %slow, label %fast
fast:
  ret double %x0
slow:
  %y = call double @{g.name}({params})
  ret double %y
}}
"""


def definition(name: str) -> str:
    """iv_NAME_f64 and what it calls."""
    g = GUARDED[name]
    lanes = "v" * (g.arity + 1)
    mangled = ",".join(f"_ZGV_LLVM_N{w}{lanes}_iv_{name}_far_f64(iv_{name}_far_v{w})" for w in WIDTHS)

    def body(code: Code, *args: Value) -> Value:
        near, tested = g.near(code, *args), g.tested(code, *args)
        params = ", ".join(f"double {v.text}" for v in (*args, tested))
        call = f'call double @iv_{name}_far_f64({params}) {PURE} "vector-function-abi-variant"="{mangled}"'
        far = code.let(call, "double")
        return code.select(tested.call("fabs") > g.limit, far, near)

    variants = "".join(_variant(g, w) for w in WIDTHS)
    return _scalar(g) + variants + function(f"iv_{name}_f64", "double", g.arity, body)
