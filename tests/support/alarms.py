"""RabbitMQ's alarms, raised for real: it is told that it may use next to nothing, or must have more disk than there is.

Rule: the test that raises an alarm ends it.
"""

from tests.support.rabbitmq_choice import AnyRabbit

DEFAULT_WATERMARK = "0.4"  # of the machine's memory
DISK_BYTES = "50MB"  # as `tests/support/rabbitmq.py` sets it


def low_on_memory(rabbit: AnyRabbit) -> None:
    """It has less memory than it uses already."""
    rabbit.ctl("set_vm_memory_high_watermark", "0.0001")


def low_on_disk(rabbit: AnyRabbit) -> None:
    """It wants more room than any disk has."""
    rabbit.ctl("set_disk_free_limit", "1000000GB")


def end(rabbit: AnyRabbit) -> None:
    """All is well again."""
    one_call = (
        f'vm_memory_monitor:set_vm_memory_high_watermark({DEFAULT_WATERMARK}), rabbit_disk_monitor:set_disk_free_limit("{DISK_BYTES}").'
    )
    rabbit.ctl("eval", one_call)
