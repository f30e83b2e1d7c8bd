"""Deep agents trained and measured in gymnasium's worlds: `python -m arr_coc.eval.train_cartpole`."""
