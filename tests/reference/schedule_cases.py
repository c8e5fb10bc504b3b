"""Schedules that are compared with torch.optim.lr_scheduler, step by step:
make_schedules.py (needs torch) writes schedules.json, schedules.py compares
the rates in the log of a training with it.

    settings  what --set gets          torch  what make_schedules.py builds
"""
EPOCHS, BATCHES, LR = 6, 7, 0.5
STEPS = EPOCHS * BATCHES

CASES = {
    "constant": dict(settings=["schedule=constant"], torch=[]),
    "multistep": dict(
        settings=["schedule=multistep", "schedule.at=[2, 5]",
                  "schedule.gamma=0.2"],
        torch=[("MultiStepLR", dict(milestones=[14, 35], gamma=0.2))]),
    "multistep_shares": dict(
        settings=["schedule=multistep", "schedule.at=[0.5, 0.75]"],
        torch=[("MultiStepLR", dict(milestones=[21, 32], gamma=0.1))]),
    "multistep_warm": dict(
        settings=["schedule=multistep", "schedule.at=[3]",
                  "schedule.warmup_epochs=1", "schedule.warmup_factor=0.1"],
        torch=[("MultiStepLR", dict(milestones=[21], gamma=0.1)),
               ("ConstantLR", dict(factor=0.1, total_iters=7))]),
    "cosine": dict(
        settings=["schedule=cosine", "schedule.min_lr=0.01"],
        torch=[("CosineAnnealingLR", dict(T_max=STEPS, eta_min=0.01))]),
    "cosine_warm": dict(
        settings=["schedule=cosine", "schedule.warmup=linear",
                  "schedule.warmup_epochs=2", "schedule.warmup_factor=0.25"],
        torch=[("CosineAnnealingLR", dict(T_max=STEPS)),
               ("LinearLR", dict(start_factor=0.25, total_iters=14))]),
    "restarts": dict(
        settings=["schedule=cosine_restarts", "schedule.period=2",
                  "schedule.min_lr=0.01"],
        torch=[("CosineAnnealingWarmRestarts", dict(T_0=14, eta_min=0.01))]),
    "restarts_longer": dict(
        settings=["schedule=cosine_restarts", "schedule.period=1",
                  "schedule.period_factor=2"],
        torch=[("CosineAnnealingWarmRestarts", dict(T_0=7, T_mult=2))]),
    "restarts_warm": dict(
        settings=["schedule=cosine_restarts", "schedule.period=3",
                  "schedule.warmup=linear", "schedule.warmup_epochs=1",
                  "schedule.warmup_factor=0.1"],
        torch=[("CosineAnnealingWarmRestarts", dict(T_0=21)),
               ("LinearLR", dict(start_factor=0.1, total_iters=7))]),
    "linear": dict(
        settings=["schedule=linear", "schedule.min_lr=0.05"],
        torch=[("LinearLR", dict(start_factor=1, end_factor=0.1,
                                 total_iters=STEPS))]),
    "linear_warm": dict(
        settings=["schedule=linear", "schedule.warmup_epochs=0.5",
                  "schedule.warmup_factor=0.5"],
        torch=[("LinearLR", dict(start_factor=1, end_factor=0,
                                 total_iters=STEPS)),
               ("ConstantLR", dict(factor=0.5, total_iters=4))]),
    "one_cycle": dict(
        settings=["schedule=one_cycle"],
        torch=[("OneCycleLR", dict(max_lr=LR, total_steps=STEPS,
                                   cycle_momentum=False))]),
    "one_cycle_linear": dict(
        settings=["schedule=one_cycle", "schedule.shape=linear",
                  "schedule.rise=0.5", "schedule.start_factor=0.1",
                  "schedule.end_factor=0.01"],
        torch=[("OneCycleLR", dict(max_lr=LR, total_steps=STEPS, pct_start=0.5,
                                   div_factor=10, final_div_factor=10,
                                   anneal_strategy="linear",
                                   cycle_momentum=False))]),
    "batch_scaled": dict(
        settings=["schedule=cosine", "optimizer.lr_batch=160"],
        torch=[("CosineAnnealingLR", dict(T_max=STEPS))], scale=0.25),
}
