import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * What an application does with Kafka's Java client, in words that every version of the client since 2.5 knows: JavaClient HOST:PORT. Topics and their configs are made and
 * changed, every codec is written and read by a group of two, a transaction is aborted and one commits with the offsets of its input, and records and topics are deleted.
 */
public class JavaClient {
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    private static final long PATIENCE = Duration.ofSeconds(120).toNanos();

    private static String address;

    public static void main(String[] args) throws Exception {
        address = args[0];
        try (Admin admin = Admin.create(properties())) {
            topics(admin);
            write();
            read(admin);
            delete(admin);
        }
        System.out.println(AppInfoParser.getVersion() + " is content");
    }

    private static void topics(Admin admin) throws Exception {
        admin.createTopics(List.of(new NewTopic("words", 2, (short) 1))).all().get();
        try {
            admin.createTopics(List.of(new NewTopic("words", 2, (short) 1))).all().get();
            throw new AssertionError("a topic is made twice");
        } catch (ExecutionException e) {
            same(e.getCause().getClass(), TopicExistsException.class);
        }
        admin.createPartitions(Map.of("words", NewPartitions.increaseTo(3))).all().get();
        ConfigResource words = new ConfigResource(ConfigResource.Type.TOPIC, "words");
        admin.incrementalAlterConfigs(Map.of(words, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "-1"), AlterConfigOp.OpType.SET)))).all().get();
        until(() -> admin.describeConfigs(List.of(words)).all().get().get(words).get("retention.ms").value().equals("-1"));
        until(() -> admin.listTopics().names().get().contains("words"));
    }

    private static void write() throws Exception {
        for (int i = 0; i < CODECS.length; i++) {
            try (KafkaProducer<String, String> producer = producer("compression.type", CODECS[i], "acks", "all", "enable.idempotence", "true")) {
                ProducerRecord<String, String> record = new ProducerRecord<>("words", i % 3, "codec", CODECS[i]);
                record.headers().add("header", CODECS[i].getBytes("UTF-8"));
                producer.send(record).get();
            }
        }
        try (KafkaConsumer<String, String> input = consumer("inputs"); KafkaProducer<String, String> producer = producer("transactional.id", "writer")) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("words", 0, "transaction", "aborted")).get();
            producer.abortTransaction();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("words", 0, "transaction", "committed")).get();
            producer.sendOffsetsToTransaction(Map.of(new TopicPartition("words", 1), new OffsetAndMetadata(1, "half")), input.groupMetadata());
            producer.commitTransaction();
        }
    }

    private static void read(Admin admin) throws Exception {
        TopicPartition input = new TopicPartition("words", 1);
        until(() -> {
            OffsetAndMetadata offset = admin.listConsumerGroupOffsets("inputs").partitionsToOffsetAndMetadata().get().get(input);
            return offset != null && offset.metadata().equals("half"); // the commit's marker may still be on its way
        });
        Set<String> want = new TreeSet<>(Arrays.asList(CODECS));
        want.add("committed");
        Set<String> got = new TreeSet<>();
        long end = System.nanoTime() + PATIENCE;
        try (KafkaConsumer<String, String> one = consumer("readers"); KafkaConsumer<String, String> two = consumer("readers")) {
            one.subscribe(List.of("words"));
            two.subscribe(List.of("words"));
            // Two members share three partitions.
            while (got.size() < want.size() || one.assignment().isEmpty() || two.assignment().isEmpty()) {
                same(System.nanoTime() < end, true);
                for (KafkaConsumer<String, String> member : List.of(one, two)) {
                    for (ConsumerRecord<String, String> record : member.poll(Duration.ofMillis(100))) {
                        got.add(record.value());
                    }
                }
            }
            same(got, want);
            TopicPartition assigned = one.assignment().iterator().next();
            one.commitSync(Map.of(assigned, new OffsetAndMetadata(1)));
            same(admin.listConsumerGroupOffsets("readers").partitionsToOffsetAndMetadata().get().get(assigned).offset(), 1L);
            same(admin.describeConsumerGroups(List.of("readers")).all().get().get("readers").members().size(), 2);
        }
        admin.deleteConsumerGroups(List.of("readers", "inputs")).all().get();
    }

    private static void delete(Admin admin) throws Exception {
        TopicPartition first = new TopicPartition("words", 0);
        same(admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(1))).lowWatermarks().get(first).get().lowWatermark(), 1L);
        admin.deleteTopics(List.of("words")).all().get();
        until(() -> !admin.listTopics().names().get().contains("words"));
    }

    /** Asks again until the answer is yes: what is said to one broker reaches another, or the same one's readers, a little later. */
    private static void until(Callable<Boolean> question) throws Exception {
        for (long end = System.nanoTime() + PATIENCE; !question.call(); ) {
            same(System.nanoTime() < end, true);
        }
    }

    private static Properties properties(String... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        for (int i = 0; i < more.length; i += 2) {
            p.put(more[i], more[i + 1]);
        }
        return p;
    }

    private static KafkaProducer<String, String> producer(String... more) {
        return new KafkaProducer<>(properties(more), new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(String group) {
        return new KafkaConsumer<>(properties("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false", "isolation.level", "read_committed"),
            new StringDeserializer(), new StringDeserializer());
    }

    private static void same(Object got, Object want) {
        if (!got.equals(want)) {
            throw new AssertionError(got + ", want " + want);
        }
    }
}
