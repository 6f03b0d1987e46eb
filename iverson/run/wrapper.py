"""The native side of a call: one compiled function that serves every signature, driven by a table.

It is a CPython fast call, `iv_call(self, args, nargs, kwnames)`.  `self` is the tuple (table, slow, failed, ...): the
table, a bytes object of int64 words that `call.py` writes, says what each argument must be and where its parts go.
Whatever does not fit calls `slow(*args, **kwargs)` instead; a kernel that fails calls `failed(status, error address)`.

`iv_enter(object, args, nargs, kwnames)` comes before it where a compiled function is called by its own name (entry.py):
it compares what the function found around itself with what is there now, and calls `enter` if that is something else.

Text here has two abbreviations over LLVM IR, expanded by `_expand`:

    %x = load i64 %p[%k]        element k of p, as an array of that type     store i64 %x %p[%k]
    %x = load i32 %p@24         the field at byte 24

A result's memory is the array's own, which NumPy frees; where the kernels' pool would keep the block (runtime.py), its
owner is a capsule that gives it back: its pages are mapped, and the next call's results may have them.
"""

from __future__ import annotations

import re

from iverson.backend import runtime
from iverson.backend.abi import ERROR_SLOTS, GUARD, HELD, OK, RERUN

# the most words that the arguments' parts, the kernel's args and its results may have
WORDS = 512
# offsets of fields in CPython's and NumPy's objects; `call.py` probes that they hold
TYPE, ITEMS, BYTES, VALUE = 8, 24, 32, 16
DATA, RANK, EXTENTS, STRIDES, DESCR, FLAGS = 16, 24, 32, 40, 56, 64
OWNS_DATA, BEHAVED = 0x4, 0x501  # NumPy's flags: owns its data; row-major, aligned and writeable

# words of the table's head
(
    KERNEL, NARGS, GATHER, NGATHER, EQUAL, NEQUAL, APART, NAPART, RESULTS, NRESULTS, FIXED, NFIXED, SINGLE, RELEASE,
    ARRAY_TYPE, HEAD,
) = range(16)  # fmt: skip
# words of an argument's record, followed by (least, greatest) per axis
KIND, WHAT, ITS_DESCR, SIZE, MASK, ITEM_BYTES, RECORD = range(7)
# kinds of arguments, and of results
ARRAY, FLOAT, FLOAT32, INT, INT32, NUMPY, STATIC = range(7)
ARRAY_RESULT, SCALAR_RESULT, ARGUMENT_RESULT = range(3)
RESULT_RECORD = 4  # kind, descr, slot or argument, rank

# offsets in lists and cells, and in a callable of entry.py; words of a guard's head, behind which are triples (dict,
# key, value) and pairs (cell, value)
LENGTH, CONTENTS, STATE = 16, 16, 24
OPEN, NAMES, CELLS, GUARD_HEAD = range(4)
POSITIONAL = 2**63 - 1  # what of a vectorcall's nargs is their number

SYMBOLS = (
    "PyLong_AsLongLongAndOverflow", "PyObject_Vectorcall", "PyObject_CallFunction", "PyEval_SaveThread",
    "PyEval_RestoreThread", "PyTuple_New", "Py_IncRef", "Py_DecRef", "_Py_NoneStruct", "PyCapsule_New",
    "PyCapsule_GetPointer", "PyDict_GetItemWithError",
)  # fmt: skip

