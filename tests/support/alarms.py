"""RabbitMQ's alarms, raised for real: the test sets its memory limit near zero, or its disk limit above what any disk has.

Rule: the test that raises an alarm ends it.
"""

from tests.support.rabbitmq_choice import AnyRabbit

DEFAULT_WATERMARK = "0.4"  # of the machine's memory
DISK_BYTES = "50MB"  # as `tests/support/rabbitmq.py` sets it


def low_on_memory(rabbit: AnyRabbit) -> None:
    """Raise the memory alarm: the limit is below what RabbitMQ uses already."""
    rabbit.ctl("set_vm_memory_high_watermark", "0.0001")


def low_on_disk(rabbit: AnyRabbit) -> None:
    """Raise the disk alarm: the limit is above what any disk has."""
    rabbit.ctl("set_disk_free_limit", "1000000GB")


def end(rabbit: AnyRabbit) -> None:
    """All is well again."""
    one_call = (
        f'vm_memory_monitor:set_vm_memory_high_watermark({DEFAULT_WATERMARK}), rabbit_disk_monitor:set_disk_free_limit("{DISK_BYTES}").'
    )
    rabbit.ctl("eval", one_call)
