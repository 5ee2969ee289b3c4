"""Three Python clients against a log server: python clients.py HOST:PORT kafka-python|aiokafka|confluent-kafka.

Each writes with every codec, reads in a group, looks at what the group committed, aborts and commits transactions, and makes and deletes topics. A promise that
does not hold is an AssertionError.
"""

import asyncio
import sys
import uuid

RECORDS = 200
CODECS = {
    "kafka-python": [None, "gzip", "snappy", "lz4", "zstd"],
    "aiokafka": [None, "gzip", "snappy", "lz4", "zstd"],
    "confluent-kafka": ["none", "gzip", "snappy", "lz4", "zstd"],
}
PATIENCE = 120  # seconds that anything may take on a machine at work


def name(kind):
    return f"py-{kind}-{uuid.uuid4().hex[:12]}"


def values(what, n=RECORDS):
    return [f"{what} {i}".encode() for i in range(n)]


def same(got, want, what):
    assert sorted(got) == sorted(want), f"{what}: {len(got)} records, want {len(want)}: {sorted(got)[:3]} … {sorted(want)[:3]}"


def kafka_python(address):
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import NewTopic

    admin = KafkaAdminClient(bootstrap_servers=address)
    topic, output, group = name("in"), name("out"), name("group")
    admin.create_topics([NewTopic(topic, 3, 1), NewTopic(output, 1, 1)])

    want = []
    for codec in CODECS["kafka-python"]:
        producer = KafkaProducer(bootstrap_servers=address, compression_type=codec, enable_idempotence=True)
        sent = [producer.send(topic, v, key=v, headers=[("codec", str(codec).encode())]) for v in values(codec)]
        for s in sent:
            s.get(timeout=PATIENCE)
        producer.close()
        want += values(codec)

    def consumer(**more):
        return KafkaConsumer(topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
                             consumer_timeout_ms=PATIENCE * 1000, **more)

    c = consumer()
    got = []
    for record in c:
        assert record.headers[0][0] == "codec", record
        got.append(record.value)
        if len(got) == len(want):
            break
    same(got, want, "kafka-python reads")
    c.commit()
    ends = c.end_offsets([TopicPartition(topic, p) for p in range(3)])
    assert sum(ends.values()) == len(want), ends
    c.close()
    again = consumer()
    where = sum(again.committed(TopicPartition(topic, p)) for p in range(3))  # no short polls: the client loses an assignment that comes just when one ends
    assert where == len(want), where
    again.close()

    producer = KafkaProducer(bootstrap_servers=address, transactional_id=name("txn"))
    producer.init_transactions()
    for i, end in enumerate([producer.commit_transaction, producer.abort_transaction, producer.commit_transaction]):
        producer.begin_transaction()
        for v in values(f"txn {i}", 10):
            producer.send(output, v)
        producer.flush()
        end()
    producer.close()
    c = KafkaConsumer(output, bootstrap_servers=address, auto_offset_reset="earliest", isolation_level="read_committed", consumer_timeout_ms=PATIENCE * 1000)
    got = []
    for record in c:
        got.append(record.value)
        if len(got) == 20:
            break
    same(got, values("txn 0", 10) + values("txn 2", 10), "kafka-python reads what was committed")
    c.close()
    assert topic in admin.list_topics()
    admin.delete_topics([topic, output])
    admin.close()


