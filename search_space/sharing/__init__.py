"""Where a layer's keys and values come from, by the name that JSON and YAML use."""

from search_space.sharing.interface import Sharing
from search_space.sharing.latent import LatentKV
from search_space.sharing.one_tensor import OneTensor
from search_space.sharing.own import OwnKV
from search_space.sharing.reused import ReusedKV

SHARINGS: dict[str, type[Sharing]] = {
    cls.name: cls for cls in (OwnKV, ReusedKV, OneTensor, LatentKV)
}

__all__ = ["SHARINGS", "LatentKV", "OneTensor", "OwnKV", "ReusedKV", "Sharing"]
