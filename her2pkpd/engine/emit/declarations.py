"""Declarations of the intrinsics an LLVM text uses, read off the text itself."""


def declarations(text: str) -> str:
    """Declarations of the intrinsics used in a text."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if "@llvm." not in line:
            continue
        call = line.split("call ", 1)[1]
        result, rest = call.split(" @", 1)
        name, arguments = rest.split("(", 1)
        depth, types, current = 0, [], ""
        for c in arguments:
            if c in "<[({":
                depth += 1
            if c in ">])}":
                if depth == 0:
                    break
                depth -= 1
            if c == "," and depth == 0:
                types.append(current)
                current = ""
            else:
                current += c
        types.append(current)
        kinds = [_type_of(x) for x in types]
        found[name] = f"declare {result} @{name}({', '.join(kinds)})"
    return "\n" + "\n".join(found.values()) + "\n" + _ATTRIBUTES


def _type_of(argument: str) -> str:
    argument = argument.strip()
    return argument[: argument.index(">") + 1] if argument.startswith("<") else argument.split(" ")[0]


_ATTRIBUTES = """
attributes #0 = { nounwind alignstack=64 "no-trapping-math"="true" }
!0 = !{!"branch_weights", i32 1, i32 1000}
"""
