"""Citations of further networks' papers."""

from __future__ import annotations

from unetzoo.models.papers import Paper

JHA_2020 = Paper(
    title="DoubleU-Net: A Deep Convolutional Neural Network for Medical Image Segmentation",
    authors="Debesh Jha, Michael A. Riegler, Dag Johansen, Pål Halvorsen, Håvard D. Johansen",
    year=2020,
    arxiv="2006.04868",
    doi="10.1109/CBMS49503.2020.00111",
    code="https://github.com/DebeshJha/2020-CBMS-DoubleU-Net",
    code_licence=None,
)
GALDRAN_2020 = Paper(
    title="The Little W-Net That Could: State-of-the-Art Retinal Vessel Segmentation with Minimalistic Models",
    authors="Adrian Galdran, André Anjos, José Dolz, Hadi Chakor, Hervé Lombaert, Ismail Ben Ayed",
    year=2020,
    arxiv="2009.01907",
    code="https://github.com/agaldran/lwnet",
    code_licence="MIT",
)
SANDERSON_2022 = Paper(
    title="FCN-Transformer Feature Fusion for Polyp Segmentation",
    authors="Edward Sanderson, Bogdan J. Matuszewski",
    year=2022,
    arxiv="2208.08352",
    doi="10.1007/978-3-031-12053-4_65",
    code="https://github.com/ESandML/FCBFormer",
    code_licence=None,
)
JIANG_2024 = Paper(
    title="LV-UNet: A Lightweight and Vanilla Model for Medical Image Segmentation",
    authors="Juntao Jiang, Mengmeng Wang, Huizhong Tian, Lingbo Cheng, Yong Liu",
    year=2024,
    arxiv="2408.16886",
    code="https://github.com/juntaoJianggavin/LV-UNet",
    code_licence=None,
)
RAHMAN_2025 = Paper(
    title="MK-UNet: Multi-kernel Lightweight CNN for Medical Image Segmentation",
    authors="Md Mostafijur Rahman, Radu Marculescu",
    year=2025,
    arxiv="2509.18493",
    code="https://github.com/SLDGroup/MK-UNet",
    code_licence="BSD-3-Clause",
)
RYALI_2023 = Paper(
    title="Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles",
    authors="Chaitanya Ryali, Yuan-Ting Hu, Daniel Bolya, Chen Wei, Haoqi Fan, Po-Yao Huang, Vaibhav Aggarwal, "
    "Arkabandhu Chowdhury, Omid Poursaeed, Judy Hoffman, Jitendra Malik, Yanghao Li, Christoph Feichtenhofer",
    year=2023,
    arxiv="2306.00989",
    code="https://github.com/facebookresearch/hiera",
)
PENG_2023 = Paper(
    title="U-Net v2: Rethinking the Skip Connections of U-Net for Medical Image Segmentation",
    authors="Yaopeng Peng, Milan Sonka, Danny Z. Chen",
    year=2023,
    arxiv="2311.17791",
    code="https://github.com/yaoppeng/U-Net_v2",
    code_licence=None,
)
WANG_2021_PVT = Paper(
    title="PVT v2: Improved Baselines with Pyramid Vision Transformer",
    authors="Wenhai Wang, Enze Xie, Xiang Li, Deng-Ping Fan, Kaitao Song, Ding Liang, Tong Lu, Ping Luo, Ling Shao",
    year=2021,
    arxiv="2106.13797",
    doi="10.1007/s41095-022-0274-8",
    code="https://github.com/whai362/PVT",
)
PETIT_2021 = Paper(
    title="U-Net Transformer: Self and Cross Attention for Medical Image Segmentation",
    authors="Olivier Petit, Nicolas Thome, Clément Rambour, Luc Soler",
    year=2021,
    arxiv="2103.06104",
    doi="10.1007/978-3-030-87589-3_28",
)
VALANARASU_2021 = Paper(
    title="Medical Transformer: Gated Axial-Attention for Medical Image Segmentation",
    authors="Jeya Maria Jose Valanarasu, Poojan Oza, Ilker Hacihaliloglu, Vishal M. Patel",
    year=2021,
    arxiv="2102.10662",
    doi="10.1007/978-3-030-87193-2_4",
    code="https://github.com/jeya-maria-jose/Medical-Transformer",
    code_licence="MIT",
)
LIU_2024_ROLLING = Paper(
    title="Rolling-Unet: Revitalizing MLP's Ability to Efficiently Extract Long-Distance Dependencies for Medical "
    "Image Segmentation",
    authors="Yutong Liu, Haijiang Zhu, Mengting Liu, Huaiyuan Yu, Zihan Chen, Jie Gao",
    year=2024,
    doi="10.1609/aaai.v38i4.28173",
    code="https://github.com/Jiaoyang45/Rolling-Unet",
    code_licence=None,
)
TANG_2022 = Paper(
    title="CMU-Net: A Strong ConvMixer-based Medical Ultrasound Image Segmentation Network",
    authors="Fenghe Tang, Lingtao Wang, Chunping Ning, Min Xian, Jianrui Ding",
    year=2022,
    arxiv="2210.13012",
    code="https://github.com/FengheTan9/CMU-Net",
    code_licence="MIT",
)
XU_2021 = Paper(
    title="LeViT-UNet: Make Faster Encoders with Transformer for Medical Image Segmentation",
    authors="Guoping Xu, Xingrong Wu, Xuan Zhang, Xinwei He",
    year=2021,
    arxiv="2107.08623",
    code="https://github.com/apple1986/LeViT-UNet",
    code_licence="MIT",
)
WANG_2023 = Paper(
    title="Narrowing the semantic gaps in U-Net with learnable skip connections: The case of medical image "
    "segmentation",
    authors="Haonan Wang, Peng Cao, Jinzhu Yang, Osmar Zaiane",
    year=2023,
    arxiv="2312.15182",
    doi="10.1016/j.neunet.2024.106546",
    code="https://github.com/McGregorWwww/UDTransNet",
    code_licence="MIT",
)
ZHANG_2021 = Paper(
    title="TransFuse: Fusing Transformers and CNNs for Medical Image Segmentation",
    authors="Yundong Zhang, Huiye Liu, Qiang Hu",
    year=2021,
    arxiv="2102.08005",
    doi="10.1007/978-3-030-87193-2_2",
    code="https://github.com/Rayicer/TransFuse",
    code_licence=None,
)
HEIDARI_2022 = Paper(
    title="HiFormer: Hierarchical Multi-scale Representations Using Transformers for Medical Image Segmentation",
    authors="Moein Heidari, Amirhossein Kazerouni, Milad Soltany, Reza Azad, Ehsan Khodapanah Aghdam, "
    "Julien Cohen-Adad, Dorit Merhof",
    year=2022,
    arxiv="2207.08518",
    code="https://github.com/amirhossein-kz/HiFormer",
    code_licence="MIT",
)
WANG_2021_MIXED = Paper(
    title="Mixed Transformer U-Net For Medical Image Segmentation",
    authors="Hongyi Wang, Shiao Xie, Lanfen Lin, Yutaro Iwamoto, Xian-Hua Han, Yen-Wei Chen, Ruofeng Tong",
    year=2021,
    arxiv="2111.04734",
    code="https://github.com/Dootmaan/MT-UNet",
    code_licence="MIT",
)
AZAD_2022 = Paper(
    title="DAE-Former: Dual Attention-guided Efficient Transformer for Medical Image Segmentation",
    authors="Reza Azad, René Arimond, Ehsan Khodapanah Aghdam, Amirhossein Kazerouni, Dorit Merhof",
    year=2022,
    arxiv="2212.13504",
    code="https://github.com/xmindflow/DAEFormer",
    code_licence=None,
)
