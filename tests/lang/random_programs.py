"""Random Python programs: loops, branches, exits, aliases, views and updates of small arrays, as source text.

They are total for the arguments given: indices are taken modulo lengths, numbers stay small by `% 7`.
"""

from __future__ import annotations

import random

SCALARS = ("s", "t", "u")
ARRAYS = ("a", "b", "c")


class Generator:
    """One function `program(x, y, n)` of two arrays and an integer."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.indices: list[str] = []
        self.loops = 0  # sequential loops around us that break and continue leave
        self.fuel = 22

    def source(self) -> str:
        self.emit(0, "def program(x, y, n):")
        for text in ("s = 0", "t = 1.5", "u = n", "a = x", "b = y.copy()", "c = np.zeros(len(x))"):
            self.emit(1, text)
        self.block(1, 5)
        self.emit(1, "return s, t, u, a + 0.0, b + 0.0, c + 0.0")
        return "\n".join(self.lines) + "\n"

    def emit(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def block(self, depth: int, most: int) -> None:
        for _ in range(self.random.randint(1, most)):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        self.fuel -= 1
        simple = (self.assign, self.assign, self.update, self.update, self.slice_update, self.rebind, self.exit)
        nested = (self.branch, self.branch, self.loop, self.loop, self.while_, self.comprehension)
        choice = simple if depth > 4 or self.fuel < 0 else (*simple, *nested)
        self.random.choice(choice)(depth)

    # --- expressions --------------------------------------------------------------------------------------------------

    def index(self) -> str:
        pick = self.random.choice([*self.indices, "n", "2", "0"])
        return self.random.choice([f"({pick}) % len(x)", f"({pick} + 1) % len(x)", "-1", "0"])

    def number(self, depth: int = 0) -> str:
        r = self.random
        if depth > 2 or r.random() < 0.3:
            leaf = [*SCALARS, *self.indices, "n", "1", "0.5", f"{r.choice(ARRAYS)}[{self.index()}]"]
            return r.choice(leaf)
        x, y = self.number(depth + 1), self.number(depth + 1)
        forms = (f"({x} + {y})", f"({x} - {y})", f"({x} * {y}) % 7", f"min({x}, {y})", f"max({x}, {y})", f"abs({x})")
        return r.choice(
            (*forms, f"({x} if {self.test(depth + 1)} else {y})", f"sum(v * {y} for v in {r.choice(ARRAYS)})")
        )

    def test(self, depth: int = 0) -> str:
        r = self.random
        x, y = self.number(depth + 2), self.number(depth + 2)
        plain = f"{x} {r.choice(['<', '>', '<=', '==', '!='])} {y}"
        if depth > 1 or r.random() < 0.6:
            return plain
        return f"({plain} {r.choice(['and', 'or'])} {self.test(depth + 1)})"

    def array(self) -> str:
        r = self.random
        p, q = r.choice(ARRAYS), r.choice(ARRAYS)
        forms = (f"{p} + {q}", f"{p} * 0.5", f"{p}.copy()", f"{p}[::-1]", f"np.where({p} > {q}, {p}, 1.0)", p)
        return r.choice((*forms, f"({p} if {self.test(1)} else {q}) + 0.0"))

    # --- statements ---------------------------------------------------------------------------------------------------

    def assign(self, depth: int) -> None:
        r = self.random
        name = r.choice(SCALARS)
        if r.random() < 0.2:
            other = r.choice(SCALARS)
            self.emit(depth, f"{name}, {other} = {other}, {self.number()}" if name != other else f"{name} = {name}")
        elif r.random() < 0.5:
            self.emit(depth, f"{name} += {self.number()}")
        else:
            self.emit(depth, f"{name} = {self.number()}")

    def update(self, depth: int) -> None:
        target = f"{self.random.choice(ARRAYS)}[{self.index()}]"
        self.emit(depth, f"{target} {self.random.choice(['=', '+=', '*=', '-='])} ({self.number()}) % 3")

    def slice_update(self, depth: int) -> None:
        r = self.random
        p, q = r.choice(ARRAYS), r.choice(ARRAYS)
        forms = (f"{p}[1:] = {q}[:-1]", f"{p}[:-1] += {q}[1:]", f"{p}[:] = {self.array()}", f"{p} += {q} * 0.5")
        more = (f"{p}[::2] *= 0.5", f"{p}[{q} > 0.5] = 0.25", f"{p}[1:][0] = 1.0", f"{p} *= 0.75")
        self.emit(depth, r.choice((*forms, *more)))

    def rebind(self, depth: int) -> None:
        r = self.random
        p, q = r.sample(ARRAYS, 2)
        if r.random() < 0.3:
            self.emit(depth, f"{p}, {q} = {q}, {p}")
        else:
            self.emit(depth, f"{p} = {self.array()}")

    def exit(self, depth: int) -> None:
        if depth < 2:
            return self.assign(depth)
        word = self.random.choice(["break", "continue", "return"] if self.loops else ["return"])
        self.emit(depth, f"if {self.test()}:")
        self.emit(depth + 1, "return s, t, u, a + 0.0, b + 0.0, c + 0.0" if word == "return" else word)
        return None

    def branch(self, depth: int) -> None:
        self.emit(depth, f"if {self.test()}:")
        self.block(depth + 1, 3)
        if self.random.random() < 0.6:
            self.emit(depth, "else:")
            self.block(depth + 1, 3)

    def loop(self, depth: int) -> None:
        r = self.random
        name = f"i{depth}"
        bounds = ("len(x)", "n", "1, len(x)", "len(x) - 1, -1, -1", "0, n + 2, 2")
        if r.random() < 0.25:
            self.emit(depth, f"for {name}, v{depth} in enumerate({r.choice(ARRAYS)}):")
        else:
            self.emit(depth, f"for {name} in range({r.choice(bounds)}):")
        self.inside(depth, name)

    def while_(self, depth: int) -> None:
        name = f"k{depth}"
        self.emit(depth, f"{name} = 0")
        self.emit(depth, f"while {name} < {self.random.choice(['n', '3', 'len(x)'])} and {self.test(1)}:")
        self.emit(depth + 1, f"{name} += 1")
        self.inside(depth, name)

    def inside(self, depth: int, name: str) -> None:
        self.indices.append(name)
        self.loops += 1
        self.block(depth + 1, 4)
        self.loops -= 1
        self.indices.pop()

    def comprehension(self, depth: int) -> None:
        r = self.random
        name = f"j{depth}"
        self.indices.append(name)
        element = self.number(1)
        self.indices.pop()
        target = r.choice(ARRAYS)
        self.emit(depth, f"{target} = np.array([({element}) % 5 + 0.0 for {name} in range(len(x))])")
