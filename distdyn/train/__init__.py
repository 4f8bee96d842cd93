"""Training: the model that is simulated, as a function that has derivatives.

unrolled     the network as a function of its parameters and of what comes from outside
trainer      DSTrainer: parameters that follow the gradient of a loss
"""
