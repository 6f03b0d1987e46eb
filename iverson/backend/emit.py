"""Loop IR to LLVM IR text, in one walk.

Flags, and why:

    reassoc             on the combinations of built-in monoids only: it is what associativity grants
    contract            on arithmetic, but on no addition whose carried operand would put the whole FMA into the chain
    nsz                 on minimum and maximum, which vectorise only so
    never               nnan, ninf, arcp: NaN, infinity and division keep their meaning (but in backend/recurrences.py)

Each buffer that is written has an alias scope of its own, since pointers come from tables.  A loop on the pool is a
function of its turn and of the registers it finds around it, with the same scopes.  Heap blocks are entered in
a table of live allocations; whatever way the program leaves, what is still in it is freed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iverson.backend import abi, cpu, interrupt, loopir, nests, pool, recipes, runtime
from iverson.backend.abi import ITEM_SIZE, MEMORY_TYPE
from iverson.backend.arithmetic import Arithmetic, is_elementary
from iverson.backend.frame import Frame
from iverson.backend.hints import hints
from iverson.backend.instructions import Instructions, is_vector
from iverson.backend.loopir import Buffer, Carry, Cell, Owner, Program, Reg, Stmt, Value, Vector, View
from iverson.backend.shared import Shared
from iverson.backend.writer import alignment, string_constant, type_text
from iverson.core.syntax import BOOL, DType, Literal

SCOPES = 24  # with more written buffers than this, stores carry no list of all the others


def emit(program: Program, *, symbol: str, reassociate: bool = True) -> tuple[str, tuple[str, ...]]:
    """The module of a program, whose kernel is exported as `symbol`, and the symbols it imports."""
    return _Emitter(reassociate).module(program, symbol)


class _Emitter(Frame):
    def __init__(self, reassociate: bool) -> None:
        super().__init__()
        self.polls = False
        self.attributes = "nounwind"
        self.strings: list[bytes] = []
        self.metadata: list[str] = []
        self.scopes: dict[Reg, tuple[str, str]] = {}
        self.all_scopes = ""
        self.group = ""  # of the accesses of a loop whose turns are apart
        self.entered: set[loopir.For] = set()  # loops of a nest that has been tested for turns
        self.vectorises = False  # is this the body of an innermost loop that may?
        self.shared = Shared()
        self.arithmetic = Arithmetic(self.fresh, reassociate)
        self.vectors = Instructions(self.text, self.fresh)

    # --- the module -------------------------------------------------------------------------------------------------

    def module(self, program: Program, symbol: str) -> tuple[str, tuple[str, ...]]:
        self.exact = program.exact
        self.unlikely = self.node('!{!"branch_weights", i32 1048576, i32 1}')
        self._alias_scopes(program.body)
        statements = list(loopir.walk(program.body))
        if any(isinstance(s, loopir.Compute) and (is_elementary(s.name) or is_vector(s)) for s in statements):
            self.attributes += f" {cpu.WIDE}"
        main = self.function(program.body)
        pointers = ", ".join(f"ptr noalias nocapture %{n}" for n in ("args", "results", "error"))
        flag = [f"@{interrupt.FLAG} = external global i32"] if self.polls else []
        kernel = [
            *flag,
            *(string_constant(k, content) for k, content in enumerate(self.strings)),
            f"define i64 @{symbol}({pointers}) {self.attributes} {{",
            *main,
            *self.functions,
        ]
        parts = [*kernel, runtime.RELEASE, runtime.EXTENT, self.arithmetic.definitions()]
        text, symbols = recipes.complete("\n".join(parts))
        return "\n".join([text, *self.metadata]), (
            *symbols,
            *self.arithmetic.externals,
            *([interrupt.FLAG] if self.polls else []),
        )

    def node(self, content: str) -> str:
        self.metadata.append(f"!{len(self.metadata)} = {content}")
        return f"!{len(self.metadata) - 1}"

    def _alias_scopes(self, body: list[Stmt]) -> None:
        """The scopes of a function, one a block of memory; each function has a domain of its own."""
        buffers = _buffers(body)
        shifting = {b.pointer for b in buffers if not b.scoped}
        written = [p for p in dict.fromkeys(b.pointer for b in buffers if b.stored) if p not in shifting]
        self.scopes, self.all_scopes = {}, ""
        if not written:
            return
        domain = self.node(f"distinct !{{!{len(self.metadata)}}}")
        nodes = [self.node(f"distinct !{{!{len(self.metadata)}, {domain}}}") for b in written]
        self.all_scopes = self.node(f"!{{{', '.join(nodes)}}}")
        for pointer, node in zip(written, nodes, strict=True):
            others = ", ".join(n for n in nodes if n != node) if len(nodes) <= SCOPES else ""
            self.scopes[pointer] = (self.node(f"!{{{node}}}"), self.node(f"!{{{others}}}") if others else "")

    def alias(self, buffer: Buffer) -> str:
        """The metadata of an access."""
        own, others = self.scopes.get(buffer.pointer, ("", self.all_scopes))
        group = f", !llvm.access.group {self.group}" if self.group else ""
        return (f", !alias.scope {own}" if own else "") + (f", !noalias {others}" if others else "") + group

    # --- memory -----------------------------------------------------------------------------------------------------

    def address(self, view: View) -> str:
        b, index = view.buffer, [self.text(i) for i in view.prefix]
        pointer = self.names[b.pointer]
        if not index:
            return pointer
        if b.strides is not None:
            offset = "0"
            for i, stride in zip(index, b.strides, strict=False):
                offset = self.add(offset, self.mul(i, self.text(stride)))
            return self._offset("i8", pointer, offset)
        offset = "0"
        for k, extent in enumerate(b.extents):
            offset = self.mul(offset, self.text(extent)) if k else offset
            offset = self.add(offset, index[k]) if k < len(index) else offset
        return self._offset(MEMORY_TYPE[b.dtype], pointer, offset)

    def _offset(self, element: str, pointer: str, offset: str) -> str:
        if offset == "0":
            return pointer
        name = self.fresh("p")
        self.line(f"{name} = getelementptr inbounds {element}, ptr {pointer}, i64 {offset}")
        return name

    def load(self, stmt: loopir.Load) -> None:
        self._read(stmt.out, self.address(stmt.view), self.alias(stmt.view.buffer))

    def _read(self, out: Reg, pointer: str, suffix: str = "") -> None:
        """A scalar from memory; a bool is a byte there."""
        if out.type is BOOL:
            byte = self.fresh()
            self.line(f"{byte} = load i8, ptr {pointer}{suffix}")
            self.line(f"{self.define(out)} = trunc i8 {byte} to i1")
        else:
            self.line(f"{self.define(out)} = load {type_text(out.type)}, ptr {pointer}{alignment(out.type)}{suffix}")

    def store(self, stmt: loopir.Store) -> None:
        value = self.typed(stmt.value)
        if stmt.view.buffer.dtype is BOOL:
            value = f"i8 {self._widened(stmt.value, 'i8')}"
        pointer = self.address(stmt.view)
        self.line(f"store {value}, ptr {pointer}{alignment(loopir.type_of(stmt.value))}{self.alias(stmt.view.buffer)}")

    def _widened(self, value: Value, wide: str) -> str:
        name = self.fresh()
        self.line(f"{name} = zext i1 {self.text(value)} to {wide}")
        return name

    def slot(self, table: str, k: int) -> str:
        return self._offset("i64", f"%{table}", str(k))

    def put_slot(self, table: str, k: int, value: Value) -> None:
        is_bool = (value.dtype if isinstance(value, Literal) else value.type) is BOOL
        text = f"i64 {self._widened(value, 'i64')}" if is_bool else self.typed(value)
        self.line(f"store {text}, ptr {self.slot(table, k)}")

    def argument(self, stmt: loopir.Argument) -> None:
        self._read(stmt.out, self.slot("args", stmt.slot))

    def result(self, stmt: loopir.Result) -> None:
        self.put_slot("results", stmt.slot, stmt.value)

    def elements(self, extents: Iterable[Value], item: int) -> str:
        """The bytes of an array that exists, so the product doesn't overflow."""
        total = str(item)
        for e in extents:
            total = self.mul(total, self.text(e))
        return total

    def copy(self, stmt: loopir.Copy) -> None:
        item = ITEM_SIZE[stmt.target.buffer.dtype]
        size = self.elements(stmt.target.extents, item)
        target, source = self.address(stmt.target), self.address(stmt.source)
        align = f"align {item}"
        self.line(f"call void @llvm.memcpy.p0.p0.i64(ptr {align} {target}, ptr {align} {source}, i64 {size}, i1 false)")

    def get(self, stmt: loopir.Get) -> None:
        self.line(f"{self.define(stmt.out)} = load {type_text(stmt.cell.type)}, ptr {self.cell(stmt.cell)}")

    def put(self, stmt: loopir.Put) -> None:
        self.line(f"store {self.typed(stmt.value)}, ptr {self.cell(stmt.cell)}")

    def cell(self, cell: Cell) -> str:
        if cell not in self.cells:
            self.cells[cell] = name = self.fresh(cell.hint)
            self.entry.append(f"  {name} = alloca {type_text(cell.type)}")
        return self.cells[cell]

    # --- allocation -------------------------------------------------------------------------------------------------

    def owner(self, owner: Owner | None) -> str:
        """The place of an allocation in the table."""
        assert owner is not None
        number = self.owners.setdefault(owner, len(self.owners))
        name = self.fresh("live")
        self.line(f"{name} = getelementptr ptr, ptr %live, i64 {number}")
        return name

    def bytes(self, extents: Sequence[Value], item: int) -> str:
        """The size of a fresh block; too large a product saturates, and the allocation fails."""
        total = str(item)
        for e in extents:
            if isinstance(e, Literal) and total.isdecimal():
                total = str(int(total) * int(e.value))
                continue
            name = self.fresh("bytes")
            self.line(f"{name} = call i64 @iv_times(i64 {total}, i64 {self.text(e)})")
            total = name
        return total

    def alloc(self, stmt: loopir.Alloc) -> None:
        buffer = stmt.buffer
        item = ITEM_SIZE[buffer.dtype]
        if stmt.stack:
            size = int(self.bytes(buffer.extents, item))
            self.entry.append(f"  {self.define(buffer.pointer)} = alloca [{max(size, 1)} x i8], align 64")
            return
        size_text = self.bytes(buffer.extents, item)
        for extents in stmt.also:
            one, size_text = size_text, self.fresh("bytes")
            self.line(f"{size_text} = call i64 @llvm.umax.i64(i64 {one}, i64 {self.bytes(extents, item)})")
        if stmt.when is not None:
            needed = self.fresh("bytes")
            self.line(f"{needed} = select i1 {self.text(stmt.when)}, i64 {size_text}, i64 0")
            size_text = needed
        name = self.define(buffer.pointer)
        self.line(f"{name} = call ptr @iv_alloc(i64 {size_text})")
        self._got(name, self.owner(buffer.slot), abi.OUT_OF_MEMORY if stmt.site is None else stmt.site + 1)

    def mapped(self, stmt: loopir.Mapped) -> None:
        buffer = stmt.buffer
        size, directory = self.bytes(buffer.extents, ITEM_SIZE[buffer.dtype]), self._constant(stmt.directory)
        self.arithmetic.external(runtime.MAP, "ptr", ["i64", "ptr"])
        self.arithmetic.external(runtime.UNMAP, "i8", ["ptr"])
        name = self.define(buffer.pointer)
        self.line(f"{name} = call ptr @{runtime.MAP}(i64 {size}, ptr {directory})")
        self._got(name, self.owner(buffer.slot), stmt.site + 1)

    def _constant(self, content: bytes) -> str:
        self.strings.append(content)
        return f"@string.{len(self.strings) - 1}"

    def _got(self, pointer: str, place: str, status: int = abi.OUT_OF_MEMORY) -> None:
        """Leave if there was no memory; else the block is alive."""
        got, none = self.labels("got", "none")
        failed = self.fresh()
        self.line(f"{failed} = icmp ne ptr {pointer}, null")
        self.branch(failed, got, none, f", !prof {self.unlikely}")
        self.open(none)
        self.exits.append((str(status), none))
        self.jump("fail")
        self.open(got)
        self.line(f"store ptr {pointer}, ptr {place}")

    def free(self, stmt: loopir.Free) -> None:
        self.line(f"call void @iv_free(ptr {self.names[stmt.buffer.pointer]})")
        self.line(f"store ptr null, ptr {self.owner(stmt.buffer.slot)}")

    def own(self, stmt: loopir.Own) -> None:
        self.line(f"store ptr {self.names[stmt.buffer.pointer]}, ptr {self.owner(stmt.buffer.slot)}")

    def choose(self, stmt: loopir.Choose) -> None:
        then, orelse = self.address(stmt.then), self.address(stmt.orelse)
        name = self.define(stmt.buffer.pointer)
        self.line(f"{name} = select i1 {self.text(stmt.pred)}, ptr {then}, ptr {orelse}")

    def grow(self, stmt: loopir.Grow) -> None:
        item = ITEM_SIZE[stmt.dtype]
        cell, new = self.cell(stmt.cell), self.bytes([stmt.new], item)
        name = self.fresh("log")
        if stmt.old is None:
            self.line(f"{name} = call ptr @iv_alloc(i64 {new})")
        else:
            before = self.fresh("log")
            old = self.bytes([stmt.old], item)
            self.line(f"{before} = load ptr, ptr {cell}")
            self.line(f"{name} = call ptr @iv_grow(ptr {before}, i64 {old}, i64 {new})")
        self._got(name, self.owner(stmt.slot))
        self.line(f"store ptr {name}, ptr {cell}")

    # --- leaving ----------------------------------------------------------------------------------------------------

    def _leave_unless(self, pred: str, site: int, details: Sequence[Value], when: Value | None) -> None:
        if when is not None:
            spared, needless = self.fresh("ok"), self.fresh("ok")
            self.line(f"{needless} = xor i1 {self.text(when)}, true")
            self.line(f"{spared} = or i1 {pred}, {needless}")
            pred = spared
        if not self.exact:
            (on,) = self.labels("on")
            self.branch(pred, on, "fail", f", !prof {self.unlikely}")
            self.exits.append((str(abi.RERUN), self.label))
            self.open(on)
            return
        on, leave = self.labels("on", "leave")
        self.branch(pred, on, leave, f", !prof {self.unlikely}")
        self.open(leave)
        for k, value in enumerate(details[: abi.DETAILS]):
            self.put_slot("error", k, value)
        self.exits.append((str(site + 1), leave))
        self.jump("fail")
        self.open(on)

    def require(self, stmt: loopir.Require) -> None:
        self._leave_unless(self.text(stmt.pred), stmt.site, stmt.details, stmt.when)

    def bound(self, stmt: loopir.Bound) -> None:
        inside = self.fresh("in")
        self.line(f"{inside} = icmp ult i64 {self.text(stmt.index)}, {self.text(stmt.extent)}")
        self._leave_unless(inside, stmt.site, (stmt.index, stmt.extent), stmt.when)

    def poll(self, stmt: loopir.Poll) -> None:
        (on,) = self.labels("on")
        (ask,) = self.labels("ask")
        flag, quiet = self.fresh("flag"), self.fresh("quiet")
        self.line(f"{flag} = load volatile i32, ptr {self.word}")
        self.line(f"{quiet} = icmp eq i32 {flag}, 0")
        self.branch(quiet, on, ask, f", !prof {self.unlikely}")
        self.open(ask)
        signals, status, fine = self.fresh("signals"), self.fresh("status"), self.fresh("fine")
        if self.word == f"@{interrupt.FLAG}":
            self.polls, left = True, str(abi.INTERRUPTED)
            self.line(f"{signals} = load ptr, ptr getelementptr (i8, ptr {self.word}, i64 8)")
            self.line(f"{status} = call i32 {signals}() nounwind memory(inaccessiblemem: readwrite)")
            self.line(f"{fine} = icmp eq i32 {status}, 0")
        else:
            left = status
            self.arithmetic.external(pool.ASKED, "i64", ["ptr"])
            self.line(f"{status} = call i64 @{pool.ASKED}(ptr {self.word}) nounwind memory(inaccessiblemem: readwrite)")
            self.line(f"{fine} = icmp eq i64 {status}, 0")
        self.branch(fine, on, "fail", f", !prof {self.unlikely}")
        self.exits.append((left, self.label))
        self.open(on)

    # --- arithmetic -------------------------------------------------------------------------------------------------

    def compute(self, stmt: loopir.Compute) -> None:
        if stmt.name == "choice":
            self.choice(stmt)
            return
        dtype = loopir.type_of(stmt.args[-1])
        if is_vector(stmt):
            lines, name = self.vectors.emit(stmt.name, stmt.out.type, stmt.args, self.arithmetic.flags(stmt))
        else:
            assert isinstance(dtype, DType)
            lines, name = self.arithmetic.prim(stmt, [self.text(a) for a in stmt.args], dtype, self.vectorises)
        self.lines += [f"  {line}" for line in lines]
        self.names[stmt.out] = name

    def choice(self, stmt: loopir.Compute) -> None:
        """A select that LLVM is not to make a branch of."""
        choices = ", ".join(map(self.typed, stmt.args))
        self.line(f"{self.define(stmt.out)} = select {choices}, !unpredictable !{{}}")

    def combine(self, stmt: loopir.Combine) -> None:
        dtype = stmt.out.type
        if isinstance(dtype, Vector):
            flags = self.arithmetic.free(stmt.free)
            lines, name = self.vectors.emit(stmt.monoid, dtype, (stmt.left, stmt.right), flags)
        else:
            assert isinstance(dtype, DType)
            left, right = self.text(stmt.left), self.text(stmt.right)
            lines, name = self.arithmetic.combine(stmt.monoid, dtype, left, right, stmt.free)
        self.lines += [f"  {line}" for line in lines]
        self.names[stmt.out] = name

    def call(self, stmt: loopir.Call) -> None:
        args = ", ".join(f"ptr {self._passed(a)}" for a in stmt.args)
        self.arithmetic.external(stmt.symbol, "void", ["ptr"] * len(stmt.args))
        self.line(f"call void @{stmt.symbol}({args})")

    def _passed(self, argument: loopir.Passed) -> str:
        if isinstance(argument, View):
            return self.address(argument)
        content = argument.content
        if isinstance(content, Cell):
            return self.cell(content)
        if isinstance(content, bytes):
            return self._constant(content)
        if isinstance(content, str):
            text, t = f"i8 {ord(content)}", "i8"
        else:
            text, t = self.typed(content), type_text(loopir.type_of(content))
        place = self.fresh("by")
        self.entry.append(f"  {place} = alloca {t}")
        self.line(f"store {text}, ptr {place}")
        return place

    # --- control ----------------------------------------------------------------------------------------------------

    def block(self, body: list[Stmt]) -> None:
        for stmt in body:
            getattr(self, _METHODS[type(stmt)])(stmt)

    def _phis(self, carries: Sequence[Carry], before: str) -> list[int]:
        """Head of a loop: a phi for each carry, whose second edge is filled in by `_close`."""
        holes = []
        for c in carries:
            t = type_text(c.reg.type)
            init = self.text(c.init)
            holes.append(len(self.lines))
            self.lines.append(f"  {self.define(c.reg)} = phi {t} [ {init}, %{before} ], ")
            self.arithmetic.carried.add(c.reg)
        return holes

    def _close(self, carries: Sequence[Carry], holes: Sequence[int]) -> None:
        for c, hole in zip(carries, holes, strict=True):
            self.lines[hole] += f"[ {self.text(c.next)}, %{self.label} ]"

    def thread(self, stmt: loopir.For) -> None:
        """The pool runs the turns; a single one is a plain call, inlined where a loop makes it and it is short."""
        table, around = self.fresh("around"), loopir.free_registers(stmt.body, {stmt.index})
        assert not any(isinstance(r.type, Vector) for r in around)  # a slot of the table has 8 bytes
        self.entry.append(f"  {table} = alloca [{max(len(around), 1)} x i64], align 8")
        for k, reg in enumerate(around):
            self.put_slot(table[1:], k, reg)
        before = len(self.metadata)
        with self.elsewhere():
            self._alias_scopes(stmt.body)
            for k, reg in enumerate(around):
                self._read(reg, self.slot("around", k))
            self.names[stmt.index] = "%turn"
            params = "ptr noalias nocapture %around, ptr %word, i64 %turn"
            inline = "" if self.turning and loopir.count_loops(stmt.body) == 1 else "noinline "
            text = "\n".join([f"({params}) {inline}{self.attributes} {{", *self.function(stmt.body)])
        name = self.shared.other(f"iv_turn.{len(self.functions)}", text, self.metadata)
        if name == f"iv_turn.{len(self.functions)}":
            self.functions.append(f"define internal i64 @{name}{text}")
        else:
            del self.metadata[before:]
        self._dispatch(name, table, self.text(stmt.high))

    def _dispatch(self, name: str, table: str, count: str) -> None:
        self.polls = True
        self.arithmetic.external(pool.RUN, "i64", ["ptr"] * 2 + ["i64", "ptr nocapture"])
        alone, pooled, ran, on = self.labels("alone", "pooled", "ran", "on")
        single, held, fine = self.fresh("single"), self.fresh("held"), self.fresh("fine")
        status = [self.fresh("status") for _ in range(3)]
        self.line(f"{single} = icmp eq i64 {count}, 1")
        self.branch(single, alone, pooled)
        self.open(alone)
        self.line(f"{status[0]} = call i64 @{name}(ptr {table}, ptr {self.word}, i64 0)")
        self.jump(ran)
        self.open(pooled)
        self.line(f"{held} = getelementptr i64, ptr %error, i64 {abi.HELD}")
        self.line(f"{status[1]} = call i64 @{pool.RUN}(ptr @{name}, ptr {table}, i64 {count}, ptr {held})")
        self.jump(ran)
        self.open(ran)
        self.line(f"{status[2]} = phi i64 [ {status[0]}, %{alone} ], [ {status[1]}, %{pooled} ]")
        self.line(f"{fine} = icmp eq i64 {status[2]}, 0")
        self.branch(fine, on, "fail", f", !prof {self.unlikely}")
        self.exits.append((status[2], self.label))
        self.open(on)

    def for_(self, stmt: loopir.For) -> None:
        if stmt.tag == "thread":
            self.thread(stmt)
            return
        loop, done = self.labels("for", "done")
        low, high = self.text(stmt.low), self.text(stmt.high)
        before = self.label
        tested = self._enter(stmt, loop, done)
        self.open(loop)
        index = self.define(stmt.index)
        latch = len(self.lines)
        self.lines.append("")
        holes = self._phis(stmt.carries, before)
        outside, self.vectorises = self.vectorises, stmt.tag not in ("seq", "cold") and nests.innermost(stmt)
        self.group = self.node("distinct !{}") if stmt.tag in ("apart", "vector") else ""
        notes = self._notes(stmt)
        suffix = f", !llvm.loop {notes}" if notes else ""
        with self.scope(), self.turn():
            self.block(stmt.body)
        self.vectorises, self.group = outside, ""
        following, more = self.fresh(stmt.index.hint), self.fresh("more")
        self.line(f"{following} = add nuw nsw i64 {index}, 1")
        self.line(f"{more} = icmp slt i64 {following}, {high}")
        self.lines[latch] = f"  {index} = phi i64 [ {low}, %{before} ], [ {following}, %{self.label} ]"
        self._close(stmt.carries, holes)
        last = self.label
        self.branch(more, loop, done, suffix)
        self.open(done)
        for c in stmt.carries:
            init, value = self.text(c.init), self.text(c.next)
            edges = (f"[ {init}, %{before} ], " if tested else "") + f"[ {value}, %{last} ]"
            self.line(f"{self.define(c.out)} = phi {type_text(c.out.type)} {edges}")

    def _enter(self, stmt: loopir.For, loop: str, done: str) -> bool:
        """Jump into a loop, if it has a turn; is that tested, for it and for the nest in it (backend/nests.py)?"""
        inside = [] if stmt in self.entered else nests.nest(stmt)
        self.entered.update(inside)
        some = ""
        for s in inside:
            if not nests.turns(s):
                test = self.fresh("some")
                self.line(f"{test} = icmp slt i64 {self.text(s.low)}, {self.text(s.high)}")
                some, before = (self.fresh("all"), some) if some else (test, "")
                if before:
                    self.line(f"{some} = and i1 {before}, {test}")
        if some:
            self.branch(some, loop, done)
        else:
            self.jump(loop)
        return bool(some)

    def _notes(self, stmt: loopir.For) -> str:
        """The name of what LLVM is told of a loop, if anything."""
        notes = hints(stmt, self.group, self.node)
        if not notes:
            return ""
        nodes = ", ".join(map(self.node, notes))
        return self.node(f"distinct !{{!{len(self.metadata)}, {nodes}}}")

    def while_(self, stmt: loopir.While) -> None:
        loop, body, done = self.labels("while", "body", "done")
        before = self.label
        self.jump(loop)
        self.open(loop)
        holes = self._phis(stmt.carries, before)
        outside, self.vectorises = self.vectorises, False
        with self.scope(), self.turn():
            self.block(stmt.cond)
            self.branch(self.text(stmt.test), body, done)
            self.open(body)
            self.block(stmt.body)
        self.vectorises = outside
        self._close(stmt.carries, holes)
        self.jump(loop)
        self.open(done)
        for c in stmt.carries:
            self.names[c.out] = self.names[c.reg]

    def if_(self, stmt: loopir.If) -> None:
        then, orelse, done = self.labels("then", "else", "endif")
        self.branch(self.text(stmt.pred), then, orelse)
        ends = []
        for label, body in ((then, stmt.then), (orelse, stmt.orelse)):
            self.open(label)
            with self.scope():
                self.block(body)
            ends.append(self.label)
            self.jump(done)
        self.open(done)
        for j in stmt.joins:
            a, b = self.text(j.then), self.text(j.orelse)
            edges = f"[ {a}, %{ends[0]} ], [ {b}, %{ends[1]} ]"
            self.line(f"{self.define(j.out)} = phi {type_text(j.out.type)} {edges}")
            self.arithmetic.join(j)