_TEXT = f"""
@iv_format = private constant [3 x i8] c"LL\\00"
@_Py_NoneStruct = external global i8
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyObject_CallFunction(ptr, ptr, ...)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyTuple_New(i64)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @iv_new_array(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)
declare ptr @iv_new_scalar(ptr, ptr, ptr)
declare i32 @iv_set_base(ptr, ptr)
declare ptr @PyCapsule_New(ptr, ptr, ptr)
declare ptr @PyCapsule_GetPointer(ptr, ptr)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)

define ptr @iv_call(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) {{
entry:
  %parts = alloca [{WORDS} x i64]
  %slots = alloca [{WORDS} x i64]
  %results = alloca [{WORDS} x i64]
  %error = alloca [{ERROR_SLOTS} x i64]
  %overflow = alloca i32
  %bytes = load ptr %self@{ITEMS}
  %table = getelementptr i8, ptr %bytes, i64 {BYTES}
  %wanted = load i64 %table[{NARGS}]
  %same.count = icmp eq i64 %nargs, %wanted
  %positional = icmp eq ptr %kwnames, null
  %plausible = and i1 %same.count, %positional
  %first = getelementptr i64, ptr %table, i64 {HEAD}
  %fixed.at = load i64 %table[{FIXED}]
  %fixed.from = sub i64 %fixed.at, %nargs
  %fixed = getelementptr i64, ptr %table, i64 %fixed.from
  %fixed.count = load i64 %table[{NFIXED}]
  %all = add i64 %nargs, %fixed.count
  br i1 %plausible, label %arguments, label %slow

; each argument, the given and the fixed ones: check it against its record, write its parts
arguments:
  %i = phi i64 [0, %entry], [%i.next, %argument.done]
  %record = phi ptr [%first, %entry], [%record.next, %argument.done]
  %part = phi ptr [%parts, %entry], [%part.next, %argument.done]
  %more = icmp slt i64 %i, %all
  br i1 %more, label %argument, label %gathers
argument:
  %is.given = icmp slt i64 %i, %nargs
  %from = select i1 %is.given, ptr %args, ptr %fixed
  %object = load ptr %from[%i]
  %kind = load i64 %record[{KIND}]
  %what = load ptr %record[{WHAT}]
  %size = load i64 %record[{SIZE}]
  %after = getelementptr i64, ptr %record, i64 {RECORD}
  %part1 = getelementptr i64, ptr %part, i64 1
  %is.static = icmp eq i64 %kind, {STATIC}
  br i1 %is.static, label %static, label %typed
static:
  %identical = icmp eq ptr %object, %what
  br i1 %identical, label %argument.done, label %slow
typed:
  %type = load ptr %object@{TYPE}
  %right.type = icmp eq ptr %type, %what
  br i1 %right.type, label %by.kind, label %slow
by.kind:
  switch i64 %kind, label %slow [
    i64 {ARRAY}, label %array
    i64 {FLOAT}, label %float
    i64 {FLOAT32}, label %float32
    i64 {INT}, label %int
    i64 {INT32}, label %int
    i64 {NUMPY}, label %numpy
  ]

float:
  %double = load double %object@{VALUE}
  store double %double %part[0]
  br label %argument.done
float32:
  %rounded = load double %object@{VALUE}
  %single = fptrunc double %rounded to float
  store i64 0 %part[0]
  store float %single %part[0]
  br label %argument.done
int:
  %integer = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %overflow)
  %over = load i32 %overflow[0]
  %fits = icmp eq i32 %over, 0
  %low32 = trunc i64 %integer to i32
  %back = sext i32 %low32 to i64
  %short = icmp eq i64 %back, %integer
  %long = icmp eq i64 %kind, {INT}
  %wide.enough = or i1 %short, %long
  %good.int = and i1 %fits, %wide.enough
  store i64 %integer %part[0]
  br i1 %good.int, label %argument.done, label %slow
numpy:
  switch i64 %size, label %numpy8 [ i64 1, label %numpy1 i64 4, label %numpy4 ]
numpy1:
  %byte = load i8 %object@{VALUE}
  %byte.wide = zext i8 %byte to i64
  store i64 %byte.wide %part[0]
  br label %argument.done
numpy4:
  %word = load i32 %object@{VALUE}
  %word.wide = zext i32 %word to i64
  store i64 %word.wide %part[0]
  br label %argument.done
numpy8:
  %whole = load i64 %object@{VALUE}
  store i64 %whole %part[0]
  br label %argument.done

; parts: data, extents, strides, then the first byte and the one behind the last
array:
  %descr = load ptr %object@{DESCR}
  %its.descr = load ptr %record[{ITS_DESCR}]
  %right.descr = icmp eq ptr %descr, %its.descr
  %rank32 = load i32 %object@{RANK}
  %rank = sext i32 %rank32 to i64
  %right.rank = icmp eq i64 %rank, %size
  %flags32 = load i32 %object@{FLAGS}
  %flags = sext i32 %flags32 to i64
  %mask = load i64 %record[{MASK}]
  %masked = and i64 %flags, %mask
  %right.flags = icmp eq i64 %masked, %mask
  %right.both = and i1 %right.descr, %right.rank
  %right = and i1 %right.both, %right.flags
  br i1 %right, label %axes.start, label %slow
axes.start:
  %data = load i64 %object@{DATA}
  store i64 %data %part[0]
  %extents = load ptr %object@{EXTENTS}
  %strides = load ptr %object@{STRIDES}
  %item = load i64 %record[{ITEM_BYTES}]
  %end = add i64 %data, %item
  %part.strides = getelementptr i64, ptr %part1, i64 %rank
  br label %axes
axes:
  %axis = phi i64 [0, %axes.start], [%axis.next, %axis.ok]
  %low = phi i64 [%data, %axes.start], [%low.next, %axis.ok]
  %high = phi i64 [%end, %axes.start], [%high.next, %axis.ok]
  %empty = phi i1 [false, %axes.start], [%empty.next, %axis.ok]
  %more.axes = icmp slt i64 %axis, %rank
  br i1 %more.axes, label %each.axis, label %axes.done
each.axis:
  %extent = load i64 %extents[%axis]
  %stride = load i64 %strides[%axis]
  %axis2 = shl i64 %axis, 1
  %axis2.1 = or i64 %axis2, 1
  %least = load i64 %after[%axis2]
  %greatest = load i64 %after[%axis2.1]
  %enough = icmp sge i64 %extent, %least
  %small = icmp sle i64 %extent, %greatest
  %allowed = and i1 %enough, %small
  br i1 %allowed, label %axis.ok, label %slow
axis.ok:
  store i64 %extent %part1[%axis]
  store i64 %stride %part.strides[%axis]
  %last = sub i64 %extent, 1
  %step = mul i64 %last, %stride
  %down = call i64 @llvm.smin.i64(i64 %step, i64 0)
  %up = call i64 @llvm.smax.i64(i64 %step, i64 0)
  %low.next = add i64 %low, %down
  %high.next = add i64 %high, %up
  %none = icmp eq i64 %extent, 0
  %empty.next = or i1 %empty, %none
  %axis.next = add i64 %axis, 1
  br label %axes
axes.done:
  %part.bounds = getelementptr i64, ptr %part.strides, i64 %rank
  %high.real = select i1 %empty, i64 %low, i64 %high
  store i64 %low %part.bounds[0]
  store i64 %high.real %part.bounds[1]
  %array.record = getelementptr {{ i64, i64 }}, ptr %after, i64 %rank
  %array.part = getelementptr i64, ptr %part.bounds, i64 2
  br label %argument.done

argument.done:
  %record.next = phi ptr [%after, %static], [%after, %float], [%after, %float32], [%after, %int], [%after, %numpy1],
                         [%after, %numpy4], [%after, %numpy8], [%array.record, %axes.done]
  %part.next = phi ptr [%part1, %static], [%part1, %float], [%part1, %float32], [%part1, %int], [%part1, %numpy1],
                       [%part1, %numpy4], [%part1, %numpy8], [%array.part, %axes.done]
  %i.next = add i64 %i, 1
  br label %arguments

; the kernel's args, picked from the parts
gathers:
  %gather.at = load i64 %table[{GATHER}]
  %gather = getelementptr i64, ptr %table, i64 %gather.at
  %gather.count = load i64 %table[{NGATHER}]
  br label %gather.loop
gather.loop:
  %g = phi i64 [0, %gathers], [%g.next, %gather.one]
  %g.more = icmp slt i64 %g, %gather.count
  br i1 %g.more, label %gather.one, label %equals
gather.one:
  %source = load i64 %gather[%g]
  %gathered = load i64 %parts[%source]
  store i64 %gathered %slots[%g]
  %g.next = add i64 %g, 1
  br label %gather.loop

; extents that must agree
equals:
  %equal.at = load i64 %table[{EQUAL}]
  %equal = getelementptr i64, ptr %table, i64 %equal.at
  %equal.count = load i64 %table[{NEQUAL}]
  br label %equal.loop
equal.loop:
  %e = phi i64 [0, %equals], [%e.next, %equal.one]
  %e.more = icmp slt i64 %e, %equal.count
  br i1 %e.more, label %equal.one, label %aparts
equal.one:
  %e.left = load i64 %equal[%e]
  %e.next1 = add i64 %e, 1
  %e.right = load i64 %equal[%e.next1]
  %e.a = load i64 %parts[%e.left]
  %e.b = load i64 %parts[%e.right]
  %e.next = add i64 %e, 2
  %agree = icmp eq i64 %e.a, %e.b
  br i1 %agree, label %equal.loop, label %slow

; pairs of arrays that must not share memory
aparts:
  %apart.at = load i64 %table[{APART}]
  %apart = getelementptr i64, ptr %table, i64 %apart.at
  %apart.count = load i64 %table[{NAPART}]
  br label %apart.loop
apart.loop:
  %p = phi i64 [0, %aparts], [%p.next, %apart.one]
  %p.more = icmp slt i64 %p, %apart.count
  br i1 %p.more, label %apart.one, label %go
apart.one:
  %p.left = load i64 %apart[%p]
  %p.next1 = add i64 %p, 1
  %p.right = load i64 %apart[%p.next1]
  %left.bounds = getelementptr i64, ptr %parts, i64 %p.left
  %right.bounds = getelementptr i64, ptr %parts, i64 %p.right
  %left.low = load i64 %left.bounds[0]
  %left.high = load i64 %left.bounds[1]
  %right.low = load i64 %right.bounds[0]
  %right.high = load i64 %right.bounds[1]
  %before = icmp ule i64 %left.high, %right.low
  %behind = icmp ule i64 %right.high, %left.low
  %disjoint = or i1 %before, %behind
  %p.next = add i64 %p, 2
  br i1 %disjoint, label %apart.loop, label %slow

go:
  store i64 0 %error[{HELD}]
  %kernel = load ptr %table[{KERNEL}]
  %release = load i64 %table[{RELEASE}]
  %keep.lock = icmp eq i64 %release, 0
  br i1 %keep.lock, label %locked, label %unlocked
locked:
  %status.locked = call i64 %kernel(ptr %slots, ptr %results, ptr %error)
  br label %ran
unlocked:
  %thread = call ptr @PyEval_SaveThread()
  %status.unlocked = call i64 %kernel(ptr %slots, ptr %results, ptr %error)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ran
ran:
  %status = phi i64 [%status.locked, %locked], [%status.unlocked, %unlocked]
  %state = load ptr %error[{HELD}]
  %has.lock = icmp eq ptr %state, null
  br i1 %has.lock, label %locked.again, label %lock.again
lock.again:
  call void @PyEval_RestoreThread(ptr %state)
  br label %locked.again
locked.again:
  switch i64 %status, label %failed [ i64 {OK}, label %success i64 {GUARD}, label %slow i64 {RERUN}, label %slow ]

slow:
  %slow.path = load ptr %self@{ITEMS + 8}
  %answer = tail call ptr @PyObject_Vectorcall(ptr %slow.path, ptr %args, i64 %nargs, ptr %kwnames)
  ret ptr %answer
failed:
  %failure = load ptr %self@{ITEMS + 16}
  %error.address = ptrtoint ptr %error to i64
  %raised = call ptr (ptr, ptr, ...)
    @PyObject_CallFunction(ptr %failure, ptr @iv_format, i64 %status, i64 %error.address)
  ret ptr %raised

; what comes back
success:
  %result.at = load i64 %table[{RESULTS}]
  %result.record = getelementptr i64, ptr %table, i64 %result.at
  %result.count = load i64 %table[{NRESULTS}]
  %only = load i64 %table[{SINGLE}]
  %is.single = icmp ne i64 %only, 0
  br i1 %is.single, label %alone, label %several
alone:
  %the.one = call ptr @iv_result(ptr %result.record, ptr %table, ptr %results, ptr %args)
  ret ptr %the.one
several:
  %is.none = icmp eq i64 %result.count, 0
  br i1 %is.none, label %nothing, label %tuple
nothing:
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
tuple:
  %new.tuple = call ptr @PyTuple_New(i64 %result.count)
  %no.tuple = icmp eq ptr %new.tuple, null
  br i1 %no.tuple, label %give.up, label %fill
fill:
  %r = phi i64 [0, %tuple], [%r.next, %filled]
  %this = phi ptr [%result.record, %tuple], [%this.next, %filled]
  %r.more = icmp slt i64 %r, %result.count
  br i1 %r.more, label %fill.one, label %full
fill.one:
  %made = call ptr @iv_result(ptr %this, ptr %table, ptr %results, ptr %args)
  %not.made = icmp eq ptr %made, null
  br i1 %not.made, label %abandon, label %filled
filled:
  %tuple.items = getelementptr i8, ptr %new.tuple, i64 {ITEMS}
  store ptr %made %tuple.items[%r]
  %r.next = add i64 %r, 1
  %this.next = getelementptr i64, ptr %this, i64 {RESULT_RECORD}
  br label %fill
abandon:
  call void @Py_DecRef(ptr %new.tuple)
  ret ptr null
give.up:
  ret ptr null
full:
  ret ptr %new.tuple
}}

define internal ptr @iv_result(ptr %record, ptr %table, ptr %results, ptr %args) {{
entry:
  %kind = load i64 %record[0]
  %descr = load ptr %record[1]
  %slot = load i64 %record[2]
  %at = getelementptr i64, ptr %results, i64 %slot
  switch i64 %kind, label %argument [ i64 {ARRAY_RESULT}, label %array i64 {SCALAR_RESULT}, label %scalar ]
array:
  %rank = load i64 %record[3]
  %rank32 = trunc i64 %rank to i32
  %type = load ptr %table[{ARRAY_TYPE}]
  %data = load ptr %at[0]
  %extents = getelementptr i64, ptr %at, i64 1
  call void @Py_IncRef(ptr %descr)
  %new = call ptr
    @iv_new_array(ptr %type, ptr %descr, i32 %rank32, ptr %extents, ptr null, ptr %data, i32 {BEHAVED}, ptr null)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %out, label %pooled
pooled:
  %keeps = call i1 @iv_pools(ptr %data)
  br i1 %keeps, label %capsule, label %own
capsule:
  %owner = call ptr @PyCapsule_New(ptr %data, ptr null, ptr @iv_give_back)
  %no.owner = icmp eq ptr %owner, null
  br i1 %no.owner, label %drop, label %owned
owned:
  %set = call i32 @iv_set_base(ptr %new, ptr %owner)
  ret ptr %new
drop:
  call void @iv_free(ptr %data)
  call void @Py_DecRef(ptr %new)
  ret ptr null
own:
  %flags = load i32 %new@{FLAGS}
  %owning = or i32 %flags, {OWNS_DATA}
  %flags.at = getelementptr i8, ptr %new, i64 {FLAGS}
  store i32 %owning %flags.at[0]
  br label %out
out:
  ret ptr %new
scalar:
  %number = call ptr @iv_new_scalar(ptr %at, ptr %descr, ptr null)
  ret ptr %number
argument:
  %given = load ptr %args[%slot]
  call void @Py_IncRef(ptr %given)
  ret ptr %given
}}

define ptr @iv_enter(ptr %object, ptr %args, i64 %flagged, ptr %kwnames) {{
entry:
  %nargs = and i64 %flagged, {POSITIONAL}
  %state = load ptr %object@{STATE}
  %bytes = load ptr %state@{ITEMS}
  %self = load ptr %state@{ITEMS + 8}
  %guard = getelementptr i8, ptr %bytes, i64 {BYTES}
  %native = icmp ne ptr %self, @_Py_NoneStruct
  br i1 %native, label %staging, label %enter
staging:
  %open = load ptr %guard[{OPEN}]
  %how.many = load i64 %open@{LENGTH}
  %none.open = icmp eq i64 %how.many, 0
  br i1 %none.open, label %names, label %enter
names:
  %name.count = load i64 %guard[{NAMES}]
  %first.name = getelementptr i64, ptr %guard, i64 {GUARD_HEAD}
  br label %name.loop
name.loop:
  %n = phi i64 [0, %names], [%n.next, %name]
  %triple = phi ptr [%first.name, %names], [%triple.next, %name]
  %more.names = icmp slt i64 %n, %name.count
  br i1 %more.names, label %name, label %cells
name:
  %dict = load ptr %triple[0]
  %key = load ptr %triple[1]
  %then = load ptr %triple[2]
  %now = call ptr @PyDict_GetItemWithError(ptr %dict, ptr %key)
  %n.next = add i64 %n, 1
  %triple.next = getelementptr i64, ptr %triple, i64 3
  %same.name = icmp eq ptr %now, %then
  br i1 %same.name, label %name.loop, label %enter
cells:
  %cell.count = load i64 %guard[{CELLS}]
  br label %cell.loop
cell.loop:
  %c = phi i64 [0, %cells], [%c.next, %cell]
  %pair = phi ptr [%triple, %cells], [%pair.next, %cell]
  %more.cells = icmp slt i64 %c, %cell.count
  br i1 %more.cells, label %cell, label %straight
cell:
  %holder = load ptr %pair[0]
  %held = load ptr %pair[1]
  %holds = load ptr %holder@{CONTENTS}
  %c.next = add i64 %c, 1
  %pair.next = getelementptr i64, ptr %pair, i64 2
  %same.cell = icmp eq ptr %holds, %held
  br i1 %same.cell, label %cell.loop, label %enter
straight:
  call void @Py_IncRef(ptr %state)
  %result = call ptr @iv_call(ptr %self, ptr %args, i64 %nargs, ptr %kwnames)
  call void @Py_DecRef(ptr %state)
  ret ptr %result
enter:
  %python = load ptr %state@{ITEMS + 16}
  call void @Py_IncRef(ptr %python)
  %answer = call ptr @PyObject_Vectorcall(ptr %python, ptr %args, i64 %nargs, ptr %kwnames)
  call void @Py_DecRef(ptr %python)
  ret ptr %answer
}}

define void @iv_give_back(ptr %capsule) {{
  %block = call ptr @PyCapsule_GetPointer(ptr %capsule, ptr null)
  call void @iv_free(ptr %block)
  ret void
}}
"""

