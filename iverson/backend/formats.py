"""The two floating-point formats, with what elementary functions need of them: bit patterns, constants, polynomials.

Polynomials are Chebyshev interpolants, near minimax, on the intervals named.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cached_property

# two doubles each, the second what the first leaves
LN2 = (0.6931471805599453, 2.3190468138462996e-17)
LOG2E = (1.4426950408889634, 2.0355273740931033e-17)
LOG10_2 = (0.3010299956639812, -2.8037281277851704e-18)
LOG10E = (0.4342944819032518, 1.098319650216765e-17)


@dataclass(frozen=True)
class Format:
    type: str
    word: str  # the integer type of its bits
    mantissa: int  # stored bits
    bias: int  # of the exponent
    # (e^r - 1 - r) / r^2 on |r| <= ln(2)/2
    exp_tail: tuple[float, ...]
    # (2 atanh(s) / s - 2) / s^2 in s^2, for (1 + s) / (1 - s) in [sqrt(1/2), sqrt(2)]
    log_tail: tuple[float, ...]
    # the same for (1 + s) / (1 - s) in [1, 2]
    log_tail_wide: tuple[float, ...]

    def bits(self, x: float) -> int:
        double = self.type == "double"
        return int(struct.unpack("<q" if double else "<i", struct.pack("<d" if double else "<f", x))[0])

    def rounded(self, x: float) -> float:
        return x if self.type == "double" else float(struct.unpack("f", struct.pack("f", x))[0])

    def pair(self, constant: tuple[float, float]) -> tuple[float, float]:
        """The constant as an unevaluated sum of two numbers of this format."""
        head = self.rounded(constant[0])
        return head, self.rounded((constant[0] - head) + constant[1])

    @cached_property
    def ln2_short(self) -> tuple[float, float]:
        """ln 2 likewise, the head so short that its products with exponents are exact."""
        kept = 2.0 ** (self.mantissa - (12 if self.type == "double" else 8))
        head = round(LN2[0] * kept) / kept
        return head, self.rounded((LN2[0] - head) + LN2[1])

    @cached_property
    def magic(self) -> float:
        """Adding this rounds to an integer, which then is in the low bits."""
        return 1.5 * 2.0**self.mantissa

    @cached_property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @cached_property
    def overflow(self) -> float:
        """Just above the largest x for which e^x is finite."""
        return (self.bias + 1.1) * math.log(2)

    @cached_property
    def underflow(self) -> float:
        """Just below the smallest x for which e^x isn't zero."""
        return -(self.bias + self.mantissa + 1.5) * math.log(2)

    @cached_property
    def saturated(self) -> float:
        """From here on e^-2x is nothing beside 1, nor is e^-x beside e^x."""
        return (self.mantissa + 4) * math.log(2) / 2 + 1

    @cached_property
    def squares(self) -> float:
        """Beyond this, x^2 + 1 is x^2 and log(2 x) is asinh(x)."""
        return 2.0 ** (self.mantissa // 2 + 2)


DOUBLE = Format(
    "double",
    "i64",
    52,
    1023,
    # to 2^-53, 2^-51 and 2^-58
    exp_tail=(
        0.5000000000000001, 0.16666666666666669, 0.04166666666662399, 0.008333333333330051, 0.0013888888917281794,
        0.00019841269863105968, 2.480152119021773e-05, 2.7557268378684192e-06, 2.7620138719733994e-07,
        2.5100424157005067e-08,
    ),
    log_tail=(
        0.666666666666667, 0.3999999999989889, 0.28571428626253836, 0.22222211089379496, 0.1818289243253687,
        0.15331611722055008, 0.14617807153417325,
    ),
    log_tail_wide=(
        0.6666666666666666, 0.3999999999999952, 0.2857142857160142, 0.22222222198071062, 0.18181819908429153,
        0.15384543587249763, 0.13335186885534053, 0.1173416786209541, 0.1084608034962759, 0.07488106714611861,
        0.1563823493424178,
    ),
)  # fmt: skip
SINGLE = Format(
    "float",
    "i32",
    23,
    127,
    # to 2^-24, 2^-22 and 2^-27
    exp_tail=(0.5, 0.1666657685, 0.04166655444, 0.008363202972, 0.001392621347),
    log_tail=(0.666666851, 0.3998875772, 0.2958098593),
    log_tail_wide=(0.6666666732, 0.3999970533, 0.2859241245, 0.2170565694, 0.2322907017),
)
FORMATS = {f.type: f for f in (DOUBLE, SINGLE)}