_METHODS = {
    loopir.Argument: "argument",
    loopir.Result: "result",
    loopir.Compute: "compute",
    loopir.Combine: "combine",
    loopir.Load: "load",
    loopir.Store: "store",
    loopir.Copy: "copy",
    loopir.Get: "get",
    loopir.Put: "put",
    loopir.For: "for_",
    loopir.While: "while_",
    loopir.If: "if_",
    loopir.Alloc: "alloc",
    loopir.Mapped: "mapped",
    loopir.Free: "free",
    loopir.Own: "own",
    loopir.Grow: "grow",
    loopir.Choose: "choose",
    loopir.Require: "require",
    loopir.Bound: "bound",
    loopir.Call: "call",
    loopir.Poll: "poll",
}


def _buffers(body: list[Stmt]) -> list[Buffer]:
    """The buffers a function accesses, in order of appearance."""
    found: dict[Buffer, None] = {}
    for stmt in body:
        threaded = isinstance(stmt, loopir.For) and stmt.tag == "thread"
        for inner in [] if threaded else loopir.blocks(stmt):
            found |= dict.fromkeys(_buffers(inner))
        match stmt:
            case loopir.Load(_, view) | loopir.Store(view, _):
                found[view.buffer] = None
            case loopir.Copy(target, source):
                found |= {target.buffer: None, source.buffer: None}
            case loopir.Call(_, args):
                found |= {a.buffer: None for a in args if isinstance(a, View)}
    return list(found)
