# BCCD, a light SSD: attacks of several steps, and which of them transfer best from FCOS.
_base_ = '../_base_/robustness/dense_transfer.py'

target = dict(config='configs/target/light_ssd_bccd.py', checkpoint='checkpoints/light_ssd_bccd.pth')
source = dict(config='configs/target/light_fcos_bccd.py', checkpoint='checkpoints/light_fcos_bccd.pth')

defenses = dict(
    none=dict(),
    align=dict(config='configs/align/align_light-ssd_1xb4-8e_bccd.py', checkpoint='checkpoints/light_ssd_bccd_align.pth'))

budget = dict(eps=8, step_size=2, steps=10, objective='cls+loc')
attacks = dict(BIM=budget, MI=budget, DI=budget, TI=budget)

threat_models = [
    dict(name='gray-box', attacks=['BIM']),
    dict(name='transfer', source=source),
    dict(name='adaptive', attacks=['BIM']),
]
