# The rows of the papers' tables that all tasks share, by their names there. Names in braces are fields of the config that
# names data and models; weights that are not there are obtained as `obtain` says.
target = dict(config='configs/target/{target}.py', checkpoint='checkpoints/{target}.pth')


def trained(config, name, options, **spec):
    """A model with its own weights, and the command that makes them."""
    weights = f'checkpoints/{{target}}_{name}.pth'
    return dict(spec, config=config, checkpoint=weights, obtain=f'python tools/train.py {config} --out {weights} {options}')


def adversarial(recipe, finetune=False):
    name = recipe + ('_finetuned' if finetune else '')
    options = f'--recipe {recipe} finetune --cfg-options load_from=checkpoints/{{target}}.pth'
    return trained(
        'configs/target/{target}.py', name, options if finetune else f'--recipe {recipe} {{short}}')


def purifier(name, kind):
    """Another purifier's own network, trained for as long as ours."""
    options = f'--cfg-options {{place}}.type={kind} load_from=checkpoints/{{target}}.pth {{same}}'
    return trained('configs/target/{target}.py', name, options, data_preprocessor=dict(type=kind))


def ablation(name):
    return trained('{full}', f'{{full_name}}_{name}', f'--ablation {name}')


undefended = trained(
    'configs/target/{target}.py', 'finetuned', '--recipe finetune --cfg-options load_from=checkpoints/{target}.pth')
full = trained('{full}', '{full_name}', '')
defenses = {
    'No Defense': dict(),
    'No Defense (finetune)': undefended,
    'Defense': purifier('defense_gan', 'DefenseGANPurifier'),
    'SR': purifier('sr', 'SuperResolutionPurifier'),
    'FPD': purifier('fpd', 'FPDPurifier'),
    'APE': purifier('ape', 'APEGANPurifier'),
    'Denoise': purifier('hgd', 'HGDPurifier'),
    'NRP': purifier('nrp', 'NRPPurifier'),
    'Ours': trained('{ours}', 'align', '{ours_options}', data_preprocessor=dict(type='AlignPurifier')),
    # Ablations
    'Full': full,
    'original (lambda 1 to 4)': full,
    'L_I': ablation('pixel'),
    'L_F (w/o c)': ablation('feature_no_class'),
    'L_I+F (w/o c)': ablation('no_class'),
    'L_T': ablation('traditional'),
    'L_T+F (w/o c)': ablation('traditional_no_class'),
    'Ours w/o L_r': ablation('no_reconstruction'),
    'Ours w/o L_p': ablation('no_perceptual'),
    'Ours w/o L_m': ablation('no_matching'),
    'Ours w/o L_GANg': ablation('no_gan'),
    'Ours w/o L_Ftask': ablation('no_task'),
    'Ours w/o L_Frec': ablation('no_feature'),
    'Ours w/o L_Falign': ablation('no_align'),
    'Ours w/o L_Finter': ablation('no_inter'),
    'Ours w/o L_Fintra': ablation('no_intra'),
    'Full-abla-pixel-I': ablation('pixel_1'),
    'Full-abla-pixel-II': ablation('pixel_2'),
    'Full-abla-feature-I': ablation('feature_1'),
    'Full-abla-feature-II': ablation('feature_2'),
    'deleting 1-st layer': ablation('no_layer_1'),
    'deleting 2-nd layer': ablation('no_layer_2'),
    'deleting 3-rd layer': ablation('no_layer_3'),
    'deleting 4-th layer': ablation('no_layer_4'),
    'deleting 5-th layer': ablation('no_layer_5'),
    'lambda 1 to 4 x 0.1': ablation('weights_x0.1'),
    'lambda 1 to 4 x 10': ablation('weights_x10'),
    # Adversarial training
    'TRADES': adversarial('trades'),
    'TRADES (finetune)': adversarial('trades', finetune=True),
    'Free-adv': adversarial('free'),
    'Free-adv (finetune)': adversarial('free', finetune=True),
    'PCL': adversarial('pcl'),
    'PCL+Ours': adversarial('pcl_ours'),
    'CADA': adversarial('cada'),
    'CADA+Ours': adversarial('cada_ours'),
    'ATDA': adversarial('atda'),
    'ATDA+Ours': adversarial('atda_ours'),
    'SAT': adversarial('sat'),
    'SAT (finetune)': adversarial('sat', finetune=True),
    'DDC-AT': adversarial('ddc_at'),
    'DDC-AT (finetune)': adversarial('ddc_at', finetune=True),
    'CLS': adversarial('cls'),
    'LOC': adversarial('loc'),
    'CON': adversarial('con'),
    'MTD': adversarial('mtd'),
    # The ICLR version's transformations without training, and JPEG after our generator.
    'JPEG': dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    'Quilting': dict(
        data_preprocessor=dict(type='QuiltingPurifier', patches='checkpoints/{target}_patches.pth'),
        obtain='python tools/build_patches.py configs/target/{target}.py checkpoints/{target}_patches.pth'),
    'Quilting + TVM': dict(
        data_preprocessor=dict(
            type='PurifierChain',
            purifiers=[
                dict(type='QuiltingPurifier', patches='checkpoints/{target}_patches.pth'),
                dict(type='TotalVariationPurifier'),
            ]),
        obtain='python tools/build_patches.py configs/target/{target}.py checkpoints/{target}_patches.pth'),
    'Randomization': dict(data_preprocessor=dict(type='RandomResizePadPurifier', min_scale=0.9)),
    'Full with jpeg': dict(
        data_preprocessor=dict(
            type='PurifierChain',
            purifiers=[
                dict(
                    type='AlignPurifier',
                    init_cfg=dict(type='Pretrained', checkpoint='checkpoints/{target}_{full_name}_purifier.pth')),
                dict(type='JPEGPurifier', quality=75),
            ]),
        obtain='python tools/export_purifier.py {full} checkpoints/{target}_{full_name}.pth '
        'checkpoints/{target}_{full_name}_purifier.pth'),
}
