"""CircleNet checkpoints, the published Glo-In-One detector among them: how they are recognised and used."""

from collections.abc import Callable, Mapping

from torch import Tensor

from gloinone.detection.build import build_network, public_architecture
from gloinone.detection.decode import TOP_K
from gloinone.detection.fuse import PUBLISHED_MAX_IOU
from gloinone.labels import GLOMERULUS
from gloinone.weights.card import ModelCard
from gloinone.weights.published import ImportOptions, PublishedLayout

EDGE_PX = 512
MPP = 4.0
"""Of pyramid level 2 of an Aperio 40x slide, which is what the published pipeline reads; inferred, so settable."""
THRESHOLD = 0.05
OVERLAP = 0.5
"""Share of a tile that it has in common with the next."""
BGR_MEAN = (0.408 * 255, 0.447 * 255, 0.470 * 255)
BGR_STD = (0.289 * 255, 0.274 * 255, 0.278 * 255)
UNUSED_DLA = ("base.fc.", "base.level3.project.", "base.level4.project.")
"""ImageNet's classifier, and two projections whose output the published code throws away."""
RESNET_HEADS = ("deconv_layers.", "hm.", "cl.", "reg.")


def circlenet_card(arch: str, width_key: str) -> Callable[[Mapping[str, Tensor], ImportOptions], ModelCard]:
    """Makes the card of a CircleNet; the heads' width is that of the weight under ``width_key``."""

    def card(state: Mapping[str, Tensor], options: ImportOptions) -> ModelCard:
        hidden = len(state[width_key]) if width_key in state and state[width_key].dim() else 0
        mpp = options.mpp or MPP
        return ModelCard(
            name=options.name,
            task="detector",
            architecture=public_architecture(arch, hidden),
            edge_px=EDGE_PX,
            mean=BGR_MEAN,
            std=BGR_STD,
            channels="BGR",
            labels=(GLOMERULUS,),
            licence=options.licence,
            training_data=("not stated in the file",),
            split="not stated in the file",
            created_by=options.created_by,
            mpp=mpp,
            margin_um=EDGE_PX * mpp * OVERLAP / 2,
            threshold=THRESHOLD,
            floor=THRESHOLD,
            max_per_tile=TOP_K,
            merge_iou=PUBLISHED_MAX_IOU,
            not_validated=("Imported: nothing was measured with these weights in gloinone.",),
        )

    return card


def resnet_name(key: str) -> str:
    """The ResNet's weights lie loose in the file, and under `backbone.` in our network.

    >>> resnet_name("layer1.0.conv1.weight"), resnet_name("hm.0.weight")
    ('backbone.layer1.0.conv1.weight', 'hm.0.weight')
    """
    return key if key.startswith(RESNET_HEADS) else f"backbone.{key}"


LAYOUTS = (
    PublishedLayout(
        what="CircleNet dla_34",
        task="detector",
        marker="dla_up.ida_0.proj_1.conv.conv_offset_mask.weight",
        card=circlenet_card("dla34-dcn", "hm.0.weight"),
        build=build_network,
        unused=UNUSED_DLA,
    ),
    PublishedLayout(
        what="CircleNet dlav0_34",
        task="detector",
        marker="dla_up.ida_0.node_1.0.weight",
        card=circlenet_card("dla34", "hm.0.weight"),
        build=build_network,
        unused=UNUSED_DLA,
    ),
    PublishedLayout(
        what="CircleNet resdcn_18",
        task="detector",
        marker="deconv_layers.0.conv_offset_mask.weight",
        card=circlenet_card("resnet18-dcn", "hm.0.weight"),
        build=build_network,
        rename=resnet_name,
    ),
    PublishedLayout(
        what="CircleNet hourglass",
        task="detector",
        marker="kps.0.low1.0.conv1.weight",
        card=circlenet_card("hourglass", "hm.0.0.conv.weight"),
        build=build_network,
    ),
)
