"""The values and ranges that LLaMA-Factory, transformers and PyTorch allow for LLaMA-Factory's keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dataclass_reader import Classes
from limits import argument_bounds, arguments, assigned, assigned_names, enumeration, members, stated, takes_any
from rules import Rule, values

_OF_TRAINER = ("optimizer", "num_warmup_steps", "num_training_steps", "last_epoch")
"""Arguments of learning rate schedules that are not in `lr_scheduler_kwargs`."""


def rules(source: Path, packages: Path) -> list[Rule]:
    """Return the rules for LLaMA-Factory's keys.

    Args:
        source: The LLaMA-Factory checkout.
        packages: The `site-packages` of its environment.
    """
    return [
        *_own(source / "src/llamafactory"),
        *_inherited(packages / "transformers", packages / "torch"),
        *_mappings(packages / "transformers"),
        *_compiling(packages / "accelerate/utils/dataclasses.py", packages / "torch/_inductor/__init__.py"),
    ]


def _own(package: Path) -> list[Rule]:
    quantization = package / "model/model_utils/quantization.py"
    fp8 = package / "hparams/training_args.py"
    export = stated(quantization, "export_quantization_bit not in [8, 4, 3, 2]", values([8, 4, 3, 2]))
    hqq = stated(quantization, "quantization_bit not in [8, 6, 5, 4, 3, 2, 1]", values([8, 6, 5, 4, 3, 2, 1]))
    bnb = stated(quantization, "Bitsandbytes only accepts 4-bit or 8-bit quantization.", values([8, 4]))
    eetq = stated(quantization, "EETQ only accepts 8-bit quantization.", values([8]))
    backends = stated(fp8, "FP8 backend to use ('auto', 'torchao', 'te', 'msamp')", values(["auto", "torchao", "te", "msamp"]))
    return [
        Rule("export_quantization_bit", export),
        Rule("quantization_bit", bnb, {"quantization_method": ["bnb"]}),
        Rule("quantization_bit", hqq, {"quantization_method": ["hqq"]}),
        Rule("quantization_bit", eetq, {"quantization_method": ["eetq"]}),
        Rule("fp8_backend", backends),
        Rule("tool_format", values(assigned(package / "data/tool_utils.py", "TOOLS"))),
    ]


def _inherited(transformers: Path, torch: Path) -> list[Rule]:
    arguments, adam = transformers / "training_args.py", torch / "optim/adam.py"
    levels = [*assigned(transformers / "utils/logging.py", "log_levels"), "passive"]
    trackers = assigned(transformers / "integrations/integration_utils.py", "INTEGRATION_TO_CALLBACK")
    ratio = stated(arguments, "if self.warmup_steps >= 1 else", {"minimum": 0, "exclusiveMaximum": 1})
    logging = stated(arguments, "requires non-zero --logging_steps", {"exclusiveMinimum": 0})
    dropout = argument_bounds(torch / "nn/modules/dropout.py", "_DropoutNd", "__init__", "p")
    return [
        Rule("report_to", values(["none", "all", *trackers])),
        Rule("log_level log_level_replica", values(levels)),
        Rule("debug", values(enumeration(transformers / "debug_utils.py", "DebugOption"), separator=" ")),
        Rule("fsdp", values(enumeration(transformers / "trainer_utils.py", "FSDPOption"), separator=" ")),
        Rule(
            "include_num_input_tokens_seen",
            stated(arguments, '"all" if self.include_num_input', values(["all", "non_padding", "no"])),
        ),
        Rule("warmup_ratio", ratio),
        Rule("logging_steps", logging, {"logging_strategy": ["steps"]}),
        Rule("weight_decay", argument_bounds(adam, "Adam", "__init__", "weight_decay")),
        Rule("adam_beta1 adam_beta2", argument_bounds(adam, "Adam", "__init__", "betas")),
        Rule("adam_epsilon", argument_bounds(adam, "Adam", "__init__", "eps")),
        Rule("lora_dropout", dropout),
    ]


def _mappings(transformers: Path) -> Iterator[Rule]:
    """Yield the rules for mappings, which may also be text: JSON, or for some of them the path of a JSON file."""
    training = transformers / "training_args.py"
    stated(training, 'isinstance(passed_value, str) and passed_value.startswith("{")', {})
    for key in assigned(training, "_VALID_DICT_FIELDS"):
        is_file = key in ("accelerator_config", "fsdp_config", "deepspeed")
        yield Rule(key, {"json": "mapping or file" if is_file else "mapping"})
    fields = Classes([transformers / "trainer_pt_utils.py"]).fields("AcceleratorConfig")
    yield Rule("accelerator_config", {"names": list(fields)})
    for name, field in fields.items():
        kinds = list(field.type.names)
        yield Rule("accelerator_config", {"type": kinds[0] if len(kinds) == 1 else kinds}, inside=name)
    yield from _schedules(transformers)


def _schedules(transformers: Path) -> Iterator[Rule]:
    """Yield the arguments of each learning rate schedule; constant ones ignore them."""
    file, names = transformers / "optimization.py", members(transformers / "trainer_utils.py", "SchedulerType")
    for member, function in assigned_names(file, "TYPE_TO_SCHEDULER_FUNCTION").items():
        if not takes_any(file, function):
            given = [each for each in arguments(file, function) if each not in _OF_TRAINER]
            yield Rule("lr_scheduler_kwargs", {"names": given}, {"lr_scheduler_type": [names[member]]})


def _compiling(accelerate: Path, inductor: Path) -> list[Rule]:
    # accelerate passes on only the backends that it knows, whatever plugins register.
    stated(accelerate, "self.backend = DynamoBackend(self.backend.upper())", {})
    backends = [each.lower() for each in enumeration(accelerate, "DynamoBackend")]
    return [
        Rule("torch_compile_backend", values(backends, any_case=True, open=True)),
        Rule("torch_compile_mode", values(assigned(inductor, "mode_options")), {"torch_compile_backend": ["inductor"]}),
    ]
