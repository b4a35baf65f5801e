# Whether more steps or other objectives break the adaptive purifier of a light SSD on BCCD, eps 4: 24 of the 72 test images.
target = dict(config='configs/target/light_ssd_bccd.py', checkpoint='checkpoints/light_ssd_bccd.pth')

defenses = dict(
    none=dict(),
    adaptive=dict(
        data_preprocessor=dict(
            type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint='zoo/adaptive_light_ssd_bccd.pth'))))

_budget = dict(type='PGD', eps=4, step_size=0.5, steps=50, random_start='uniform')
attacks = {
    'BIM-10': dict(type='BIM', eps=4, step_size=1, steps=10, objective='cls+loc'),
    'PGD-50': dict(_budget, objective='cls+loc'),
    'PGD-50, vanish': dict(_budget, objective='vanish'),
    'APGD-50': dict(type='APGD', eps=4, steps=50, objective='cls+loc'),
}
threat_models = [dict(name='gray-box', attacks=['BIM-10']), dict(name='adaptive')]
num_images = 24
test_dataloader = dict(batch_size=12, num_workers=0)
