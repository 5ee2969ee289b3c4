import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** Counts words exactly once, and ends when the group has committed the ends of its input and of its repartition topic: WordCount BOOTSTRAP INPUT OUTPUT STATE. */
public class WordCount {
    private static final String APPLICATION = "word-count";
    private static final Duration POLL = Duration.ofMillis(100);

    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, APPLICATION);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, -1);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // An application that is stopped leaves its members in the group: the next one waits for them this long.
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 6000);

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(args[1], Consumed.with(Serdes.Bytes(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.toLowerCase(Locale.ROOT).split("\\W+")))
            .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counted").withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
            .toStream()
            .mapValues(Object::toString)
            .to(args[2], Produced.with(Serdes.String(), Serdes.String()));

        CountDownLatch failed = new CountDownLatch(1);
        try (KafkaStreams streams = new KafkaStreams(builder.build(), config); Admin admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            streams.setUncaughtExceptionHandler(e -> {
                e.printStackTrace();
                failed.countDown();
                return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            while (!done(admin, args[1])) {
                if (failed.await(POLL.toMillis(), TimeUnit.MILLISECONDS)) {
                    System.exit(1);
                }
            }
        }
    }

    /** True when nothing is left to read of the input, nor of what is repartitioned. */
    private static boolean done(Admin admin, String input) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> committed = admin.listConsumerGroupOffsets(APPLICATION).partitionsToOffsetAndMetadata().get();
        if (committed.keySet().stream().map(TopicPartition::topic).distinct().count() < 2) {
            return false;
        }
        Map<TopicPartition, OffsetSpec> ask = new HashMap<>();
        for (int p = 0; p < 2; p++) {
            ask.put(new TopicPartition(input, p), OffsetSpec.latest());
            ask.put(new TopicPartition(APPLICATION + "-words-repartition", p), OffsetSpec.latest());
        }
        Map<TopicPartition, Long> ends = admin.listOffsets(ask).all().get().entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset()));
        return ends.entrySet().stream().allMatch(e -> e.getValue() == 0 || committed.containsKey(e.getKey()) && committed.get(e.getKey()).offset() >= e.getValue());
    }
}
