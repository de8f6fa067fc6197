"""Print every presence change once, from the beginning of the log on, whatever restarts: python presence_pika.py amqp://crm:…@host/"""

import json
import sys
import time

import pika

after = -1  # the offset of the last handled message; kept on disk, it would survive a restart of this program
versions: dict[str, int] = {}  # the last version of each user, because a home that was killed may publish a change again


def handle(channel, method, properties, body):
    global after
    channel.basic_ack(method.delivery_tag)
    offset = properties.headers["x-stream-offset"]
    if offset <= after:  # RabbitMQ sends a stream from the start of a chunk
        return
    after = offset
    data = (event := json.loads(body))["data"]
    if not method.routing_key.startswith(f"presence.{data.get('home')}.{data.get('uid')}."):
        return  # no change of a presence, or in another home's name
    user, _, version = event["id"].rpartition("/")
    if int(version) > versions.get(user, 0):
        versions[user] = int(version)
        print(json.dumps({"id": event["id"], **data}), flush=True)


while True:
    try:
        with pika.BlockingConnection(pika.URLParameters(sys.argv[1])) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=100)
            channel.basic_consume("flash.presence.log", handle, arguments={"x-stream-offset": after + 1})
            channel.start_consuming()
    except pika.exceptions.AMQPError:
        time.sleep(1)  # RabbitMQ is away, or not yet ready