async def aio_kafka(address):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    topic, output, group = name("in"), name("out"), name("group")
    await admin.create_topics([NewTopic(topic, 3, 1), NewTopic(output, 1, 1)])

    want = []
    for codec in CODECS["aiokafka"]:
        async with AIOKafkaProducer(bootstrap_servers=address, compression_type=codec, enable_idempotence=True) as producer:
            for sent in [await producer.send(topic, v, key=v) for v in values(codec)]:
                await sent
        want += values(codec)

    def consumer():
        return AIOKafkaConsumer(topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False)

    async with consumer() as c:
        got = []
        while len(got) < len(want):
            for records in (await c.getmany(timeout_ms=1000)).values():
                got += [r.value for r in records]
        same(got, want, "aiokafka reads")
        await c.commit()

    transactional = AIOKafkaProducer(bootstrap_servers=address, transactional_id=name("txn"))
    await transactional.start()
    for i in range(3):
        await transactional.begin_transaction()
        for v in values(f"txn {i}", 10):
            await transactional.send(output, v)
        if i == 1:
            await transactional.abort_transaction()
            continue
        await transactional.send_offsets_to_transaction({TopicPartition(topic, 0): i}, group)
        await transactional.commit_transaction()
    await transactional.stop()
    offsets = await admin.list_consumer_group_offsets(group)
    assert offsets[TopicPartition(topic, 0)].offset == 2, offsets

    async with AIOKafkaConsumer(output, bootstrap_servers=address, auto_offset_reset="earliest", isolation_level="read_committed") as c:
        got = []
        while len(got) < 20:
            got.append((await c.getone()).value)
        same(got, values("txn 0", 10) + values("txn 2", 10), "aiokafka reads what was committed")
    await admin.delete_topics([topic, output])
    await admin.close()


def confluent_kafka(address):
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

    admin = AdminClient({"bootstrap.servers": address})
    topic, output = name("in"), name("out")
    for made in admin.create_topics([NewTopic(topic, 3, 1), NewTopic(output, 1, 1, config={"retention.ms": "3600000"})]).values():
        made.result(PATIENCE)
    resource = ConfigResource(ConfigResource.Type.TOPIC, output)
    assert admin.describe_configs([resource])[resource].result(PATIENCE)["retention.ms"].value == "3600000"

    want, failed = [], []
    for codec in CODECS["confluent-kafka"]:
        producer = Producer({"bootstrap.servers": address, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
        for v in values(codec):
            producer.produce(topic, v, key=v, on_delivery=lambda err, _: err and failed.append(err))
        assert producer.flush(PATIENCE) == 0 and not failed, failed
        want += values(codec)

    for protocol in ["classic", "consumer"]:
        group = name(protocol)
        c = Consumer({"bootstrap.servers": address, "group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest", "enable.auto.commit": False})
        c.subscribe([topic])
        got = []
        while len(got) < len(want):
            for m in c.consume(500, 1.0):
                assert m.error() is None, m.error()
                got.append(m.value())
        same(got, want, f"confluent-kafka reads by the {protocol} protocol")
        committed = c.commit(asynchronous=False)
        assert sum(p.offset for p in committed) == len(want), committed
        c.close()
        described = admin.describe_consumer_groups([group])[group].result(PATIENCE)
        assert described.state.name == "EMPTY", described.state
        admin.delete_consumer_groups([group])[group].result(PATIENCE)

    producer = Producer({"bootstrap.servers": address, "transactional.id": name("txn")})
    producer.init_transactions(PATIENCE)
    for i in range(3):
        producer.begin_transaction()
        for v in values(f"txn {i}", 10):
            producer.produce(output, v)
        assert producer.flush(PATIENCE) == 0
        if i == 1:
            producer.abort_transaction(PATIENCE)
        else:
            producer.commit_transaction(PATIENCE)
    c = Consumer({"bootstrap.servers": address, "group.id": name("group"), "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    c.subscribe([output])
    got = []
    while len(got) < 20:
        got += [m.value() for m in c.consume(100, 1.0) if m.error() is None]
    same(got, values("txn 0", 10) + values("txn 2", 10), "confluent-kafka reads what was committed")
    c.close()
    partition = TopicPartition(output, 0)
    latest = admin.list_offsets({partition: OffsetSpec.latest()})[partition].result(PATIENCE)
    assert latest.offset == 33, latest.offset  # thirty records and three markers
    admin.delete_records([TopicPartition(output, 0, 5)])[partition].result(PATIENCE)
    assert admin.list_offsets({partition: OffsetSpec.earliest()})[partition].result(PATIENCE).offset == 5
    for gone in admin.delete_topics([topic, output]).values():
        gone.result(PATIENCE)


def main():
    address, client = sys.argv[1:]
    if client == "aiokafka":
        asyncio.run(asyncio.wait_for(aio_kafka(address), PATIENCE))
    else:
        {"kafka-python": kafka_python, "confluent-kafka": confluent_kafka}[client](address)
    print(client, "is content")


main()
