"""What ONNX Runtime complains about, in words: the reason without the place in its sources where it was found."""

import re

LONGEST = 300
REFUSED = "ONNX Runtime cannot load it: "
OUT_OF_MEMORY = "it asks for more memory than there is"

CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
LOADING = re.compile(r"^Load model from .*? failed: ?", re.DOTALL)
NODE = re.compile(r"^Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ?")
PLACE = re.compile(r"(?:^|(?<=\s))[\w./\\-]+\.(?:h|hpp|cc|cpp|cxx|cu|cuh|inc):\d+:? ")
OPENVINO_FROM = re.compile(r"Exception from (?=[\w./\\-]+:\d+)")  # where it was found, once for each function that it passed
OPENVINO_CHECK = re.compile(r"Check '.{0,300}?' failed at (?=[\w./\\-]+:\d+)")
CONDITION = re.compile(r"^\S.{0,300}? was (?:false|true)\. ?")
FUNCTION = re.compile(r"^[A-Z]\w+ (?=\S)")
IR_VERSION = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
OPSET = re.compile(r"Opset (\d+) is under development.*official support for domain (\S+) is till opset (\d+)")
UNREGISTERED = re.compile(r"No Op registered for (\S+) with domain_version of (\d+)")
UNKNOWN_OPERATOR = re.compile(r"(\S*):(\w+)\(-?\d+\) is not a registered function/op")
KERNEL = re.compile(r"Could not find an implementation for (\w+)\(\d+\) node")


def in_words(error: Exception) -> str:
    """Return the reason of a failed call, the operator that found it first; cut only at its end."""
    text = OPENVINO_CHECK.sub("", OPENVINO_FROM.sub("", " ".join(str(error).split())))
    text = _reason(text) or type(error).__name__
    if isinstance(error, MemoryError) or "bad_alloc" in text:
        return OUT_OF_MEMORY
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " ..."


def refusal(error: Exception, version: str) -> tuple[str, str]:
    """Return why a file is not loaded, and the way out; `version` is that of ONNX Runtime."""
    text = " ".join(str(error).split())
    if found := IR_VERSION.search(text):
        fault = f"{REFUSED}made for IR version {found[1]}; this runtime (onnxruntime {version}) reads up to {found[2]}"
        return fault, f"upgrade onnxruntime, or convert the model: export it again for IR version {found[2]} or older"
    if found := OPSET.search(text):
        fault = f"{REFUSED}made for opset {found[1]} of {found[2]}; this runtime (onnxruntime {version}) reads up to {found[3]}"
        return fault, f"upgrade onnxruntime, or convert the model to opset {found[3]} or older (onnx.version_converter)"
    if found := UNREGISTERED.search(text):
        fault = f"{REFUSED}operator {found[1]} is not in opset {found[2]}, as this runtime (onnxruntime {version}) knows it"
        return fault, "upgrade onnxruntime, or export the model with ONNX's own operators; custom operators cannot be measured"
    if found := UNKNOWN_OPERATOR.search(text):
        fault = f"{REFUSED}operator {found[2]} of {found[1] or 'ai.onnx'} is a custom one, which this runtime does not know"
        return fault, "export the model with ONNX's own operators; custom operators cannot be measured"
    if found := KERNEL.search(text):
        fault = f"{REFUSED}this runtime (onnxruntime {version}) has no kernel here for operator {found[1]} on the types that it is given"
        return fault, "export the model in 32-bit floats, or upgrade onnxruntime"
    return f"{REFUSED}{in_words(error)}", "check that onnxruntime runs this file on its own; export it again"


def _reason(text: str) -> str:
    text = LOADING.sub("", CODE.sub("", text))
    if node := NODE.match(text):
        name = f" {node[2]!r}" if node[2] else ""
        return f"{node[1]}{name}: {_reason(text[node.end() :])}"
    place = PLACE.search(text)
    if place is None:
        return text
    before, found = text[: place.start()], _without_function(text[place.end() :])
    # The condition that did not hold is a line of their code; what follows says it in words, as a rule.
    condition = CONDITION.match(found)
    # What follows may be the message of a call inside, with a place of its own.
    return before + _reason(found[condition.end() :] if condition is not None and condition.end() < len(found) else found)


def _without_function(text: str) -> str:
    """Return the text without the C++ function at its beginning, whole signature or bare name."""
    opening = text.find("(")
    scope = text.find("::")
    if 0 <= scope < opening or (0 <= opening and re.match(r"^(?:[\w&*<>]+ )+[\w~]+\(", text)):
        end = _closing(text, opening)
        while text.startswith("::", end):  # a function inside that one
            opening = text.find("(", end)
            end = _closing(text, opening) if opening >= 0 else len(text)
        rest = re.sub(r"^>?\s*(?:const\b|noexcept\b|\[with [^\]]*\]|\s)*", "", text[end:])
        return rest or text[:end]
    return FUNCTION.sub("", text, count=1)


def _closing(text: str, opening: int) -> int:
    """Return the position after the parenthesis that closes the one at `opening`, the end of the text where there is none."""
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return len(text)
