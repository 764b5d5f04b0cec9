"""A plan as transformers' `TrainingArguments`."""

import torch
from transformers import TrainingArguments

from services.finetune.run import Run
from services.finetune.training.plan import Plan

FLOOR = 0.02  # share of the highest rate at the end
LOGS = 200  # lines about the loss in a run, at most


def arguments(plan: Plan, run: Run, headline: str) -> TrainingArguments:
    """The examples come in their own order (`Mixture`), the best checkpoint by `headline` is kept beside the last."""
    made = TrainingArguments(
        output_dir=str(run.checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch,
        gradient_accumulation_steps=plan.accumulate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": FLOOR},
        warmup_steps=plan.warm_up,
        max_grad_norm=plan.clip,
        bf16=plan.dtype == torch.bfloat16,
        seed=plan.seed,
        log_level="error",
        log_level_replica="error",
        train_sampling_strategy="sequential",
        eval_strategy="steps",
        eval_steps=plan.period,
        save_strategy="steps",
        save_steps=plan.period,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=headline,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, plan.steps // LOGS),
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=plan.device.type == "cuda",
        use_cpu=plan.device.type == "cpu",
        ddp_backend="gloo" if plan.device.type == "cpu" and plan.processes > 1 else None,
    )
    if plan.processes == 1 and plan.device.type == "cuda":
        made._n_gpu = 1  # else it would split batches over all GPUs by threads; for several there is torchrun
    return made
