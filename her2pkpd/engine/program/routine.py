"""Routines: tapes whose inputs and outputs live in named arrays, and the hoisting of what stays constant."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from her2pkpd.engine.program.quotients import share_reciprocals
from her2pkpd.model.tape import BOOLEAN, CONST, INPUT, Node, Tape, TapeBuilder


@dataclass(frozen=True)
class Slot:
    """A place in a named array; every element of the array holds one scalar per lane."""

    array: str
    index: int


@dataclass(frozen=True)
class Routine:
    """A straight-line program between arrays.

    Attributes:
        name: its name.
        tape: the operations.
        inputs: where each tape input is read.
        outputs: where each tape output is written.
    """

    name: str
    tape: Tape
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays it touches, sorted."""
        return tuple(sorted({s.array for s in (*self.inputs, *self.outputs)}))

    def operations(self) -> int:
        """Number of arithmetic operations."""
        return sum(n.op not in ("const", "input") for n in self.tape.nodes)


class Workshop:
    """One builder shared by all routines of a program, so that they can pass values to each other.

    Nodes that depend on parameters only are computed once per lane, by the routine `prologue`, into array
    ``cst``; every other routine reads them there.

    Args:
        inputs: array name -> length; these become the builder's inputs, in this order.
        constant: the input arrays that do not change while a lane is integrated.
    """

    def __init__(self, inputs: Mapping[str, int], constant: Sequence[str]) -> None:
        self.build = TapeBuilder(sum(inputs.values()))
        self.slots: dict[int, Slot] = {}
        self.arrays: dict[str, list[int]] = {}
        self._constant = set(constant)
        self._varying: list[bool] = []
        self._hoisted: dict[int, Slot] = {}
        nodes = iter(self.build.inputs)
        for name, length in inputs.items():
            self.arrays[name] = [next(nodes) for _ in range(length)]
            self.slots |= {node: Slot(name, k) for k, node in enumerate(self.arrays[name])}

    def add_array(self, name: str, length: int) -> list[int]:
        """A further input array, filled by an earlier routine; returns its nodes."""
        nodes = list(range(len(self.build.nodes), len(self.build.nodes) + length))
        for k, node in enumerate(nodes):
            self.build.nodes.append(Node(INPUT, (), self.build.n_inputs))
            self.build.n_inputs += 1
            self.slots[node] = Slot(name, k)
        self.arrays[name] = nodes
        return nodes

    def varying(self, index: int) -> bool:
        """Whether a node changes while a lane is integrated."""
        nodes = self.build.nodes
        for k in range(len(self._varying), index + 1):
            slot = self.slots.get(k) if not nodes[k].args else None
            self._varying.append(
                slot.array not in self._constant if slot else any(self._varying[a] for a in nodes[k].args)
            )
        return self._varying[index]

    def early(self, outputs: Iterable[int], late: Collection[int], known: Collection[int] = ()) -> list[int]:
        """Nodes behind `outputs` that vary, but not with the inputs `late`, where they meet nodes that do.

        Args:
            outputs: nodes.
            late: inputs that change more often.
            known: nodes that are known already.
        """
        nodes = self.build.nodes
        staged: list[bool] = []
        for index, node in enumerate(nodes):
            staged.append(index in late or any(staged[a] for a in node.args))
        seen: set[int] = set()
        meeting: set[int] = set()
        stack = list(outputs)
        while stack:
            index = stack.pop()
            if index in seen or index in known:
                continue
            seen.add(index)
            # A sign is free where it is used, and a condition cannot be kept.
            if staged[index] or nodes[index].op == "neg" or nodes[index].op in BOOLEAN:
                stack.extend(nodes[index].args)
            elif self.varying(index) and nodes[index].args:
                meeting.add(index)
        return sorted(meeting)

    def place(self, node: int) -> Slot | None:
        """Where a node that is an input or a hoisted constant lives; None for one that must be computed."""
        if node in self.slots and self.slots[node].array not in self._constant:
            return self.slots[node]
        op = self.build.nodes[node].op
        # Arrays hold doubles, so a condition is computed again where it is needed.
        if op == CONST or op in BOOLEAN or self.varying(node):
            return None
        if node not in self._hoisted:
            self._hoisted[node] = Slot("cst", len(self._hoisted))
        return self._hoisted[node]

    def routine(
        self, name: str, outputs: Sequence[tuple[int, Slot]], known: Mapping[int, Slot] | None = None
    ) -> Routine:
        """A routine that computes `outputs`.

        Args:
            name: its name.
            outputs: nodes and where to write them.
            known: nodes that another routine has computed before, and where they are.
        """
        known = known or {}
        return self._assemble(name, outputs, lambda node: known.get(node) or self.place(node))

    def prologue(self) -> Routine:
        """The routine that fills ``cst``; call it after all others are made."""
        outputs = [(node, slot) for node, slot in self._hoisted.items()]
        return self._assemble("prologue", outputs, self.slots.get)

    @property
    def n_hoisted(self) -> int:
        """Length of ``cst`` so far."""
        return len(self._hoisted)

    def _assemble(self, name: str, outputs: Sequence[tuple[int, Slot]], place: Callable[[int], Slot | None]) -> Routine:
        nodes = self.build.nodes
        needed: set[int] = set()
        leaves: dict[int, Slot] = {}
        stack = [node for node, _ in outputs]
        while stack:
            node = stack.pop()
            if node in needed:
                continue
            needed.add(node)
            slot = place(node)
            if slot is not None:
                leaves[node] = slot
            else:
                stack.extend(nodes[node].args)
        order = sorted(leaves, key=lambda k: (leaves[k].array, leaves[k].index))
        small = TapeBuilder(len(order))
        new = dict(zip(order, small.inputs, strict=True))
        for node in sorted(needed - leaves.keys()):
            op = nodes[node]
            new[node] = small.const(op.value) if op.op == CONST else small.apply(op.op, *(new[a] for a in op.args))
        tape = small.finish([new[node] for node, _ in outputs])
        if name != "prologue":  # it runs once a lane, and its rounding must not depend on what else is computed
            tape = share_reciprocals(tape)
        return Routine(name, tape, tuple(leaves[k] for k in order), tuple(s for _, s in outputs))