_LOAD = re.compile(r"^(\s*)(%[\w.]+) = load (\w+) (%[\w.]+)(?:\[(.+?)\]|@(\d+))$", re.MULTILINE)
_STORE = re.compile(r"^(\s*)store (\w+) (\S+) (%[\w.]+)\[(.+?)\]$", re.MULTILINE)


def _expand(text: str) -> str:
    count = 0

    def place(indent: str, type: str, base: str, index: str | None, byte: str | None) -> tuple[str, str]:
        nonlocal count
        count += 1
        element, offset = (type, index) if byte is None else ("i8", byte)
        name = f"%at.{count}"
        return f"{indent}{name} = getelementptr {element}, ptr {base}, i64 {offset}\n", name

    def load(m: re.Match[str]) -> str:
        indent, result, type, base, index, byte = m.groups()
        line, name = place(indent, type, base, index, byte)
        return f"{line}{indent}{result} = load {type}, ptr {name}"

    def store(m: re.Match[str]) -> str:
        indent, type, value, base, index = m.groups()
        line, name = place(indent, type, base, index, None)
        return f"{line}{indent}store {type} {value}, ptr {name}"

    return _STORE.sub(store, _LOAD.sub(load, text))


def module() -> str:
    """The LLVM IR of `iv_call` and `iv_enter`."""
    return _expand(_TEXT) + runtime.definitions()
