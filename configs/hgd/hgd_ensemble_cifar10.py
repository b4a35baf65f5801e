# Two defended models as one, each behind its own purifier: the best combination of HGD's appendix C. Train both first;
# then: python tools/test.py configs/hgd/hgd_ensemble_cifar10.py --attack PGD --eps 8 --step-size 2 --steps 10
_base_ = ['../_base_/datasets/cifar10_folder.py', '../_base_/default_runtime.py']

model = dict(
    type='DefendedEnsemble',
    combine='paired',
    members=[
        dict(
            config=f'configs/hgd/hgd_{name}_logits_1xb64-8e_cifar10.py',
            checkpoint=f'checkpoints/hgd_{name}_logits_cifar10.pth')
        for name in ('resnet20', 'resnet56')
    ])
test_cfg = dict()
