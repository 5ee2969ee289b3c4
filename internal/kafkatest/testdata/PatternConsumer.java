import java.time.Duration;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A consumer that leaves it to the server which topics match its pattern (KIP-848), reads so many records and writes the topics that they
 * came from: PatternConsumer SERVER GROUP PATTERN RECORDS. What the server says against a pattern goes to standard output, too.
 */
public class PatternConsumer {
    public static void main(String[] args) {
        Map<String, Object> config = Map.of("bootstrap.servers", args[0], "group.id", args[1], "group.protocol", "consumer", "auto.offset.reset", "earliest",
            "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class);
        TreeSet<String> topics = new TreeSet<>();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(new SubscriptionPattern(args[2]));
            for (int left = Integer.parseInt(args[3]); left > 0; ) {
                for (var r : consumer.poll(Duration.ofSeconds(1))) {
                    topics.add(r.topic());
                    left--;
                }
            }
            consumer.commitSync();
            System.out.println("read from " + topics);
        } catch (RuntimeException e) {
            System.out.println(e);
        }
    }
}
