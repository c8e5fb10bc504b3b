"""Trainings of 20 steps that are compared with PyTorch, one an optimizer, a
schedule, a loss: make_optimizers.py (needs torch) writes optimizers.json, optimizers.py compares
tgc's run of the same with it. Rates are powers of two: exact in every type.
Images are pixels / 255, rounded to float32 as tgc does.

    train    what stands in the train section of the model file
    extra    only with --table: others have the same in them
    torch    the same for make_optimizers.py: an optimizer and its options,
             groups as (patterns, optimizer or None, options), clipping, the
             loss, the evaluation; schedules as in schedule_cases.py
    net      which of NETS; else tests/e2e/tiny.net
    salt     other weights to start from: some at which no relu's operand is so
             close to 0 that float32 could decide it the other way
    rounded  rates or images are rounded to float32 in every step
"""
TRAIN, TEST, SIZE, BATCH, STEPS = 300, 70, 28, 15, 20

NO_DECAY = ("*.bias", "*bn*")

# A file of models/, and what it is given.
NETS = {
    "speed": ("speed_cifar.net",
              "{ input = [1, 28, 28], widths = [4, 8, 8] }"),
    "vit": ("vit_cifar.net", "{ input = [1, 28, 28], depth = 2, width = 8, "
                             "heads = 2, patch = 7, drop = 0 }"),
}

SGD = "optimizer sgd { lr = 0.0625, momentum = 0.9 }\nepochs = 1\n"
MOMENTUM = dict(kind="sgd", lr=2**-4, momentum=0.9, weight_decay=1e-4)

