"""From routines to LLVM functions: sums become chains of fused multiply-adds, arrays are read where needed."""

from her2pkpd.engine.emit.asm import Asm, function
from her2pkpd.engine.program.routine import Routine
from her2pkpd.model.tape import BOOLEAN, CONST, INPUT, Node, Tape

_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "div": "quotient"}
_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_INTRINSIC = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor"}
CALLED = frozenset({"exp", "log", "log1p", "expm1", "pow", "tanh", "logistic", "sin", "cos"})
"""Operations that become calls of the vector functions in `emit.vector_math`."""


class RoutineWriter:
    """Writes one routine as an LLVM function of array pointers.

    Outputs are visited in order and each value is computed just before its first use, which keeps few alive.

    Args:
        routine: the program.
        width: lanes per vector.
        fma: whether the target has fused multiply-add.
        special: instructions of the target, see `Asm`.
    """

    def __init__(self, routine: Routine, width: int, fma: bool, special: tuple[str, ...] = ()) -> None:
        self.routine = routine
        self.asm = Asm(width, fma, special)
        self.tape: Tape = routine.tape
        self.uses = self.tape.uses()
        self.depth = _depths(self.tape)
        self.names: dict[int, str] = {}
        self.called: set[str] = set()

    def text(self, attributes: str = "internal") -> str:
        """The function definition."""
        # Calls first: their long chains then run beside the rest, and nothing has to be saved around them.
        calls = [index for index, node in enumerate(self.tape.nodes) if node.op in CALLED]
        for index in sorted(calls, key=lambda k: (self.depth[k], k)):
            self._evaluate(index)
        for output, slot in zip(self.tape.outputs, self.routine.outputs, strict=True):
            self._evaluate(output)
            self.asm.store(self.names[output], f"%{slot.array}", slot.index)
        self.asm.emit("ret void")
        arguments = [f"ptr noalias %{a}" for a in self.routine.arrays]
        body = function(self.routine.name, arguments, self.asm, attributes="#0")
        return body.replace("define ", f"define {attributes} ", 1)

    def _evaluate(self, root: int) -> None:
        """Write a node and all it needs; an explicit stack, as tapes can be deep."""
        stack = [root]
        while stack:
            index = stack[-1]
            if index in self.names:
                stack.pop()
                continue
            waiting = [a for a in reversed(self._operands(index)) if a not in self.names]
            if waiting:
                stack.extend(waiting)
            else:
                self.names[index] = self._write(index)
                stack.pop()

    def _operands(self, index: int) -> list[int]:
        node = self.tape.nodes[index]
        if node.op in ("add", "sub", "neg") and not self._negated_leaf(node):
            return [leaf for _, factors in self._terms(index) for leaf in factors]
        return list(node.args)

    def _negated_leaf(self, node: Node) -> bool:
        return node.op == "neg" and not self._inlined(node.args[0])

    def _inlined(self, index: int) -> bool:
        """Whether a node is folded into the one sum or product that uses it."""
        return self.uses[index] == 1 and self.tape.nodes[index].op in ("add", "sub", "mul", "neg")

    def _terms(self, root: int) -> list[tuple[bool, tuple[int, ...]]]:
        """A sum as signed terms, each one factor or two; nested sums that nobody else uses are flattened."""
        terms: list[tuple[bool, tuple[int, ...]]] = []

        def visit(index: int, minus: bool, top: bool) -> None:
            node = self.tape.nodes[index]
            if not top and not self._inlined(index):
                terms.append((minus, (index,)))
            elif node.op == "add":
                visit(node.args[0], minus, False)
                visit(node.args[1], minus, False)
            elif node.op == "sub":
                visit(node.args[0], minus, False)
                visit(node.args[1], not minus, False)
            elif node.op == "neg":
                visit(node.args[0], not minus, False)
            else:
                terms.append((minus, node.args))

        visit(root, False, True)
        return terms

    def _sum(self, index: int) -> str:
        """Products are fused onto a running sum that starts with a plain term where there is one."""
        asm = self.asm
        terms = self._terms(index)
        # What is known last is added last, so that the rest need not wait; a product never starts if it can follow.
        terms.sort(key=lambda t: (max(self.depth[f] for f in t[1]), len(t[1]), t[0]))
        if len(terms[0][1]) == 2 or terms[0][0]:
            start = next((t for t in terms[:-1] if len(t[1]) == 1 and not t[0]), terms[0])
            terms.remove(start)
            terms.insert(0, start)
        total: str | None = None
        for minus, factors in terms:
            values = [self.names[f] for f in factors]
            if total is None:
                total = values[0] if len(values) == 1 else asm.mul(values[0], values[1])
                total = asm.neg(total) if minus else total
            elif len(values) == 1:
                total = (asm.sub if minus else asm.add)(total, values[0])
            else:
                total = (asm.fnma if minus else asm.fma)(values[0], values[1], total)
        assert total is not None
        return total

    def _write(self, index: int) -> str:  # noqa: PLR0911
        asm, node = self.asm, self.tape.nodes[index]
        if node.op == INPUT:
            slot = self.routine.inputs[int(node.value)]
            return asm.load(f"%{slot.array}", slot.index)
        if node.op == CONST:
            return asm.const_b(node.value) if isinstance(node.value, bool) else asm.const(node.value)
        if node.op in ("add", "sub") or (node.op == "neg" and not self._negated_leaf(node)):
            return self._sum(index)
        a = [self.names[k] for k in node.args]
        if node.op in _BINARY:
            return getattr(asm, _BINARY[node.op])(*a)
        if node.op == "neg":
            return asm.neg(*a)
        if node.op in _INTRINSIC:
            return asm.intrinsic(_INTRINSIC[node.op], *a)
        if node.op in ("eq", "ne") and self.tape.nodes[node.args[0]].op in BOOLEAN:
            return asm.op(f"icmp {node.op} {asm.B} {a[0]}, {a[1]}")
        if node.op in _COMPARE:
            return asm.compare(_COMPARE[node.op], *a)
        return self._other(node, a)

    def _other(self, node: Node, a: list[str]) -> str:
        asm = self.asm
        if node.op in ("max", "min"):
            # As NumPy and JAX: a NaN on either side wins.
            chosen = asm.select(asm.compare("ogt" if node.op == "max" else "olt", *a), a[0], a[1])
            return asm.select(asm.compare("uno", a[0], a[0]), a[0], chosen)
        if node.op == "sign":
            unit = asm.intrinsic("copysign", asm.const(1.0), a[0])
            return asm.select(asm.compare("one", a[0], asm.const(0.0)), unit, a[0])
        if node.op in ("and", "or"):
            return asm.logic(node.op, *a)
        if node.op == "not":
            return asm.not_(*a)
        if node.op == "select":
            return self._select(node, a)
        if node.op in CALLED:
            name = "power" if node.op == "pow" and not self._may_be_negative(node.args[0]) else node.op
            self.called.add(name)
            return asm.op(f"call {asm.F} @lane_{name}({', '.join(f'{asm.F} {x}' for x in a)})")
        raise NotImplementedError(f"no machine code for '{node.op}'")

    def _may_be_negative(self, index: int) -> bool:
        node = self.tape.nodes[index]
        values = [self.tape.nodes[a].value for a in node.args if self.tape.nodes[a].op == CONST]
        return not (node.op in ("exp", "abs", "logistic", "sqrt") or (node.op == "max" and any(v >= 0 for v in values)))

    def _select(self, node: Node, a: list[str]) -> str:
        asm, kind = self.asm, self.tape.nodes[node.args[1]]
        boolean = kind.op in BOOLEAN or (kind.op == CONST and isinstance(kind.value, bool))
        type_ = asm.B if boolean else asm.F
        return asm.op(f"select {asm.B} {a[0]}, {type_} {a[2]}, {type_} {a[1]}")


_LATENCY = {INPUT: 5, CONST: 0, "div": 14, "sqrt": 20, "pow": 150} | dict.fromkeys(CALLED - {"pow"}, 80)
"""Cycles until a result is there, roughly; 4 where not given."""


def _depths(tape: Tape) -> list[int]:
    """When each node is known at the earliest, in cycles."""
    depth: list[int] = []
    for node in tape.nodes:
        depth.append(max((depth[a] for a in node.args), default=0) + _LATENCY.get(node.op, 4))
    return depth
