#!/usr/bin/env python3
"""A consumer as a business service writes it: reads paynotify_queue, acknowledges what it has dealt with.

    python3 examples/consumer.py --url amqp://guest:guest@127.0.0.1/%2f

A message may come twice (delivery is at least once), so a real service remembers the `id` in the same transaction that
gives out the course, and skips what it has seen. Needs python3-pika.
"""

import argparse
import json

import pika


def main():
    parser = argparse.ArgumentParser(description="prints the messages of a queue")
    parser.add_argument("--url", default="amqp://guest:guest@127.0.0.1/%2f")
    parser.add_argument("--queue", default="paynotify_queue")
    parser.add_argument("--until", metavar="NUMBER", help="stop after the message about this out_business_id; others are not shown")
    parser.add_argument("--seconds", type=float, help="give up when nothing came for so long")
    options = parser.parse_args()

    connection = pika.BlockingConnection(pika.URLParameters(options.url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    seen = set()
    for method, properties, body in channel.consume(options.queue, inactivity_timeout=options.seconds):
        if method is None:
            raise SystemExit("no message came")
        message = json.loads(body)
        wanted = options.until in (None, message["businessKey1"])
        if message["id"] not in seen and wanted:
            seen.add(message["id"])
            print(f"{properties.type} {properties.message_id}")
            print(json.dumps(message, indent=2, ensure_ascii=False), flush=True)
        channel.basic_ack(method.delivery_tag)
        if options.until and wanted:
            break
    connection.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
