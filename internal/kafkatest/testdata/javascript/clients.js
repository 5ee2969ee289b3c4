// Two JavaScript clients against a log server: node clients.js HOST:PORT kafkajs|platformatic.
//
// Each writes with the codecs that it brings, reads in a group and goes on where the group committed; kafkajs also commits and aborts transactions. A promise that
// does not hold throws.
'use strict'

const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')

const records = 200
const patience = 120_000 // milliseconds that one client may take on a machine at work
const name = kind => `js-${kind}-${randomUUID().slice(0, 12)}`
const values = (what, n = records) => Array.from({ length: n }, (_, i) => `${what} ${i}`)
const same = (got, want, what) => assert.deepEqual([...got].sort(), [...want].sort(), what)

async function kafkajs(address) {
  const { Kafka, CompressionTypes, logLevel, ConfigResourceTypes } = require('kafkajs')
  const kafka = new Kafka({ clientId: 'millrace', brokers: [address], logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  const [topic, output, group] = [name('in'), name('out'), name('group')]
  await admin.createTopics({
    topics: [{ topic, numPartitions: 3 }, { topic: output, numPartitions: 1, configEntries: [{ name: 'retention.ms', value: '3600000' }] }],
  })
  const described = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: output, configNames: ['retention.ms'] }] })
  assert.equal(described.resources[0].configEntries[0].configValue, '3600000')

  let want = []
  for (const [codec, compression] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP]]) {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    await producer.send({ topic, compression, messages: values(codec).map(value => ({ key: value, value, headers: { codec } })) })
    await producer.disconnect()
    want = want.concat(values(codec))
  }

  const read = async (topic, groupId, n) => {
    const consumer = kafka.consumer({ groupId })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const got = []
    await new Promise((resolve, reject) => {
      consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
      consumer.run({ eachMessage: async ({ message }) => { if (got.push(message.value.toString()) === n) resolve() } }).catch(reject)
    })
    await consumer.disconnect() // commits where it is
    return got
  }
  same(await read(topic, group, want.length), want, 'kafkajs reads')
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: [{ value: 'one more' }] })
  same(await read(topic, group, 1), ['one more'], 'kafkajs goes on')
  const offsets = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  assert.equal(offsets[0].partitions.reduce((sum, p) => sum + Number(p.offset), 0), want.length + 1)
  assert.equal((await admin.describeGroups([group])).groups[0].state, 'Empty')

  const transactional = kafka.producer({ transactionalId: name('txn'), idempotent: true, maxInFlightRequests: 1 })
  await transactional.connect()
  for (let i = 0; i < 3; i++) {
    const txn = await transactional.transaction()
    await txn.send({ topic: output, messages: values(`txn ${i}`, 10).map(value => ({ value })) })
    if (i === 1) {
      await txn.abort()
      continue
    }
    await txn.sendOffsets({ consumerGroupId: group, topics: [{ topic, partitions: [{ partition: 0, offset: String(i) }] }] })
    await txn.commit()
  }
  same(await read(output, name('group'), 20), values('txn 0', 10).concat(values('txn 2', 10)), 'kafkajs reads what was committed')
  const first = (await admin.fetchOffsets({ groupId: group, topics: [topic] }))[0].partitions.find(p => p.partition === 0)
  assert.equal(first.offset, '2')
  await admin.fetchTopicOffsets(output) // deleteTopicRecords knows only topics that were asked for before
  await admin.deleteTopicRecords({ topic: output, partitions: [{ partition: 0, offset: '5' }] })
  assert.equal((await admin.fetchTopicOffsets(output))[0].low, '5')
  await admin.deleteGroups([group])
  await admin.deleteTopics({ topics: [topic, output] })
  for (const client of [producer, transactional, admin]) await client.disconnect()
}

async function platformatic(address) {
  const { Admin, Consumer, Producer, MessagesStreamModes, MessagesStreamFallbackModes, stringSerializers, stringDeserializers } = require('@platformatic/kafka')
  const common = { clientId: 'millrace', bootstrapBrokers: [address] }
  const admin = new Admin(common)
  const [topic, group] = [name('in'), name('group')]
  await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1 })

  let want = []
  for (const compression of ['none', 'gzip', 'snappy']) {
    const producer = new Producer({ ...common, serializers: stringSerializers, idempotent: true, compression })
    await producer.send({ messages: values(compression).map(value => ({ topic, key: value, value })), acks: -1 })
    await producer.close()
    want = want.concat(values(compression))
  }
  for (const groupProtocol of ['classic', 'consumer']) {
    const consumer = new Consumer({ ...common, groupId: `${group}-${groupProtocol}`, groupProtocol, deserializers: stringDeserializers, autocommit: false })
    const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST })
    const got = []
    for await (const message of stream) {
      await message.commit()
      if (got.push(message.value) === want.length) break
    }
    same(got, want, `@platformatic/kafka reads by the ${groupProtocol} protocol`)
    await consumer.close(true)
  }
  await admin.deleteTopics({ topics: [topic] })
  await admin.close()
}

const [address, client] = process.argv.slice(2)
const late = setTimeout(() => { console.error(`${client}: not done after ${patience} ms`); process.exit(1) }, patience)
;({ kafkajs, platformatic })[client](address).then(
  () => { clearTimeout(late); console.log(client, 'is content'); process.exit(0) },
  err => { console.error(err); process.exit(1) },
)
