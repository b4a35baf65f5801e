# Model transfer: what stands in front of the target was trained in front of the source.
target = dict(config='configs/target/{target}.py', checkpoint='checkpoints/{target}.pth')


def exported(name, config, kind='AlignPurifier', options='', export_options=''):
    weights, out = f'checkpoints/{{source}}_{name}.pth', f'checkpoints/{{source}}_{name}_purifier.pth'
    return dict(
        data_preprocessor=dict(type=kind, init_cfg=dict(type='Pretrained', checkpoint=out)),
        obtain=f'python tools/train.py {config} --out {weights} {options} '
        f'then python tools/export_purifier.py {config} {weights} {out} {export_options}')


def purifier(name, kind):
    # What the config of the source lacks, which both tools have to be told.
    front = f'--cfg-options {{place}}.type={kind}'
    options = f'{front} load_from=checkpoints/{{source}}.pth {{same}}'
    return exported(name, 'configs/target/{source}.py', kind, options, front)


def ablation(name):
    return exported(f'{{source_full_name}}_{name}', '{source_full}', options=f'--ablation {name}')


defenses = {
    'No Defense': dict(),
    'L_I': ablation('pixel'),
    'L_F (w/o c)': ablation('feature_no_class'),
    'L_I+F (w/o c)': ablation('no_class'),
    'L_T': ablation('traditional'),
    'L_T+F (w/o c)': ablation('traditional_no_class'),
    'Defense': purifier('defense_gan', 'DefenseGANPurifier'),
    'SR': purifier('sr', 'SuperResolutionPurifier'),
    'FPD': purifier('fpd', 'FPDPurifier'),
    'APE': purifier('ape', 'APEGANPurifier'),
    'Denoise': purifier('hgd', 'HGDPurifier'),
    'NRP': purifier('nrp', 'NRPPurifier'),
    'Ours': exported('align', '{source_ours}'),
}