CASES = {
    "sgd_dampening": dict(
        train="optimizer sgd { lr = 0.0625, momentum = 0.9, dampening = 0.5, "
              "weight_decay = 1e-3 }",
        torch=dict(kind="sgd", lr=2**-4, momentum=0.9, dampening=0.5,
                   weight_decay=1e-3)),
    "sgd_nesterov": dict(
        extra=True, salt="1",
        train="optimizer sgd { lr = 0.0625, momentum = 0.9, nesterov = true, "
              "weight_decay = 1e-3 }",
        torch=dict(kind="sgd", lr=2**-4, momentum=0.9, nesterov=True,
                   weight_decay=1e-3)),
    "sgd_groups": dict(
        train="optimizer sgd { lr = 0.0625, momentum = 0.9, weight_decay = 1e-2\n"
              "group \"*.bias\" \"*bn*\" { weight_decay = 0 }\n"
              "group \"*.bias\" { lr_factor = 4 }\n"
              "group \"linear.*\" { lr = 0.015625, momentum = 0 } }",
        torch=dict(kind="sgd", lr=2**-4, momentum=0.9, weight_decay=1e-2,
                   groups=[(NO_DECAY, None, dict(weight_decay=0)),
                           (("*.bias",), None, dict(lr_factor=4)),
                           (("linear.*",), None,
                            dict(lr=2**-6, momentum=0))])),
    "adam": dict(
        extra=True,
        train="optimizer adam { lr = 0.0078125, weight_decay = 0 }",
        torch=dict(kind="adam", lr=2**-7)),
    "adam_decay": dict(
        train="optimizer adam { lr = 0.0078125, weight_decay = 1e-2, "
              "beta1 = 0.8, beta2 = 0.95, eps = 1e-3 }",
        torch=dict(kind="adam", lr=2**-7, weight_decay=1e-2,
                   betas=(0.8, 0.95), eps=1e-3)),
    "adam_amsgrad": dict(
        train="optimizer adam { lr = 0.0078125, amsgrad = true, beta2 = 0.9, "
              "weight_decay = 0 }",
        torch=dict(kind="adam", lr=2**-7, amsgrad=True, betas=(0.9, 0.9))),
    "adamw_groups": dict(
        train="optimizer adamw { lr = 0.0078125, weight_decay = 0.5\n"
              "group \"*.bias\" \"*bn*\" { weight_decay = 0 } }",
        torch=dict(kind="adamw", lr=2**-7, weight_decay=0.5,
                   groups=[(NO_DECAY, None, dict(weight_decay=0))])),
    "adamw_amsgrad": dict(
        extra=True,
        train="optimizer adamw { lr = 0.0078125, amsgrad = true, "
              "weight_decay = 0.01 }",
        torch=dict(kind="adamw", lr=2**-7, amsgrad=True, weight_decay=0.01)),
    "muon_adamw": dict(
        train="optimizer adamw { lr = 0.0078125, weight_decay = 0\n"
              "group \"*conv*.weight\" \"linear.weight\" muon { lr = 0.03125 } }",
        torch=dict(kind="adamw", lr=2**-7, weight_decay=0,
                   groups=[(("*conv*.weight", "linear.weight"), "muon",
                            dict(lr=2**-5, momentum=0.95, nesterov=True))])),
    "muon_sgd": dict(
        train="optimizer sgd { lr = 0.0625, momentum = 0, weight_decay = 0\n"
              "group \"*.weight\" muon { lr = 0.03125, momentum = 0.5, "
              "nesterov = false, weight_decay = 0.5, ns_steps = 4 }\n"
              "group \"*bn*.weight\" sgd { } }",
        torch=dict(kind="sgd", lr=2**-4,
                   groups=[(("*.weight",), "muon",
                            dict(lr=2**-5, momentum=0.5, nesterov=False,
                                 weight_decay=0.5, ns_steps=4)),
                           (("*bn*.weight",), "sgd", dict(lr=0.1))])),
    "clip_norm": dict(
        train="optimizer sgd { lr = 0.25, momentum = 0.9, weight_decay = 0, "
              "clip_norm = 0.5 }",
        torch=dict(kind="sgd", lr=2**-2, momentum=0.9, clip_norm=0.5)),
    "clip_value": dict(
        extra=True, salt="1",
        train="optimizer sgd { lr = 0.25, momentum = 0, weight_decay = 0, "
              "clip_value = 0.015625 }",
        torch=dict(kind="sgd", lr=2**-2, clip_value=2**-6)),
    "clip_both": dict(
        train="optimizer adam { lr = 0.0078125, clip_value = 0.125, "
              "clip_norm = 0.25, eps = 0.01, weight_decay = 0 }",
        torch=dict(kind="adam", lr=2**-7, clip_value=2**-3, clip_norm=2**-2,
                   eps=0.01)),
    "sgd_one_cycle": dict(
        train="optimizer sgd { lr = 0.0625, momentum = 0.9, nesterov = true, "
              "weight_decay = 0 }\nepochs = 1\n"
              "schedule one_cycle { cycle_momentum = true }",
        torch=dict(kind="sgd", lr=2**-4, momentum=0.9, nesterov=True,
                   one_cycle=dict(max_lr=2**-4)), rounded=True),
    "adam_one_cycle": dict(
        train="optimizer adam { lr = 0.0078125, weight_decay = 0 }\n"
              "epochs = 1\nschedule one_cycle { cycle_momentum = true, "
              "shape = linear, low_momentum = 0.5, high_momentum = 0.75 }",
        torch=dict(kind="adam", lr=2**-7,
                   one_cycle=dict(max_lr=2**-7, anneal_strategy="linear",
                                  base_momentum=0.5, max_momentum=0.75)),
        rounded=True),
    "average": dict(
        train="optimizer adam { lr = 0.0078125, weight_decay = 0 }\n"
              "average ema { decay = 0.75 }",
        torch=dict(kind="adam", lr=2**-7, average=0.75)),
    "average_warm": dict(
        train="optimizer sgd { lr = 0.0625, momentum = 0.9, weight_decay = 0 }\n"
              "average ema { decay = 0.99, warmup = true }",
        torch=dict(kind="sgd", lr=2**-4, momentum=0.9, average=0.99,
                   average_warmup=True)),
    "multistep": dict(
        extra=True, rounded=True,
        train=SGD + "schedule multistep { at = [0.5, 0.75] }",
        torch=dict(MOMENTUM, schedule=[
            ("MultiStepLR", dict(milestones=[10, 15], gamma=0.1))])),
    "multistep_warm": dict(
        rounded=True,
        train=SGD + "schedule multistep { at = [0.75], gamma = 0.2, "
              "warmup_epochs = 0.25, warmup_factor = 0.1 }",
        torch=dict(MOMENTUM, schedule=[
            ("MultiStepLR", dict(milestones=[15], gamma=0.2)),
            ("ConstantLR", dict(factor=0.1, total_iters=5))])),
    "cosine": dict(
        extra=True, rounded=True,
        train=SGD + "schedule cosine { min_lr = 0.001 }",
        torch=dict(MOMENTUM, schedule=[
            ("CosineAnnealingLR", dict(T_max=STEPS, eta_min=0.001))])),
    "cosine_warm": dict(
        extra=True, rounded=True,
        train=SGD + "schedule cosine { warmup = linear, warmup_epochs = 0.5, "
              "warmup_factor = 0.25 }",
        torch=dict(MOMENTUM, schedule=[
            ("CosineAnnealingLR", dict(T_max=STEPS)),
            ("LinearLR", dict(start_factor=0.25, total_iters=10))])),
    "restarts": dict(
        extra=True, rounded=True,
        train=SGD + "schedule cosine_restarts { period = 0.25 }",
        torch=dict(MOMENTUM, schedule=[
            ("CosineAnnealingWarmRestarts", dict(T_0=5))])),
    "linear": dict(
        extra=True, rounded=True,
        train=SGD + "schedule linear { min_lr = 0.00625 }",
        torch=dict(MOMENTUM, schedule=[
            ("LinearLR", dict(start_factor=1, end_factor=0.1,
                              total_iters=STEPS))])),
    "lr_batch": dict(
        extra=True,
        train="optimizer sgd { lr = 0.125, lr_batch = 30, momentum = 0.9 }",
        torch=dict(MOMENTUM)),
    "label_smoothing": dict(
        extra=True,
        train=SGD + "schedule constant\n"
              "loss cross_entropy { label_smoothing = 0.25 }",
        torch=dict(MOMENTUM, label_smoothing=0.25)),
    "mixup": dict(
        extra=True, rounded=True,
        train=SGD + "schedule constant\ndata.mixup = 0.5",
        torch=dict(MOMENTUM, mixing=dict(mixup=0.5))),
    "cutmix": dict(
        extra=True, rounded=True,
        train=SGD + "schedule constant\ndata.cutmix = 1\n"
              "data.cutmix_share = 0.75",
        torch=dict(MOMENTUM, mixing=dict(cutmix=1, cutmix_share=0.75))),
    "speed_cifar": dict(
        net="speed", rounded=True,
        train="optimizer.lr_batch = 15\nepochs = 1\n"
              "data.augment = \"\"\n",
        torch=dict(kind="sgd", lr=0.5, momentum=0.85, nesterov=True,
                   weight_decay=1e-3, label_smoothing=0.2, average=0.99,
                   average_warmup=True, test_flip=True,
                   frozen=("whiten.weight", "*norm*.weight"),
                   groups=[(("*.bias",), None,
                            dict(lr_factor=8, weight_decay=1e-4)),
                           (("stage*.conv*.weight",
                             "stage*.second.conv.weight"), "muon",
                            dict(lr=0.1, momentum=0.6, nesterov=True,
                                 weight_decay=0.01))],
                   schedule=[("LinearLR", dict(start_factor=1, end_factor=0,
                                               total_iters=STEPS)),
                             ("LinearLR", dict(start_factor=0.2,
                                               total_iters=10))])),
    "vit_cifar": dict(
        net="vit",
        train="optimizer.lr = 0.0078125\noptimizer.lr_batch = 15\n"
              "schedule constant\ndata.mixup = 0\ndata.augment = \"\"\n"
              "schedule.warmup_epochs = 0\n",
        torch=dict(kind="adamw", lr=2**-7, weight_decay=0.05, clip_norm=1,
                   label_smoothing=0.1,
                   groups=[(("*.bias", "*norm*", "positions.*"), None,
                            dict(weight_decay=0))])),
    "everything": dict(
        rounded=True,
        train="optimizer adamw { lr = 0.0078125, weight_decay = 0.25, "
              "clip_value = 0.5, clip_norm = 1\n"
              "group \"*conv*.weight\" muon { lr = 0.03125 }\n"
              "group \"*.bias\" \"*bn*\" { weight_decay = 0, lr_factor = 2 } }\n"
              "schedule cosine { warmup = linear, warmup_epochs = 0.25 }\n"
              "average ema { decay = 0.875, warmup = true }\n"
              "loss cross_entropy { label_smoothing = 0.125 }\n"
              "data.mixup = 0.5\ndata.cutmix = 1\n"
              "test_flip = true\nepochs = 1",
        torch=dict(kind="adamw", lr=2**-7, weight_decay=0.25, clip_value=0.5,
                   clip_norm=1, label_smoothing=0.125,
                   mixing=dict(mixup=0.5, cutmix=1),
                   average=0.875, average_warmup=True, test_flip=True,
                   groups=[(("*conv*.weight",), "muon",
                            dict(lr=2**-5, momentum=0.95, nesterov=True)),
                           (NO_DECAY, None,
                            dict(weight_decay=0, lr_factor=2))],
                   schedule=[("CosineAnnealingLR", dict(T_max=STEPS)),
                             ("LinearLR", dict(start_factor=0.1,
                                               total_iters=5))])),
}
