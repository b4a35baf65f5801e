# Two defended models as one, each behind its own purifier: the best combination of HGD's appendix C. Train both first;
# then: python tools/test.py configs/defense/cifar10_hgd_ensemble.py --attack PGD --eps 8 --step-size 2 --steps 10
_base_ = ['../_base_/datasets/cifar10_folder.py', '../_base_/default_runtime.py']

model = dict(
    type='DefendedEnsemble',
    combine='paired',
    members=[
        dict(config='configs/defense/resnet20_cifar10_hgd_lgd.py', checkpoint='checkpoints/resnet20_cifar10_hgd_lgd.pth'),
        dict(config='configs/defense/resnet56_cifar10_hgd_lgd.py', checkpoint='checkpoints/resnet56_cifar10_hgd_lgd.pth'),
    ])
test_cfg = dict()
