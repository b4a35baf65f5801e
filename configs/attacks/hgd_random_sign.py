# HGD, appendix D: "random noise", each value up or down by the budget, which no attack may be weaker than.
attack = dict(type='RandomSign', eps=16)
