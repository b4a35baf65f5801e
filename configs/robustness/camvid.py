# CamVid, a light PSPNet: which attacks transfer best from DeepLabv3. 24 of the 233 images; num_images=None for all.
_base_ = '../_base_/robustness/dense_transfer.py'

target = dict(config='configs/target/light_pspnet_camvid.py', checkpoint='checkpoints/light_pspnet_camvid.pth')
source = dict(config='configs/target/light_deeplabv3_camvid.py', checkpoint='checkpoints/light_deeplabv3_camvid.pth')

defenses = dict(
    none=dict(),
    align=dict(
        config='configs/align/align_light-pspnet_1xb4-8e_camvid.py', checkpoint='checkpoints/light_pspnet_camvid_align.pth'))

budget = dict(eps=0.03 * 255, step_size=0.01 * 255, steps=8)
attacks = dict(BIM=budget, MI=budget, DI=budget, TI=budget)

threat_models = [
    dict(name='gray-box', attacks=['BIM']),
    dict(name='transfer', source=source),
    dict(name='adaptive', attacks=['BIM']),
]
num_images = 24
