"""Cuts a network in two before one of its parts: what comes before is computed once, what follows can learn.

Not here: what is done with the halves (backbones.py, adapter.py).
"""

from collections.abc import Iterator

from torch import fx, nn

from experiments.errors import ConfigError
from experiments.features.index import ALL

INPUT = "kept"  # of the second half
_NAMED = 6  # parts that an error offers


class _Tracer(fx.Tracer):
    """Looks into the modules that contain one part, and takes all others as they are."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say whether not to look inside; the library names the arguments."""
        return not self.part.startswith(f"{module_qualified_name}.")


def cut_before(network: nn.Module, part: str, name: str) -> tuple[nn.Module, nn.Module]:
    """Return (before, after): after(before(x)) is network(x), and after begins with the part, or is ALL.

    Both share the network's own modules under their own names. Raises ConfigError where there is no such
    part, or something else of the network goes past it than its one input; name is what to call the network.
    """
    if part == ALL:
        return nn.Identity(), network
    if part not in dict(network.named_modules()) or not part:
        raise ConfigError(
            f"{name} has no part {part!r}: use one such as {', '.join(_offered(network))}, or {ALL}"
        )
    try:
        nodes = list(_Tracer(part).trace(network).nodes)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"{name} cannot be cut before {part} (its code branches): leave out --tail"
        ) from error
    places = [index for index, node in enumerate(nodes) if node.op == "call_module" and node.target == part]
    if len(places) != 1 or len(nodes[places[0]].all_input_nodes) != 1:
        raise ConfigError(f"{part} of {name} is not called once with one input: use a part before it")
    (kept,) = nodes[places[0]].all_input_nodes
    before, after = nodes[: places[0]], nodes[places[0] :]
    return _first(network, before, kept), _second(network, after, kept, f"{name} before {part}")


def _offered(network: nn.Module) -> Iterator[str]:
    """Yield the names of the last parts that have weights, the last first."""
    parts = list(_parts(network))
    if len(parts) == 1:  # all lies in one
        parts = list(_parts(network.get_submodule(parts[0]), f"{parts[0]}.")) or parts
    yield from parts[: -_NAMED - 1 : -1]


def _parts(network: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yield the names of a module's parts; a list of parts is never called, but what it holds is."""
    for name, part in network.named_children():
        if isinstance(part, nn.ModuleList):
            yield from _parts(part, f"{prefix}{name}.")
        elif list(part.parameters()):
            yield prefix + name


def _first(network: nn.Module, nodes: list[fx.Node], kept: fx.Node) -> nn.Module:
    graph = fx.Graph()
    known: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        known[node] = graph.node_copy(node, known.__getitem__)
    graph.output(known[kept])
    return fx.GraphModule(network, graph)


def _second(network: nn.Module, nodes: list[fx.Node], kept: fx.Node, where: str) -> nn.Module:
    graph = fx.Graph()
    known = {kept: graph.placeholder(INPUT)}

    def of_before(node: fx.Node) -> fx.Node:
        if node in known:
            return known[node]
        if node.op == "get_attr":  # a weight that no module of its own holds
            known[node] = graph.node_copy(node)
        elif node.op == "call_method" and node.target == "size" and node.args[1:] == (0,):
            known[node] = graph.call_method("size", (known[kept], 0))  # the batch's, of whatever it is asked
        else:
            raise ConfigError(f"{where} is more than one tensor: use another part")
        return known[node]

    for node in nodes:
        known[node] = graph.node_copy(node, of_before)
    return fx.GraphModule(network, graph)
