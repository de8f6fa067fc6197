"""Print every presence change once, from the beginning of the log on, whatever restarts: python presence_pika.py amqp://crm:…@host/"""

import json
import sys
import time

import pika

after = -1  # offset of the last message handled; kept on disk, it also survives a restart of this program
versions: dict[str, int] = {}  # the last one of each user: a home that was killed may say the same again


def handle(channel, method, properties, body):
    global after
    channel.basic_ack(method.delivery_tag)
    offset = properties.headers["x-stream-offset"]
    if offset <= after:  # a stream is sent from the start of a chunk
        return
    after = offset
    event = json.loads(body)
    user, _, version = event["id"].rpartition("/")
    if int(version) > versions.get(user, 0):
        versions[user] = int(version)
        print(json.dumps({"id": event["id"], **event["data"]}), flush=True)


while True:
    try:
        with pika.BlockingConnection(pika.URLParameters(sys.argv[1])) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=100)
            channel.basic_consume("flash.presence.log", handle, arguments={"x-stream-offset": after + 1})
            channel.start_consuming()
    except pika.exceptions.AMQPError:
        time.sleep(1)  # RabbitMQ is away, or not yet ready
