"""What consumers see: the queue of reference A, read with pika."""

import json

import pika

from waiting import wait_for

EXCHANGE, QUEUE = "paynotify_exchange_fanout", "paynotify_queue"


class Messages:
    """A consumer of one queue. Everything read is kept in `all`, as (properties, body) in the order it came."""

    def __init__(self, url, queue=QUEUE):
        self.queue = queue
        self.all = []
        self._parameters = pika.URLParameters(url)
        self._connection = None

    def _channel(self):
        if self._connection is None or self._connection.is_closed:
            self._connection = pika.BlockingConnection(self._parameters)
        return self._connection.channel()

    def close(self):
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def drain(self):
        """Takes what is in the queue now. A broker that is away, or a queue that is not there yet, has nothing."""
        try:
            channel = self._channel()
            while True:
                method, properties, body = channel.basic_get(self.queue)
                if method is None:
                    break
                self.all.append((properties, body))
                channel.basic_ack(method.delivery_tag)
            channel.close()
        except (pika.exceptions.AMQPError, OSError):
            self._connection = None
        return self.all

    def wait(self, count, seconds=30):
        """Until that many messages were read, repeats included."""
        wait_for(lambda: len(self.drain()) >= count, seconds, f"{count} messages")
        return self.all

    def wait_distinct(self, ids, seconds=60):
        """Until each of these event ids was read at least once."""
        missing = {str(i) for i in ids}

        def none_missing():
            missing.difference_update(self.ids())
            return not missing
        self.drain()
        try:
            wait_for(lambda: self.drain() is not None and none_missing(), seconds, "messages")
        except AssertionError:
            raise AssertionError(f"{len(missing)} messages never arrived, such as {sorted(missing)[:3]}") from None

    def ids(self):
        return [properties.message_id for properties, _ in self.all]

    def bodies(self):
        return [json.loads(body) for _, body in self.all]


def forget(url):
    """A broker as on the first day: without the exchange and the queue that the sink declares."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        channel.exchange_delete(EXCHANGE)
    finally:
        connection.close()
