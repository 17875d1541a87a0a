"""Head cuts: which heads of a design may go together, and the design that they leave.

Either a KV head with its query heads, in every layer that attends to it; or one query head of each
group of a layer. Tied layers lose what their anchor loses.

Left out are layers with ALiBi, whose slopes follow from the number of heads, and cuts that take
all heads from one pattern of a split layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from search_space import Design, DesignError, Heads, LatentKV, LayerDesign


@dataclass(frozen=True, slots=True)
class Cut:
    """Heads that are removed together, by the index of their layer in the design."""

    queries: Mapping[int, frozenset[int]]
    keys: Mapping[int, frozenset[int]] = field(default_factory=dict)  # KV heads

    def describe(self) -> str:
        """For people, who count from 1: `KV head 2 and query heads 3, 4 of layer 1`."""
        layers: dict[str, list[int]] = {}
        for layer, heads in self.queries.items():
            what = _numbered("query head", heads)
            if layer in self.keys:
                what = f"{_numbered('KV head', self.keys[layer])} and {what}"
            layers.setdefault(what, []).append(layer)
        return "; ".join(f"{what} of {_numbered('layer', of)}" for what, of in layers.items())


def prunable(design: Design) -> bool:
    """Whether any cut leaves a legal design."""
    return bool(key_cuts(design) or query_cuts(design))


def key_cuts(design: Design) -> list[Cut]:
    """Each KV head with its query heads, in all layers that attend to its keys."""
    found: list[Cut] = []
    leaning = [i for i, layer in enumerate(design.layers) if not layer.independent]
    anchors = design.anchors()
    for owner, layer in enumerate(design.layers):
        if not layer.independent or isinstance(layer.sharing, LatentKV):
            continue
        members = [owner, *(i for i in leaning if anchors[i] == owner)]
        for key in range(layer.heads.kv):
            queries = {i: _group(design.layers[i].heads, key) for i in members}
            found.append(Cut(queries, {i: frozenset((key,)) for i in members}))
    return [cut for cut in found if without(design, cut) is not None]


def query_cuts(design: Design) -> list[list[list[Cut]]]:
    """For each layer, group by group, the cuts of one query head: one of each may go."""
    found: list[list[list[Cut]]] = []
    tied = [i for i, layer in enumerate(design.layers) if layer.tied]
    anchors = design.anchors()
    for owner, layer in enumerate(design.layers):
        if layer.tied:
            continue
        members = [owner, *(i for i in tied if anchors[i] == owner)]
        groups = [_group(layer.heads, key) for key in range(layer.heads.kv)]
        if isinstance(layer.sharing, LatentKV):  # its heads have no keys to share
            groups = [frozenset(range(layer.heads.query))]
        cuts = [
            [Cut(dict.fromkeys(members, frozenset((head,)))) for head in sorted(group)]
            for group in groups
        ]
        if without(design, together(group[0] for group in cuts)) is not None:
            found.append(cuts)
    return found


def without(design: Design, cut: Cut) -> Design | None:
    """The design that a cut leaves; None where there is none, or it would compute otherwise."""
    if any(design.layers[index].position.by_distance for index in cut.queries):
        return None
    layers = list(design.layers)
    try:
        for index, queries in cut.queries.items():
            layers[index] = _thinned(layers[index], len(queries), cut.keys.get(index, frozenset()))
        return replace(design, layers=tuple(layers))
    except DesignError:
        return None


def _thinned(layer: LayerDesign, queries: int, keys: frozenset[int]) -> LayerDesign:
    """The layer with fewer heads; DesignError where it is none."""
    heads, split = layer.heads, layer.split
    left = heads.query - queries
    kv = left if isinstance(layer.sharing, LatentKV) else heads.kv - len(keys)
    if split is not None:
        lost = sum(key >= heads.kv - split.kv_heads for key in keys)
        split = replace(split, kv_heads=split.kv_heads - lost)
    return replace(layer, heads=Heads(left, kv, heads.dim), split=split)


def _group(heads: Heads, key: int) -> frozenset[int]:
    """The query heads of a KV head."""
    return frozenset(range(key * heads.group, (key + 1) * heads.group))


def together(cuts: Iterable[Cut]) -> Cut:
    """Cuts of query heads of the same layers as one."""
    found: dict[int, frozenset[int]] = {}
    for cut in cuts:
        for index, heads in cut.queries.items():
            found[index] = found.get(index, frozenset()) | heads
    return Cut(found)


def _numbered(what: str, heads: frozenset[int] | list[int]) -> str:
    names = ", ".join(str(head + 1) for head in sorted(heads))
    return f"{what}{'s' * (len(heads) > 1)} {names}"
